//! Who wants to be renewed is asked on the phone for what the wallet lacks, by a real prompt.

use std::time::Duration;

use serde_json::{Value, json};

use crate::{
    office::{Office, home},
    providers::{Till, merchant},
    world::Staff,
};

async fn intents(owner: &Staff<'_>) -> Vec<Value> {
    owner.get("/api/payments/intents").await.is(200).items("/items").to_vec()
}

async fn with_phone(office: &Office<'_>, subscriber: &str, msisdn: &str) {
    let path = format!("/api/subscribers/{subscriber}");
    let shown = office.owner.get(&path).await.is(200);
    let phone = json!({ "msisdn": msisdn });
    office.owner.patch(&path, shown.header("etag"), phone).await.is(200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_phone_is_asked_for_what_the_wallet_lacks_and_only_of_who_wants_it() {
    let till = Till::new().await;
    let mut office = Office::new(&till.world, "2027-03-01T06:00:00Z").await;
    merchant(&office.owner).await;
    let version = office.plan("home", home(150_000)).await;
    let (amina, wants) = office.subscription("amina", &version, true).await;
    let (brian, silent) = office.subscription("brian", &version, false).await;
    let (_, phoneless) = office.subscription("chebet", &version, true).await;
    with_phone(&office, &amina, "254712345600").await;
    with_phone(&office, &brian, "254712345601").await;
    // 400.50 are left: 1,099.50 are too little, and phones pay whole shillings.
    office.pay(&amina, 150_000 + 40_050).await;
    office.pay(&brian, 150_000).await;
    office.go("2027-04-01T03:59:00Z").await;
    assert_eq!((intents(&office.owner).await.len(), &*office.state(&wants).await), (0, "active"));
    office.go("2027-04-01T04:30:00Z").await;
    let asked = intents(&office.owner).await;
    assert_eq!(asked.len(), 1, "{asked:?}");
    assert_eq!(
        (&asked[0]["subscriber"], &asked[0]["amount_cents"]),
        (&json!(amina), &json!(110_000))
    );
    for _ in 0..500 {
        if intents(&office.owner).await[0]["state"] == "succeeded" {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    office.go("2027-04-01T06:30:00Z").await;
    assert_eq!(intents(&office.owner).await.len(), 1, "what is there is not asked for again");
    assert_eq!(office.state(&wants).await, "active");
    assert_eq!(office.state(&silent).await, "grace");
    assert_eq!(office.state(&phoneless).await, "pending");
    assert_eq!(office.periods(&wants).await.len(), 2);
    assert_eq!(-office.owner.balance("wallet").await, 50);
    office.the_books_are_right().await;

    // Who does not answer is asked once more, and then left alone.
    with_phone(&office, &amina, "254712345002").await;
    office.go("2027-05-01T05:59:00Z").await;
    office.go("2027-05-03T06:30:00Z").await;
    assert_eq!(intents(&office.owner).await.len(), 3);
    let told = "SELECT string_agg(step, ' ' ORDER BY at, step) FROM subscription_notice
                 WHERE step LIKE 'prompt%'";
    assert_eq!(office.sql(told).await, "prompt:120 prompt:120 prompt:10");
    assert_eq!(office.state(&wants).await, "suspended walled");
}
