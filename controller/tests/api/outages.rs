//! What was down is made good once: at the end of the term, or on the next invoice.

use controller::{
    actor::Actor,
    outages::{NewOutage, OutageError},
};
use serde_json::json;

use crate::{
    office::{Office, at, days, home, uuid_of},
    world::World,
};

#[tokio::test]
async fn a_lost_hour_is_made_good_once() {
    let world = World::new().await;
    let mut office = Office::new(&world, "2027-04-01T00:00:00Z").await;
    let version = office.plan("home", home(150_000)).await;
    let mut terms = home(310_000);
    terms["billing"] = json!("postpaid");
    let postpaid = office.plan("office", terms).await;
    let (amina, id) = office.subscription("amina", &version, true).await;
    let (_, other) = office.subscription("brian", &postpaid, false).await;
    office.pay(&amina, 300_000).await;
    office
        .run(&format!(
            "UPDATE subscription SET state = 'active', bill_anchor = '2027-04-01T00:00Z',
               term_start = '2027-04-01T00:00Z', term_end = '2027-05-01T00:00Z', term_no = 1,
               due_at = '2027-04-01T00:00Z' WHERE id = '{}'",
            uuid_of(&other)
        ))
        .await;
    office.go("2027-04-10T12:00:00Z").await;
    let actor = Actor::command_line(office.tenant);
    let record = async |start: &str, end: &str, attributable| {
        let new = NewOutage {
            edge: None,
            start: at(start),
            end: at(end),
            cause: "the fibre was cut".parse().unwrap(),
            attributable,
            evidence: [7; 32],
        };
        let now = at("2027-04-10T12:00:00Z");
        world.app.outages().record_at(&actor, None, &new, now).await
    };
    let made = record("2027-04-10T08:00:00Z", "2027-04-10T08:47:00Z", true).await.unwrap();
    assert_eq!(made.value.credits, 2);
    let again = record("2027-04-10T08:30:00Z", "2027-04-10T08:40:00Z", true).await;
    assert!(matches!(again, Err(OutageError::RecordedAlready)), "{again:?}");
    // Whose fault it was not gives nothing.
    let storm = record("2027-04-10T10:00:00Z", "2027-04-10T11:00:00Z", false).await.unwrap();
    assert_eq!(storm.value.credits, 0);
    // 47 minutes more; the net price of 47 minutes of 30 days: 112444 * 2820 / 2592000.
    let (_, end) = office.periods(&id).await.pop().unwrap();
    assert_eq!(end, "2027-05-01T00:47:00Z");
    let credits = "SELECT string_agg(how || ' ' || cents, ', ' ORDER BY how) FROM outage_credit";
    assert_eq!(office.sql(credits).await, "credit_note 337, extend_period 122");
    office.go("2027-05-02T00:00:00Z").await;
    let periods = office.periods(&id).await;
    assert_eq!(
        days(&periods),
        ["2027-04-01T00:00:00Z 2027-05-01T00:47:00Z", "2027-05-01T00:47:00Z 2027-06-01T00:47:00Z"]
    );
    let line = "SELECT net_cents + excise_cents + vat_cents FROM invoice_line
                 WHERE kind = 'sla_credit'";
    assert_eq!(office.sql(line).await, "-337");
    office.the_books_are_right().await;
}
