//! Makes messages of what happened: in the reader's language, for each channel that they want.

mod store;

use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use serde_json::Value;
use shared::id::{ResellerId, SubscriberId, TenantId};
use uuid::Uuid;

use super::{
    Class, Draft, Kind, MessageChannel, MessageError, Messages, Text, providers, quiet,
    template::{self, Facts},
    texts::{self, Policy, Reader, Texts},
};
use crate::{
    db::{StoreError, Tx},
    tenants,
};

/// What happened.
struct Occasion {
    kind: Kind,
    key: String,
    about: About,
    facts: Value,
    subject: Uuid,
    at: Timestamp,
}

/// Who is told.
#[derive(Clone, Copy)]
enum About {
    Subscriber(SubscriberId),
    Reseller(ResellerId),
}

impl About {
    const fn subscriber(self) -> Option<SubscriberId> {
        match self {
            Self::Subscriber(id) => Some(id),
            Self::Reseller(_) => None,
        }
    }

    async fn reader(self, tx: &mut Tx, tenant: TenantId) -> Result<Option<Reader>, StoreError> {
        match self {
            Self::Subscriber(id) => texts::reader(tx, tenant, id).await,
            Self::Reseller(id) => store::seller(tx, tenant, id).await,
        }
    }
}

/// What is the same for all messages of a tenant.
struct House {
    name: String,
    currency: String,
    zone: TimeZone,
    policy: Policy,
    channels: Vec<MessageChannel>,
}

impl Messages {
    /// Of every occasion that is new.
    pub(super) async fn compose(
        &self,
        tenant: TenantId,
        now: Timestamp,
    ) -> Result<(), MessageError> {
        loop {
            let mut tx = self.db.tenant(tenant).await?;
            let new = store::take(&mut tx, tenant, now, TAKE).await?;
            let took = new.len();
            if took == 0 {
                return Ok(());
            }
            let house = open(&mut tx, tenant).await?;
            let mut own = texts::texts_of(&mut tx, tenant).await?;
            for occasion in new {
                // What is told too late confuses: a provider that was away for days, old data.
                if occasion.at < now - OLD {
                    continue;
                }
                let reader = occasion.about.reader(&mut tx, tenant).await?;
                let Some(reader) = reader else { continue };
                let texts = own
                    .entry(occasion.kind.as_str().to_owned())
                    .or_insert_with(|| Texts::default(occasion.kind));
                for draft in drafts(&house, &occasion, &reader, texts, now) {
                    self.put(&mut tx, tenant, draft).await?;
                }
            }
            tx.commit().await.map_err(StoreError::from)?;
            if took < usize::try_from(TAKE).unwrap_or(usize::MAX) {
                return Ok(());
            }
        }
    }
}

async fn open(tx: &mut Tx, tenant: TenantId) -> Result<House, StoreError> {
    let (name, currency) = store::house(tx, tenant).await?;
    let mut channels = Vec::new();
    for channel in [MessageChannel::Email, MessageChannel::Sms, MessageChannel::Whatsapp] {
        if providers::is_there(tx, tenant, channel).await? {
            channels.push(channel);
        }
    }
    let zone = tenants::zone(tx, tenant).await?;
    let policy = texts::policy_of(tx, tenant).await?;
    Ok(House { name, currency, zone, policy, channels })
}

/// Pure.
fn drafts(
    house: &House,
    occasion: &Occasion,
    reader: &Reader,
    texts: &Texts,
    now: Timestamp,
) -> Vec<Draft> {
    let facts = facts(house, occasion, reader);
    let mut drafts = Vec::new();
    for channel in &texts.channels {
        let Some(recipient) = reader.address(*channel) else { continue };
        if !house.channels.contains(channel) {
            continue;
        }
        let wanted = reader.language(house.policy.language);
        let Some((text, language)) = texts.text(*channel, wanted) else { continue };
        let due_at = if occasion.kind.is_urgent() {
            now
        } else {
            quiet::allowed(now, house.policy.quiet, &house.zone)
        };
        let in_order = match channel {
            MessageChannel::Whatsapp => template::named(&text.body, &facts),
            MessageChannel::Email | MessageChannel::Sms => Vec::new(),
        };
        let body = template::fill(&text.body, &facts);
        let subject = match channel {
            // It is called so, and nothing is put into it.
            MessageChannel::Whatsapp => text.subject,
            MessageChannel::Email | MessageChannel::Sms => template::fill(&text.subject, &facts),
        };
        let attached = occasion.kind == Kind::Invoice && *channel == MessageChannel::Email;
        drafts.push(Draft {
            id: Uuid::now_v7(),
            kind: occasion.kind,
            key: occasion.key.clone(),
            class: Class::Transactional,
            channel: *channel,
            language,
            recipient,
            subscriber: occasion.about.subscriber(),
            text: Text { subject, body },
            secret: None,
            facts: in_order,
            attachment: attached.then_some(occasion.subject),
            withheld: reader.withheld(*channel, Class::Transactional),
            due_at,
        });
    }
    drafts
}

fn facts(house: &House, occasion: &Occasion, reader: &Reader) -> Facts {
    let told = |name: &str| occasion.facts.get(name).and_then(Value::as_str).map(str::to_owned);
    let mut facts = Facts::from([
        ("name", reader.name.clone()),
        ("account", reader.account.clone()),
        ("provider", house.name.clone()),
    ]);
    for name in ["plan", "days", "receipt", "number", "serial", "reference", "title", "count"] {
        if let Some(told) = told(name) {
            facts.insert(name, told);
        }
    }
    if let Some(cents) = occasion.facts.get("cents").and_then(Value::as_i64) {
        facts.insert("amount", money(&house.currency, cents));
    }
    // A moment is another day elsewhere; a day is not.
    let moment = told("at").and_then(|at| at.parse().ok());
    if let Some(date) = moment.map(|at| texts::day(at, &house.zone)).or_else(|| told("on")) {
        facts.insert("date", date);
    }
    facts
}

/// `KES 2,500.00`
fn money(currency: &str, cents: i64) -> String {
    let (whole, part) = (cents.unsigned_abs() / 100, cents.unsigned_abs() % 100);
    let digits = whole.to_string();
    let mut grouped = String::new();
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    let sign = if cents < 0 { "-" } else { "" };
    format!("{currency} {sign}{grouped}.{part:02}")
}

const TAKE: i64 = 100;
const OLD: SignedDuration = SignedDuration::from_hours(3 * 24);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_is_read_by_people() {
        for (cents, text) in [
            (0, "KES 0.00"),
            (5, "KES 0.05"),
            (99_999, "KES 999.99"),
            (100_000, "KES 1,000.00"),
            (123_456_789, "KES 1,234,567.89"),
            (-150, "KES -1.50"),
        ] {
            assert_eq!(money("KES", cents), text);
        }
    }
}
