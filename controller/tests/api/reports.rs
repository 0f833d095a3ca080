//! Reports say what the books say, also as CSV.

use serde_json::json;

use crate::world::World;

#[tokio::test]
async fn reports_are_read_out_of_the_books() {
    let world = World::new().await;
    let owner = world.owner().await;
    let (amina, brian) = (owner.subscriber("amina").await, owner.subscriber("brian").await);
    for (who, price_cents, due_on) in
        [(&amina, 100_000, "2026-01-31"), (&brian, 50_000, "2099-01-01")]
    {
        let lines = json!([{ "descr": "Home", "price_cents": price_cents }]);
        let draft = owner.post("/api/invoices", json!({ "subscriber": who, "lines": lines })).await;
        let path = format!("/api/invoices/{}/finalise", draft.is(201).text("/id"));
        owner.post(&path, json!({ "due_on": due_on })).await.is(200);
    }
    let cash = json!({ "provider": "cash", "subscriber": amina, "amount_cents": 40_000 });
    owner.post("/api/payments", cash).await.is(201);
    let version = owner.plan_version("day").await;
    let body = json!({ "plan_version": version, "qty": 3, "presold": true });
    let issued = owner.post("/api/vouchers/issue", body).await.is(201);
    let body = json!({ "code": issued.text("/codes/0"), "subscriber": amina });
    owner.post("/api/vouchers/redeem", body).await.is(201);

    // Of 1500.00 with taxes 1124.44 are without; of the voucher 37.48.
    let revenue = owner.get("/api/reports/revenue").await.is(200);
    let month = &revenue.items("/items")[0];
    assert_eq!(month["revenue_cents"], 74_963 + 37_481 + 3_748);
    assert_eq!(month["payers"], 2);
    assert_eq!(month["arpu_cents"], (74_963 + 37_481 + 3_748) / 2);
    assert_eq!(month["vat_cents"], 13_793 + 6_897 + 3 * 690);
    let churn = owner.get("/api/reports/churn").await.is(200);
    let this = churn.items("/items").last().unwrap();
    assert_eq!((&this["gained"], &this["lost"]), (&json!(2), &json!(0)));
    assert_eq!(churn.items("/items").len(), 12);
    let tax = owner.get("/api/reports/tax").await.is(200);
    let events: Vec<_> = tax.items("/items").iter().map(|row| row["event"].clone()).collect();
    assert_eq!(events, ["invoice.issue", "voucher.sale"]);
    assert_eq!(tax.items("/items")[1]["net_cents"], 3 * 3748);
    let stock = owner.get("/api/reports/vouchers").await.is(200);
    let row = &stock.items("/items")[0];
    assert_eq!(
        (&row["sold"], &row["active"], &row["owed_cents"]),
        (&json!(2), &json!(1), &json!(2 * 3748))
    );

    let ageing = owner.get("/api/reports/ageing?on=2026-03-15").await.is(200);
    let of_amina = &ageing.items("/items")[0];
    assert_eq!(
        (&of_amina["days_31_to_60_cents"], &of_amina["total_cents"]),
        (&json!(60_000), &json!(60_000))
    );
    assert_eq!(ageing.items("/items")[1]["not_due_cents"], 50_000);
    let csv = owner.get("/api/reports/ageing?on=2026-03-15&format=csv").await.is(200);
    assert_eq!(csv.header("content-type"), "text/csv; charset=utf-8");
    let text = csv.body.as_str().unwrap().to_owned();
    let lines: Vec<_> = text.lines().collect();
    assert!(lines[0].starts_with("subscriber,account_no,full_name,not_due_cents,"), "{text}");
    assert!(lines[1].ends_with(",A Name,0,0,60000,0,0,60000"), "{text}");
    owner
        .get("/api/reports/tax?from=2026-02-01&until=2026-02-01")
        .await
        .problem(422, "invalid-fields");
}
