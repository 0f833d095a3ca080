//! Paper says what a document says, also to a scanner.

mod scan;

use serde_json::{Value, json};

use self::scan::{Page, pages};
use crate::world::World;

#[tokio::test]
async fn invoices_and_vouchers_are_printed() {
    let world = World::new().await;
    let owner = world.owner().await;
    let amina = owner.subscriber("amina").await;
    let lines: Vec<Value> = (1..=40)
        .map(|n| json!({ "descr": format!("Service number {n}"), "price_cents": 10_000 * n }))
        .collect();
    let draft = owner.post("/api/invoices", json!({ "subscriber": amina, "lines": lines })).await;
    let id = draft.is(201).text("/id");
    let issued = owner.post(&format!("/api/invoices/{id}/finalise"), json!({})).await.is(200);
    let tenant = sqlx::query_scalar("SELECT slug FROM tenant WHERE slug <> 'platform'");
    let tenant: String = tenant.fetch_one(&world.admin).await.unwrap();
    let payer = owner.get(&format!("/api/subscribers/{amina}")).await.is(200);
    let to_pay =
        format!("{tenant} {} {} KES 82,000.00", issued.text("/number"), payer.text("/account_no"));
    let keep = |name: &str, pdf: &[u8]| {
        // To be looked at by people.
        if let Some(folder) = std::env::var_os("KENNET_KEEP_PDF") {
            std::fs::write(std::path::Path::new(&folder).join(name), pdf).unwrap();
        }
    };
    for lang in ["en", "sw"] {
        let pdf = owner.bytes("GET", &format!("/api/invoices/{id}/pdf?lang={lang}"), None).await;
        assert!(pdf.starts_with(b"%PDF-") && pdf.ends_with(b"%%EOF"), "{lang}");
        // On the last page, for who pays at a counter.
        let codes: Vec<_> = pages(&pdf).iter().map(Page::codes).collect();
        assert_eq!(codes, [vec![], vec![to_pay.clone()]], "{lang}");
        keep(&format!("invoice-{lang}.pdf"), &pdf);
    }
    owner.get(&format!("/api/invoices/{id}/pdf?lang=fr")).await.problem(400, "bad-query");

    let version = owner.plan_version("day").await;
    let body = json!({ "plan_version": version, "qty": 30, "presold": true });
    let issued = owner.post("/api/vouchers/issue", body.clone()).await.is(201);
    let other = owner.post("/api/vouchers/issue", body).await.is(201);
    let path = format!("/api/vouchers/batches/{}/sheet", issued.text("/batch/id"));
    for (layout, lang) in [("a4", "en"), ("roll", "sw")] {
        let body = json!({ "codes": issued.body["codes"], "layout": layout, "lang": lang,
                           "portal": "https://portal.first.example" });
        let pdf = owner.bytes("POST", &path, Some(body)).await;
        assert!(pdf.starts_with(b"%PDF-"), "{layout}");
        let read: Vec<_> = pages(&pdf).iter().flat_map(Page::codes).collect();
        let codes = issued.items("/codes").iter().map(|code| code.as_str().unwrap());
        let want = codes.map(|code| format!("https://portal.first.example/r#{code}"));
        assert_eq!(read, want.collect::<Vec<_>>(), "{layout}");
        keep(&format!("vouchers-{layout}.pdf"), &pdf);
    }
    // However long the address and the code are, what is beside and below leaves the QR code alone.
    for length in [9, 15] {
        let body = json!({ "plan_version": version, "qty": 1, "length": length });
        let issued = owner.post("/api/vouchers/issue", body).await.is(201);
        let code = issued.text("/codes/0");
        let path = format!("/api/vouchers/batches/{}/sheet", issued.text("/batch/id"));
        for (letters, layout) in [10, 25, 40, 44].into_iter().flat_map(|n| [(n, "a4"), (n, "roll")])
        {
            let portal = format!("https://{}.example", "p".repeat(letters));
            let body = json!({ "codes": [code], "portal": portal, "layout": layout });
            let pdf = owner.bytes("POST", &path, Some(body)).await;
            keep(&format!("voucher-{length}-{letters}-{layout}.pdf"), &pdf);
            let read: Vec<_> = pages(&pdf).iter().flat_map(Page::codes).collect();
            assert_eq!(read, [format!("{portal}/r#{code}")], "{layout}");
        }
    }
    // Without a portal it is the code alone.
    let alone = json!({ "codes": [issued.body["codes"][29]], "layout": "roll" });
    let pdf = owner.bytes("POST", &path, Some(alone)).await;
    assert_eq!(pages(&pdf)[0].codes(), [issued.text("/codes/29")]);
    let foreign = json!({ "codes": [issued.body["codes"][0], other.body["codes"][0]] });
    let refused = owner.post(&path, foreign).await.problem(422, "invalid-fields");
    assert_eq!(refused.text("/errors/0/field"), "codes[1]");
    let printed = "SELECT count(*) FROM audit_log WHERE action = 'voucher.print'";
    assert_eq!(world.count(printed).await, 3 + 2 * 4 * 2);
}
