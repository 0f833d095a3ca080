//! Webhooks: programs of the tenant's own that are told what was changed.
//!
//! What is told is written in the transaction of the change (the database sees to it), and sent
//! after it: signed, again and again with growing pauses, until it is taken or given up. What was
//! given up can be sent again. It may come twice or in another order: the id is always the same.

pub mod http;
mod send;
mod store;

use jiff::Timestamp;
use serde_json::json;
use shared::{
    id::{AuditId, WebhookId},
    secret::Secret,
};
use uuid::Uuid;

pub use self::send::Courier;
pub(crate) use self::send::sign;
use crate::{
    actor::Actor,
    audit, clock,
    db::{AsStoreError, Db, StoreError, Tx},
    idempotency::{self, Claim, ClaimError, Key, Made},
    seal::{Place, Seal},
    token,
    words::{NotAWord, choices},
};

choices! {
    DeliveryState {
        Waiting = "waiting",
        Delivered = "delivered",
        // Given up.
        Dead = "dead",
    }
}

#[derive(Clone, Debug)]
pub struct Webhook {
    pub id: WebhookId,
    pub url: Url,
    pub events: Vec<Pattern>,
    pub active: bool,
    pub version: i64,
    pub created_at: Timestamp,
}

#[derive(Clone, Debug)]
pub struct NewWebhook {
    pub url: Url,
    pub events: Vec<Pattern>,
}

/// What is absent stays.
#[derive(Clone, Debug, Default)]
pub struct WebhookChange {
    pub url: Option<Url>,
    pub events: Option<Vec<Pattern>>,
    pub active: Option<bool>,
}

/// One change, and what came of telling it.
#[derive(Clone, Debug)]
pub struct Delivery {
    pub id: AuditId,
    pub event: String,
    pub state: DeliveryState,
    pub attempts: i32,
    pub due_at: Timestamp,
    pub status: Option<i32>,
    pub error: Option<String>,
    pub delivered_at: Option<Timestamp>,
}

/// Where it is told.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(transparent)]
pub struct Url(String);

impl std::str::FromStr for Url {
    type Err = NotAWord;

    fn from_str(text: &str) -> Result<Self, NotAWord> {
        let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
        let host = rest.map(|rest| rest.split(['/', '?', '#']).next().unwrap_or_default());
        // A password in it would be in every log on the way.
        let fits = host.is_some_and(|host| !host.is_empty() && !host.contains('@'))
            && text.len() <= 500
            && text.bytes().all(|byte| byte.is_ascii_graphic());
        if fits {
            Ok(Self(text.to_owned()))
        } else {
            Err(NotAWord("a place like https://host/path"))
        }
    }
}

impl Url {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// `invoice.finalise`, `invoice.*` or `*`.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(transparent)]
pub struct Pattern(String);

impl std::str::FromStr for Pattern {
    type Err = NotAWord;

    fn from_str(text: &str) -> Result<Self, NotAWord> {
        let word = |word: &str| {
            !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
        };
        let fits = text == "*"
            || text.split_once('.').is_some_and(|(noun, verb)| {
                word(noun) && (verb == "*" || verb.split('.').all(word))
            });
        let fits = fits && text.len() <= 100;
        let expected = "an event like invoice.finalise, invoice.* or *";
        if fits { Ok(Self(text.to_owned())) } else { Err(NotAWord(expected)) }
    }
}

impl Pattern {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    #[error("there is no such webhook")]
    Unknown,
    #[error("it was changed since")]
    Stale,
    #[error(transparent)]
    Claim(#[from] ClaimError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl AsStoreError for WebhookError {
    fn as_store_error(&self) -> Option<&StoreError> {
        match self {
            Self::Store(error) | Self::Claim(ClaimError::Store(error)) => Some(error),
            Self::Unknown | Self::Stale | Self::Claim(_) => None,
        }
    }
}

#[derive(Clone, Debug)]
pub struct Webhooks {
    db: Db,
    seal: Seal,
}

impl Webhooks {
    pub const fn new(db: Db, seal: Seal) -> Self {
        Self { db, seal }
    }

    pub async fn list(
        &self,
        actor: &Actor,
        after: Uuid,
        limit: i64,
    ) -> Result<Vec<Webhook>, StoreError> {
        let mut tx = self.db.staff(actor).await?;
        store::list(&mut tx, actor.tenant, None, after, limit).await
    }

    pub async fn find(&self, actor: &Actor, id: WebhookId) -> Result<Webhook, WebhookError> {
        find(&mut self.db.staff(actor).await?, actor, id).await
    }

    /// With the secret that it is signed with, told this once.
    pub async fn create(
        &self,
        actor: &Actor,
        key: Option<&Key>,
        new: NewWebhook,
    ) -> Result<Made<(Webhook, Option<Secret>)>, WebhookError> {
        let mut tx = self.db.staff(actor).await?;
        let id = WebhookId::from_uuid(Uuid::now_v7());
        let secret = Secret::new(token::random());
        let once = Some((&self.seal, &secret));
        if let Claim::Before { object, once } =
            idempotency::claim(&mut tx, actor, key, *id.as_uuid(), once).await?
        {
            let webhook = find(&mut tx, actor, WebhookId::from_uuid(object)).await?;
            return Ok(Made { value: (webhook, once), replayed: true });
        }
        let NewWebhook { url, events } = new;
        let created_at = clock::now();
        let webhook = Webhook { id, url, events, active: true, version: 1, created_at };
        let sealed = self.seal.seal(&place(actor.tenant, id), &secret);
        store::insert(&mut tx, actor.tenant, &webhook, &sealed).await?;
        record(&mut tx, actor, "webhook.create", None, &webhook).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(Made { value: (webhook, Some(secret)), replayed: false })
    }

    pub async fn update(
        &self,
        actor: &Actor,
        id: WebhookId,
        version: i64,
        change: WebhookChange,
    ) -> Result<Webhook, WebhookError> {
        let mut tx = self.db.staff(actor).await?;
        let before = find(&mut tx, actor, id).await?;
        let after = Webhook {
            url: change.url.unwrap_or_else(|| before.url.clone()),
            events: change.events.unwrap_or_else(|| before.events.clone()),
            active: change.active.unwrap_or(before.active),
            version: version + 1,
            ..before.clone()
        };
        if !store::update(&mut tx, actor.tenant, &after, version).await? {
            return Err(WebhookError::Stale);
        }
        record(&mut tx, actor, "webhook.update", Some(&before), &after).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(after)
    }

    /// In the order of the changes.
    pub async fn deliveries(
        &self,
        actor: &Actor,
        id: WebhookId,
        state: Option<DeliveryState>,
        after: Uuid,
        limit: i64,
    ) -> Result<Vec<Delivery>, WebhookError> {
        let mut tx = self.db.staff(actor).await?;
        find(&mut tx, actor, id).await?;
        Ok(store::deliveries(&mut tx, actor.tenant, id, state, after, limit).await?)
    }

    /// Sends again what was given up; says how many these are.
    pub async fn replay(&self, actor: &Actor, id: WebhookId) -> Result<u64, WebhookError> {
        let mut tx = self.db.staff(actor).await?;
        let webhook = find(&mut tx, actor, id).await?;
        let count = store::replay(&mut tx, actor.tenant, id, clock::now()).await?;
        record(&mut tx, actor, "webhook.replay", None, &webhook).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(count)
    }
}

fn place(tenant: shared::id::TenantId, id: WebhookId) -> Place {
    Place { tenant, table: "webhook", row: *id.as_uuid(), column: "secret_sealed" }
}

async fn find(tx: &mut Tx, actor: &Actor, id: WebhookId) -> Result<Webhook, WebhookError> {
    let mut found = store::list(tx, actor.tenant, Some(id), Uuid::nil(), 1).await?;
    found.pop().ok_or(WebhookError::Unknown)
}

async fn record(
    tx: &mut Tx,
    actor: &Actor,
    action: &'static str,
    before: Option<&Webhook>,
    after: &Webhook,
) -> Result<(), StoreError> {
    let snapshot = |webhook: &Webhook| json!({ "url": webhook.url, "events": webhook.events, "active": webhook.active });
    let entry = audit::Entry {
        action,
        object_kind: "webhook",
        object_id: after.id.to_string(),
        before: before.map(snapshot),
        after: Some(snapshot(after)),
    };
    audit::record(tx, actor, entry).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_and_events_are_checked() {
        for right in ["https://a.example/x?y=z", "http://127.0.0.1:80/"] {
            assert!(right.parse::<Url>().is_ok(), "{right}");
        }
        for wrong in ["", "ftp://a", "https://", "https://u:p@a/", "https://a b/", "a.example"] {
            assert!(wrong.parse::<Url>().is_err(), "{wrong}");
        }
        for right in ["*", "invoice.*", "invoice.finalise", "voucher_batch.sell"] {
            assert!(right.parse::<Pattern>().is_ok(), "{right}");
        }
        for wrong in ["", "invoice", "*.finalise", "Invoice.x", "invoice.", ".x"] {
            assert!(wrong.parse::<Pattern>().is_err(), "{wrong}");
        }
    }
}
