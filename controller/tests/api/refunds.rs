//! Money that goes back over Airtel, Paystack and Stripe, as the simulator's owners of cards and
//! phones have it.

use serde_json::{Value, json};

use crate::{
    money::check_the_books,
    providers::{Till, until},
    world::Staff,
};

/// Paid by the owner of this phone; the payment.
async fn pay(owner: &Staff<'_>, merchant: &str, subscriber: &str, n: usize) -> String {
    let number = format!("2547333{n:02}000");
    let body = json!({ "merchant": merchant, "subscriber": subscriber, "amount_cents": 5000,
                       "msisdn": number, "email": format!("{number}@x.example") });
    let asked = owner.post("/api/payments/intents", body).await.is(201);
    let path = format!("/api/payments/intents/{}", asked.text("/id"));
    until(owner, &path, "/state", "succeeded").await;
    let payments = owner.get("/api/payments?limit=500").await.is(200);
    let last = payments.items("/items").last().and_then(|payment| payment.pointer("/id"));
    last.and_then(Value::as_str).expect("a payment").to_owned()
}

#[tokio::test]
async fn what_was_paid_elsewhere_goes_back_once() {
    let till = Till::new().await;
    let owner = till.world.owner().await;
    let finance = owner.hire("finance").await;
    let amina = owner.subscriber("amina").await;
    for (provider, secrets) in [
        ("airtel", json!({ "key": "k", "secret": "s", "webhook": "hook" })),
        ("paystack", json!({ "secret": "hook" })),
        ("stripe", json!({ "secret": "s", "webhook": "hook" })),
    ] {
        let body = json!({ "provider": provider, "shortcode": provider, "name": provider,
                           "environment": "simulator", "secrets": secrets });
        let merchant = owner.post("/api/finance/merchants", body).await.is(201).text("/id");
        let path = format!("/api/finance/merchants/{merchant}/addresses");
        let url = owner.get(&path).await.is(200).text("/hook");
        till.sim("/_sim/hook", &json!({ "provider": provider, "url": url, "secret": "hook" }))
            .await;
        let cash = format!("cash:{provider}:{provider}");
        // As it should be; not a word of it; the answer lost; refused by the provider; said often.
        let outcomes = [
            ("success", "done"),
            ("callback-lost", "done"),
            ("answer-lost", "done"),
            ("no-money", "failed"),
            ("five-times", "done"),
        ];
        let mut paths = Vec::new();
        for (n, (behaviour, state)) in outcomes.into_iter().enumerate() {
            let payment = pay(&owner, &merchant, &amina, n).await;
            // Stripe knows who paid by their address, the others by their number.
            let payer = json!({ "msisdn": format!("2547333{n:02}000"), "behaviours": [behaviour] });
            till.sim("/_sim/script", &payer).await;
            let body = json!({ "payment": payment, "reason": "Paid twice" });
            let asked = owner.post("/api/finance/refunds", body).await.is(201);
            let path = format!("/api/finance/refunds/{}", asked.text("/id"));
            owner.post(&format!("{path}/approve"), Value::Null).await.problem(409, "oneself");
            finance.post(&format!("{path}/approve"), Value::Null).await.is(200);
            paths.push((path, state));
        }
        for (path, state) in &paths {
            let ended = until(&owner, path, "/state", state).await;
            assert_eq!(ended.body["provider_txn"].is_string(), *state == "done", "{}", ended.body);
        }
        assert_eq!(owner.balance(&cash).await, 5000, "the one that failed stays");
        assert_eq!(owner.balance("payout:clearing").await, 0);
        let books = format!("{}/_sim/books", till.sim);
        let books: Value = reqwest::get(books).await.expect("it").json().await.expect("JSON");
        let theirs = &books["balance"]["taken_in"][provider];
        assert_eq!((&theirs["cents"], &theirs["reversed_cents"]), (&json!(25000), &json!(20000)));
    }
    assert_eq!(-owner.balance("wallet").await, 3 * 5000);
    let booked = "SELECT count(*) FROM ledger_entry WHERE kind = 'refund.resolve'";
    assert_eq!(till.world.count(booked).await, 15);
    check_the_books(&till.world, &owner).await;
}
