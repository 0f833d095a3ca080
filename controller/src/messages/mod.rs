//! Messages: what subscribers and staff are told by e-mail, SMS and WhatsApp.
//!
//! What happens is written down as an occasion in the transaction in which it happens (the
//! database sees to it). [`occasions`] makes messages of it, once for each channel and recipient,
//! as far as the recipient wants them; [`queue`] sends them when it is their time; [`reports`]
//! hears what became of them. A message is sent at most once: one of which nobody knows whether it
//! was taken is given up, and staff may send it again. Start at [`Messages::round`].

mod carriers;
mod defaults;
pub mod http;
mod occasions;
mod providers;
mod queue;
mod quiet;
mod reports;
mod segments;
mod store;
mod template;
mod texts;
mod words;

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use serde_json::json;
use shared::{
    daemon::Chain,
    id::{MessageId, MessageProviderId, SubscriberId, TenantId},
    secret::Secret,
};
use uuid::Uuid;

pub use self::{
    carriers::{Security, Setup},
    providers::{NewProvider, Provider, ProviderChange},
    quiet::Quiet,
    template::{Text, TextError},
    texts::{Consent, Policy, Texts, Written},
    words::{Class, Kind, MessageChannel, MessageState},
};
use crate::{
    actor::Actor,
    audit, clock,
    db::{Db, StoreError, Tx},
    idempotency::{self, Claim, ClaimError, Key, Made},
    prints::{Language, PrintError, Prints},
    reach::Outward,
    seal::{self, Place, Seal},
    words::{Email, Msisdn, Name},
};

/// As it stands. What only its recipient may know is not in it.
#[derive(Clone, Debug)]
pub struct Message {
    pub id: MessageId,
    pub kind: Kind,
    pub class: Class,
    pub channel: MessageChannel,
    pub language: Language,
    pub recipient: String,
    pub subscriber: Option<SubscriberId>,
    pub subject: String,
    pub body: String,
    /// SMS: in how many parts it is sent.
    pub segments: Option<u16>,
    pub state: MessageState,
    pub attempts: i32,
    pub due_at: Timestamp,
    pub provider: Option<MessageProviderId>,
    /// What the provider calls it.
    pub reference: Option<String>,
    /// Millionths of a currency.
    pub cost: Option<(i64, String)>,
    /// Why it was not sent or not delivered.
    pub said: Option<String>,
    pub created_at: Timestamp,
    pub sent_at: Option<Timestamp>,
    pub done_at: Option<Timestamp>,
}

/// One that is to be written down.
struct Draft {
    id: Uuid,
    kind: Kind,
    key: String,
    class: Class,
    channel: MessageChannel,
    language: Language,
    recipient: String,
    subscriber: Option<SubscriberId>,
    text: Text,
    /// Stands where the text has [`HIDDEN`].
    secret: Option<Secret>,
    facts: Vec<String>,
    attachment: Option<Uuid>,
    /// Why it is not sent; none: it is.
    withheld: Option<&'static str>,
    due_at: Timestamp,
}

/// What staff writes to a subscriber.
#[derive(Clone, Debug)]
pub struct NewMessage {
    pub subscriber: SubscriberId,
    pub channel: MessageChannel,
    pub class: Class,
    /// Of an e-mail.
    pub subject: Option<Name>,
    pub body: crate::words::Text,
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Filter {
    pub subscriber: Option<SubscriberId>,
    pub state: Option<MessageState>,
}

#[derive(Debug, thiserror::Error)]
pub enum MessageError {
    #[error("there is no such message")]
    Unknown,
    #[error("there is no such provider")]
    UnknownProvider,
    #[error("there is no such subscriber")]
    UnknownSubscriber,
    #[error("another provider carries messages of this channel; switch it off first")]
    ChannelTaken,
    #[error("no provider is set up for this channel")]
    NoProvider,
    #[error("the subscriber has no address for this channel")]
    NoAddress,
    #[error(
        "only a message that was given up is sent again, and only as long as all of it is kept"
    )]
    NotAgain,
    #[error("`{field}`: {message}")]
    Setup { field: &'static str, message: &'static str },
    #[error("text {n}: {error}")]
    Text { n: usize, field: &'static str, error: TextError },
    #[error("it was changed since")]
    Stale,
    #[error("its secrets do not open")]
    Seal(#[from] seal::OpenError),
    #[error("what is stored of it cannot be read")]
    Corrupt(#[from] serde_json::Error),
    #[error("the attachment cannot be made")]
    Print(#[from] PrintError),
    #[error(transparent)]
    Claim(#[from] ClaimError),
    #[error(transparent)]
    Store(StoreError),
}

impl From<StoreError> for MessageError {
    fn from(error: StoreError) -> Self {
        match error.constraint() {
            Some("message_provider_active") => Self::ChannelTaken,
            Some(_) | None => Self::Store(error),
        }
    }
}

/// What this domain needs from the rest of the program. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Messages {
    db: Db,
    seal: Seal,
    outward: Outward,
    prints: Prints,
    public_url: Arc<str>,
}

impl Messages {
    /// `public_url`: where providers reach this controller.
    pub fn new(db: Db, seal: Seal, outward: Outward, prints: Prints, public_url: &str) -> Self {
        let public_url = public_url.trim_end_matches('/').into();
        Self { db, seal, outward, prints, public_url }
    }

    pub const fn outward(&self) -> &Outward {
        &self.outward
    }

    pub async fn run(self) {
        let mut often = tokio::time::interval(EVERY);
        loop {
            often.tick().await;
            if let Err(error) = self.round(clock::now()).await {
                tracing::error!(error = %Chain(&error), "messages are not sent");
            }
        }
    }

    /// For each tenant: hears reports, makes messages of occasions, sends those that are due.
    /// Says how many a provider took. Several controllers may do so at once.
    pub async fn round(&self, now: Timestamp) -> Result<u64, StoreError> {
        let mut taken = 0;
        for tenant in audit::tenants(&self.db).await? {
            // What fails in one tenant, or in one of the three, keeps nobody else waiting.
            for failed in [self.hear(tenant, now).await, self.compose(tenant, now).await] {
                if let Err(error) = failed {
                    tracing::error!(%tenant, error = %Chain(&error), "messages are held up");
                }
            }
            match self.send_due(tenant, now).await {
                Ok(sent) => taken += sent,
                Err(error) => {
                    tracing::error!(%tenant, error = %Chain(&error), "messages are not sent");
                }
            }
        }
        Ok(taken)
    }

    pub async fn list(
        &self,
        actor: &Actor,
        filter: Filter,
        after: Uuid,
        limit: i64,
    ) -> Result<Vec<Message>, StoreError> {
        let mut tx = self.db.staff(actor).await?;
        store::list(&mut tx, actor.tenant, None, filter, after, limit).await
    }

    pub async fn find(&self, actor: &Actor, id: MessageId) -> Result<Message, MessageError> {
        find(&mut self.db.staff(actor).await?, actor.tenant, id).await
    }

    /// Staff writes to a subscriber, who may not want it: then it is written down and withheld.
    pub async fn write(
        &self,
        actor: &Actor,
        key: Option<&Key>,
        new: NewMessage,
    ) -> Result<Made<Message>, MessageError> {
        let mut tx = self.db.staff(actor).await?;
        let id = Uuid::now_v7();
        if let Claim::Before { object, once: _ } =
            idempotency::claim(&mut tx, actor, key, id, None).await?
        {
            let value = find(&mut tx, actor.tenant, MessageId::from_uuid(object)).await?;
            return Ok(Made { value, replayed: true });
        }
        if !providers::is_there(&mut tx, actor.tenant, new.channel).await? {
            return Err(MessageError::NoProvider);
        }
        // What WhatsApp carries it has approved before.
        if new.channel == MessageChannel::Whatsapp {
            return Err(MessageError::NoProvider);
        }
        let to = texts::reader(&mut tx, actor.tenant, new.subscriber).await?;
        let to = to.ok_or(MessageError::UnknownSubscriber)?;
        let policy = texts::policy_of(&mut tx, actor.tenant).await?;
        let zone = crate::tenants::zone(&mut tx, actor.tenant).await?;
        let recipient = to.address(new.channel).ok_or(MessageError::NoAddress)?;
        let subject = new.subject.map_or_else(String::new, |subject| subject.to_string());
        let draft = Draft {
            id,
            kind: Kind::Note,
            key: id.to_string(),
            class: new.class,
            channel: new.channel,
            language: to.language(policy.language),
            recipient,
            subscriber: Some(new.subscriber),
            text: Text { subject, body: new.body.as_str().to_owned() },
            secret: None,
            facts: Vec::new(),
            attachment: None,
            withheld: to.withheld(new.channel, new.class),
            due_at: quiet::allowed(clock::now(), policy.quiet, &zone),
        };
        self.put(&mut tx, actor.tenant, draft).await?;
        let value = find(&mut tx, actor.tenant, MessageId::from_uuid(id)).await?;
        record(&mut tx, actor, "message.write", &value).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(Made { value, replayed: false })
    }

    /// Sends again what was given up.
    pub async fn resend(&self, actor: &Actor, id: MessageId) -> Result<Message, MessageError> {
        let mut tx = self.db.staff(actor).await?;
        find(&mut tx, actor.tenant, id).await?;
        if !store::resend(&mut tx, actor.tenant, id, HIDDEN, clock::now()).await? {
            return Err(MessageError::NotAgain);
        }
        let value = find(&mut tx, actor.tenant, id).await?;
        record(&mut tx, actor, "message.resend", &value).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(value)
    }

    /// Writes it down, unless the same was told before.
    async fn put(&self, tx: &mut Tx, tenant: TenantId, draft: Draft) -> Result<(), StoreError> {
        let place = place(tenant, draft.id);
        let sealed = draft.secret.as_ref().map(|secret| self.seal.seal(&place, secret));
        let parts = (draft.channel == MessageChannel::Sms).then(|| {
            let body = draft
                .secret
                .as_ref()
                .map(|secret| draft.text.body.replace(HIDDEN, secret.expose()));
            segments::count(body.as_ref().unwrap_or(&draft.text.body))
        });
        store::insert(tx, tenant, &draft, sealed.as_deref(), parts, clock::now()).await
    }
}

/// For a member of staff, or who is to be one.
pub(crate) struct Link<'a> {
    pub(crate) kind: Kind,
    pub(crate) to: &'a Email,
    /// What it is about: it is sent once.
    pub(crate) key: Uuid,
    pub(crate) secret: &'a Secret,
    pub(crate) until: Timestamp,
}

/// For somebody who says that they have a number.
pub(crate) struct Code<'a> {
    pub(crate) to: &'a Msisdn,
    /// What it is about: it is sent once.
    pub(crate) key: Uuid,
    pub(crate) secret: &'a Secret,
    pub(crate) until: Timestamp,
}

/// Does anybody carry SMS for this tenant?
pub(crate) async fn carries_sms(tx: &mut Tx, tenant: TenantId) -> Result<bool, StoreError> {
    providers::is_there(tx, tenant, MessageChannel::Sms).await
}

/// Sends a code that only its reader may know, in the transaction of who makes it.
pub(crate) async fn send_code(
    tx: &mut Tx,
    seal: &Seal,
    tenant: TenantId,
    letter: &Code<'_>,
) -> Result<(), StoreError> {
    let Code { to, key, secret, until } = letter;
    let to = to.as_str();
    let draft =
        texts::secret(tx, tenant, Kind::Code, MessageChannel::Sms, to, *key, *until).await?;
    let sealed = seal.seal(&place(tenant, draft.id), secret);
    let parts = segments::count(&draft.text.body.replace(HIDDEN, secret.expose()));
    store::insert(tx, tenant, &draft, Some(&sealed), Some(parts), clock::now()).await
}

/// Does anybody carry e-mail for this tenant?
pub(crate) async fn carries_mail(tx: &mut Tx, tenant: TenantId) -> Result<bool, StoreError> {
    providers::is_there(tx, tenant, MessageChannel::Email).await
}

/// Sends a link that only its reader may know, in the transaction of who makes it.
pub(crate) async fn mail_link(
    tx: &mut Tx,
    seal: &Seal,
    tenant: TenantId,
    letter: &Link<'_>,
) -> Result<(), StoreError> {
    let Link { kind, to, key, secret, until } = letter;
    let to = to.as_str();
    let draft = texts::secret(tx, tenant, *kind, MessageChannel::Email, to, *key, *until).await?;
    let sealed = seal.seal(&place(tenant, draft.id), secret);
    store::insert(tx, tenant, &draft, Some(&sealed), None, clock::now()).await
}

fn place(tenant: TenantId, row: Uuid) -> Place {
    Place { tenant, table: "message", row, column: "secret_sealed" }
}

async fn find(tx: &mut Tx, tenant: TenantId, id: MessageId) -> Result<Message, MessageError> {
    let found = store::list(tx, tenant, Some(id), Filter::default(), Uuid::nil(), 1).await?;
    found.into_iter().next().ok_or(MessageError::Unknown)
}

/// Not what it says: that is in the message, and goes with it.
async fn record(
    tx: &mut Tx,
    actor: &Actor,
    action: &'static str,
    message: &Message,
) -> Result<(), StoreError> {
    let entry = audit::Entry {
        action,
        object_kind: "message",
        object_id: message.id.to_string(),
        before: None,
        after: Some(json!({
            "kind": message.kind, "class": message.class, "channel": message.channel,
            "subscriber": message.subscriber,
        })),
    };
    audit::record(tx, actor, entry).await
}

/// What stands for a secret in what is kept.
const HIDDEN: &str = "•••••";
const EVERY: Duration = Duration::from_secs(2);
