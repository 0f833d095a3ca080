//! What messages say, when they may come, and who wants them.

pub(super) mod http;
mod store;

use std::collections::BTreeMap;

use jiff::{Timestamp, civil::Time, tz::TimeZone};
use serde::{Deserialize, Serialize};
use serde_json::json;
use shared::id::{SubscriberId, TenantId};
use uuid::Uuid;

use super::{
    Class, Draft, HIDDEN, Kind, MessageChannel, MessageError, Messages, Text, defaults,
    quiet::Quiet,
    template::{self, Facts},
};
use crate::{
    actor::Actor,
    audit, clock,
    db::{StoreError, Tx},
    prints::Language,
    words::{Email, Msisdn},
};

/// When messages are not sent, and how they are written if nobody says otherwise.
#[derive(Clone, Copy, Debug)]
pub struct Policy {
    pub language: Language,
    /// None: at any time.
    pub quiet: Option<Quiet>,
    pub version: i64,
}

impl Default for Policy {
    fn default() -> Self {
        let at = |hour| Time::constant(hour, 0, 0, 0);
        let quiet = Some(Quiet { from: at(21), until: at(7) });
        Self { language: Language::English, quiet, version: 0 }
    }
}

/// A text of a kind of message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Written {
    pub channel: MessageChannel,
    pub language: Language,
    pub subject: String,
    pub body: String,
    /// The tenant's; otherwise ours.
    #[serde(skip)]
    pub own: bool,
}

/// How a kind of message goes, and what it says.
#[derive(Clone, Debug)]
pub struct Texts {
    pub kind: Kind,
    pub channels: Vec<MessageChannel>,
    pub texts: Vec<Written>,
    pub version: i64,
}

impl Texts {
    pub(super) fn default(kind: Kind) -> Self {
        let mut texts =
            Self { kind, channels: kind.channels().to_vec(), texts: vec![], version: 0 };
        texts.complete();
        texts
    }

    /// With ours where the tenant has none.
    fn complete(&mut self) {
        for channel in [MessageChannel::Email, MessageChannel::Sms] {
            for language in [Language::English, Language::Swahili] {
                let is_there = |one: &Written| one.channel == channel && one.language == language;
                let ours = defaults::text(self.kind, channel, language);
                if let Some(Text { subject, body }) =
                    ours.filter(|_| !self.texts.iter().any(is_there))
                {
                    self.texts.push(Written { channel, language, subject, body, own: false });
                }
            }
        }
    }

    /// In this language; else in any, which is better than nothing.
    pub(super) fn text(
        &self,
        channel: MessageChannel,
        language: Language,
    ) -> Option<(Text, Language)> {
        let mut mine = self.texts.iter().filter(|one| one.channel == channel);
        let found = mine.clone().find(|one| one.language == language).or_else(|| mine.next())?;
        let (subject, body) = (found.subject.clone(), found.body.clone());
        Some((Text { subject, body }, found.language))
    }
}

/// What a subscriber has said about being written to.
#[derive(Clone, Debug)]
pub struct Consent {
    /// None: the tenant's.
    pub language: Option<Language>,
    pub transactional: Vec<MessageChannel>,
    pub marketing: Vec<MessageChannel>,
    pub said_by: Option<String>,
    pub said_at: Option<Timestamp>,
    pub version: i64,
}

impl Default for Consent {
    fn default() -> Self {
        Self {
            language: None,
            // WhatsApp wants that people are asked first.
            transactional: vec![MessageChannel::Email, MessageChannel::Sms],
            marketing: vec![],
            said_by: None,
            said_at: None,
            version: 0,
        }
    }
}

/// Somebody who may be written to.
pub(super) struct Reader {
    pub(super) name: String,
    pub(super) account: String,
    pub(super) msisdn: Option<Msisdn>,
    pub(super) email: Option<Email>,
    pub(super) consent: Consent,
}

impl Reader {
    pub(super) fn address(&self, channel: MessageChannel) -> Option<String> {
        match channel {
            MessageChannel::Email => self.email.as_ref().map(Email::to_string),
            MessageChannel::Sms | MessageChannel::Whatsapp => {
                self.msisdn.as_ref().map(Msisdn::to_string)
            }
        }
    }

    pub(super) fn language(&self, otherwise: Language) -> Language {
        self.consent.language.unwrap_or(otherwise)
    }

    pub(super) fn withheld(&self, channel: MessageChannel, class: Class) -> Option<&'static str> {
        let wanted = match class {
            Class::Transactional => &self.consent.transactional,
            Class::Marketing => &self.consent.marketing,
        };
        (!wanted.contains(&channel)).then_some("the subscriber has not agreed to it")
    }
}

impl Messages {
    pub async fn policy(&self, actor: &Actor) -> Result<Policy, StoreError> {
        policy_of(&mut self.db.staff(actor).await?, actor.tenant).await
    }

    pub async fn set_policy(
        &self,
        actor: &Actor,
        version: i64,
        policy: Policy,
    ) -> Result<Policy, MessageError> {
        let mut tx = self.db.staff(actor).await?;
        let Some(version) = store::set_policy(&mut tx, actor.tenant, version, policy).await? else {
            return Err(MessageError::Stale);
        };
        let after = json!({ "language": policy.language, "from": policy.quiet.map(|q| q.from),
            "until": policy.quiet.map(|q| q.until) });
        record(&mut tx, actor, "message_policy.set", "message_policy", "policy", after).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(Policy { version, ..policy })
    }

    /// Of every kind.
    pub async fn texts(&self, actor: &Actor) -> Result<Vec<Texts>, MessageError> {
        let mut tx = self.db.staff(actor).await?;
        let mut own = texts_of(&mut tx, actor.tenant).await?;
        let of = |kind: Kind| own.remove(kind.as_str()).unwrap_or_else(|| Texts::default(kind));
        Ok(Kind::WITH_TEXTS.into_iter().map(of).collect())
    }

    /// What stands here replaces what the tenant had of this kind; what is missing is ours.
    pub async fn set_texts(
        &self,
        actor: &Actor,
        version: i64,
        mut new: Texts,
    ) -> Result<Texts, MessageError> {
        for (n, written) in new.texts.iter().enumerate() {
            let text = Text { subject: written.subject.clone(), body: written.body.clone() };
            template::check(new.kind, written.channel, &text)
                .map_err(|(field, error)| MessageError::Text { n, field, error })?;
        }
        let mut tx = self.db.staff(actor).await?;
        let Some(version) = store::set_texts(&mut tx, actor.tenant, version, &new).await? else {
            return Err(MessageError::Stale);
        };
        let kind = new.kind.as_str();
        let after = json!({ "channels": new.channels, "texts": new.texts });
        record(&mut tx, actor, "message_template.set", "message_template", kind, after).await?;
        tx.commit().await.map_err(StoreError::from)?;
        for text in &mut new.texts {
            text.own = true;
        }
        new.version = version;
        new.complete();
        Ok(new)
    }

    pub async fn consent(
        &self,
        actor: &Actor,
        subscriber: SubscriberId,
    ) -> Result<Consent, MessageError> {
        let mut tx = self.db.staff(actor).await?;
        let found = reader(&mut tx, actor.tenant, subscriber).await?;
        Ok(found.ok_or(MessageError::UnknownSubscriber)?.consent)
    }

    pub async fn set_consent(
        &self,
        actor: &Actor,
        subscriber: SubscriberId,
        version: i64,
        new: Consent,
    ) -> Result<Consent, MessageError> {
        let mut tx = self.db.staff(actor).await?;
        let before = reader(&mut tx, actor.tenant, subscriber).await?;
        let before = before.ok_or(MessageError::UnknownSubscriber)?.consent;
        let now = clock::now();
        let by = actor.name();
        let set = store::set_consent(&mut tx, actor.tenant, subscriber, version, &new, &by, now);
        let Some(version) = set.await? else { return Err(MessageError::Stale) };
        let said = |consent: &Consent| {
            json!({ "language": consent.language, "transactional": consent.transactional,
                "marketing": consent.marketing })
        };
        let entry = audit::Entry {
            action: "subscriber.consent",
            object_kind: "subscriber",
            object_id: subscriber.to_string(),
            before: Some(said(&before)),
            after: Some(said(&new)),
        };
        audit::record(&mut tx, actor, entry).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(Consent { said_by: Some(by), said_at: Some(now), version, ..new })
    }
}

pub(super) async fn policy_of(tx: &mut Tx, tenant: TenantId) -> Result<Policy, StoreError> {
    Ok(store::policy(tx, tenant).await?.unwrap_or_default())
}

/// Those that the tenant has changed, by kind.
pub(super) async fn texts_of(
    tx: &mut Tx,
    tenant: TenantId,
) -> Result<BTreeMap<String, Texts>, StoreError> {
    let mut all = BTreeMap::new();
    for mut texts in store::texts(tx, tenant).await? {
        texts.complete();
        all.insert(texts.kind.as_str().to_owned(), texts);
    }
    Ok(all)
}

/// None: there is nobody any more.
pub(super) async fn reader(
    tx: &mut Tx,
    tenant: TenantId,
    subscriber: SubscriberId,
) -> Result<Option<Reader>, StoreError> {
    store::reader(tx, tenant, subscriber).await
}

/// A message with a secret to somebody who is no subscriber, or not known to be one.
pub(super) async fn secret(
    tx: &mut Tx,
    tenant: TenantId,
    kind: Kind,
    channel: MessageChannel,
    to: &str,
    key: Uuid,
    until: Timestamp,
) -> Result<Draft, StoreError> {
    let policy = policy_of(tx, tenant).await?;
    let mut own = texts_of(tx, tenant).await?;
    let texts = own.remove(kind.as_str()).unwrap_or_else(|| Texts::default(kind));
    let (text, language) = texts.text(channel, policy.language).unwrap_or_else(|| {
        let body = format!("{{{}}}", kind.needs().first().unwrap_or(&"provider"));
        (Text { subject: String::new(), body }, policy.language)
    });
    let zone = crate::tenants::zone(tx, tenant).await?;
    let mut facts = Facts::from([
        ("provider", store::provider_name(tx, tenant).await?),
        ("date", day_and_time(until, &zone)),
    ]);
    for secret in kind.needs() {
        facts.insert(secret, HIDDEN.to_owned());
    }
    let (subject, body) =
        (template::fill(&text.subject, &facts), template::fill(&text.body, &facts));
    Ok(Draft {
        id: Uuid::now_v7(),
        kind,
        key: key.to_string(),
        class: Class::Transactional,
        channel,
        language,
        recipient: to.to_owned(),
        subscriber: None,
        text: Text { subject, body },
        secret: None,
        facts: Vec::new(),
        attachment: None,
        withheld: None,
        due_at: clock::now(),
    })
}

pub(super) fn day(at: Timestamp, zone: &TimeZone) -> String {
    at.to_zoned(zone.clone()).date().to_string()
}

fn day_and_time(at: Timestamp, zone: &TimeZone) -> String {
    at.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M").to_string()
}

async fn record(
    tx: &mut Tx,
    actor: &Actor,
    action: &'static str,
    object_kind: &'static str,
    object: &str,
    after: serde_json::Value,
) -> Result<(), StoreError> {
    let object_id = object.to_owned();
    let entry = audit::Entry { action, object_kind, object_id, before: None, after: Some(after) };
    audit::record(tx, actor, entry).await
}
