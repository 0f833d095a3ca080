//! What was paid for vouchers that nobody used in time is earned, when nobody is let off any more.

use controller::closings::ClosingError;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::{
    office::{Office, at},
    world::World,
};

const NET: i64 = 3748;

/// Vouchers of a batch, and their codes.
async fn batch(office: &Office<'_>, version: &str, qty: u32, last: Option<&str>) -> Vec<String> {
    let mut body = json!({ "plan_version": version, "qty": qty, "presold": true });
    if let (Value::Object(fields), Some(last)) = (&mut body, last) {
        fields.insert("redeem_by".to_owned(), json!(last));
    }
    let issued = office.owner.post("/api/vouchers/issue", body).await.is(201);
    let codes = issued.items("/codes").iter();
    codes.map(|code| code.as_str().expect("a code").to_owned()).collect()
}

/// How many vouchers that nobody used are `expired`, of how many there is an entry, and what was earned of them.
async fn broken(office: &Office<'_>) -> (i64, i64, i64) {
    let expired = "SELECT count(*) FROM voucher WHERE state = 'expired' AND redeemed_at IS NULL";
    let booked = "SELECT count(*) FROM ledger_entry WHERE kind = 'voucher.breakage'";
    (
        office.world.count(expired).await,
        office.world.count(booked).await,
        -office.owner.balance("revenue:breakage").await,
    )
}

#[tokio::test]
async fn what_nobody_used_in_time_is_earned_once() {
    let world = World::new().await;
    let mut office = Office::new(&world, "2027-03-01T06:00:00Z").await;
    let version = office.owner.plan_version("day").await;
    let amina = office.owner.subscriber("amina").await;
    // Until the evening of 10 March, in Nairobi.
    let last = Some("2027-03-10T20:00:00Z");
    let codes = batch(&office, &version, 5, last).await;
    batch(&office, &version, 2, None).await;
    batch(&office, &version, 3, Some("2027-05-10T20:00:00Z")).await;
    // Printed and never sold: nobody has paid for these.
    let printed = json!({ "plan_version": version, "qty": 4, "presold": false, "redeem_by": last });
    office.owner.post("/api/vouchers/issue", printed).await.is(201);
    let used = json!({ "code": codes[0], "subscriber": amina });
    office.owner.post("/api/vouchers/redeem", used).await.is(201);
    assert_eq!(office.owner.balance("deferred:voucher").await, -9 * NET);

    // Thirty days, unless a tenant says otherwise: the night of 8 April is one too early.
    office.go("2027-04-09T20:55:00Z").await;
    assert_eq!(broken(&office).await, (0, 0, 0));
    office.go("2027-04-09T21:05:00Z").await;
    assert_eq!(broken(&office).await, (4 + 4, 4, 4 * NET));
    assert_eq!(office.owner.balance("deferred:voucher").await, -5 * NET);
    assert_eq!(office.owner.balance("revenue:internet").await, -NET, "the one that was used");
    // It is earned on the day that is over.
    let when = "SELECT max(at) < '2027-04-09T21:00Z' AND min(at) >= '2027-04-08T21:00Z'
        FROM ledger_entry WHERE kind = 'voucher.breakage'";
    assert_eq!(office.sql(when).await, "true");
    office.the_books_are_right().await;
    let late = json!({ "code": codes[1], "subscriber": amina });
    office.owner.post("/api/vouchers/redeem", late).await.problem(409, "voucher-expired");

    // The same night again, by two at once, and the nights after it.
    let before = office.digest().await;
    let night = async |midnight: Timestamp| -> Result<Timestamp, ClosingError> {
        world.app.closings().night(office.tenant, midnight).await
    };
    let midnight = at("2027-04-09T21:00:00Z");
    let (one, other) = tokio::join!(night(midnight), night(midnight));
    assert_eq!((one.expect("a night"), other.expect("a night")).0, at("2027-04-10T21:00:00Z"));
    assert_eq!(office.digest().await, before);
    office.go("2027-05-12T12:00:00Z").await;
    assert_eq!(broken(&office).await, (8, 4, 4 * NET));

    // Of the batch of May, with three days instead of thirty.
    let policy = "/api/finance/billing-policy";
    let shown = office.owner.get(policy).await.is(200);
    let mut three = shown.body.clone();
    three["breakage_days"] = json!(3);
    let etag = shown.etag();
    office.owner.ask("PUT", policy, &[("if-match", &etag)], Some(three)).await.is(200);
    office.go("2027-05-13T20:55:00Z").await;
    assert_eq!(broken(&office).await, (8, 4, 4 * NET));
    office.go("2027-05-13T21:05:00Z").await;
    assert_eq!(broken(&office).await, (8 + 3, 4 + 3, 7 * NET));
    assert_eq!(
        office.owner.balance("deferred:voucher").await,
        -2 * NET,
        "those without a last day"
    );
    office.the_books_are_right().await;
}

/// More than are taken in one transaction.
#[tokio::test]
async fn a_night_breaks_as_many_as_there_are() {
    let world = World::new().await;
    let mut office = Office::new(&world, "2027-03-01T06:00:00Z").await;
    let version = office.owner.plan_version("day").await;
    batch(&office, &version, 1100, Some("2027-03-10T20:00:00Z")).await;
    office.go("2027-04-09T21:05:00Z").await;
    assert_eq!(broken(&office).await, (1100, 1100, 1100 * NET));
    assert_eq!(office.owner.balance("deferred:voucher").await, 0);
    office.the_books_are_right().await;
}
