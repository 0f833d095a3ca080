//! Who carries messages for a tenant: its mail server, its accounts at SMS and WhatsApp providers.
//! What opens them is sealed and never shown.

pub(super) mod http;
mod store;

use jiff::Timestamp;
use serde_json::{Value, json};
use shared::{
    id::{MessageId, MessageProviderId, TenantId},
    secret::Secret,
};
use uuid::Uuid;

use super::{
    Class, Draft, Kind, Message, MessageChannel, MessageError, Messages, Setup, Text, carriers,
    carriers::{Carrier, Secrets},
    defaults, find,
    template::{self, Facts},
    texts,
};
use crate::{
    actor::Actor,
    audit, clock,
    db::{StoreError, Tx},
    idempotency::{self, Claim, Key, Made},
    seal::Place,
    token,
    words::Name,
};

#[derive(Clone, Debug)]
pub struct Provider {
    pub id: MessageProviderId,
    pub channel: MessageChannel,
    pub name: Name,
    pub setup: Setup,
    /// It carries what is sent over its channel.
    pub active: bool,
    pub version: i64,
    pub created_at: Timestamp,
}

impl Provider {
    fn snapshot(&self) -> Value {
        json!({ "channel": self.channel, "name": self.name, "setup": self.setup,
            "active": self.active })
    }
}

#[derive(Clone, Debug)]
pub struct NewProvider {
    pub name: Name,
    pub setup: Setup,
    pub secret: Option<Secret>,
    pub report_secret: Option<Secret>,
}

/// What is absent stays.
#[derive(Clone, Debug, Default)]
pub struct ProviderChange {
    pub name: Option<Name>,
    pub setup: Option<Setup>,
    pub secret: Option<Secret>,
    pub report_secret: Option<Secret>,
    pub active: Option<bool>,
}

impl Messages {
    pub async fn providers(
        &self,
        actor: &Actor,
        after: Uuid,
        limit: i64,
    ) -> Result<Vec<Provider>, StoreError> {
        let mut tx = self.db.staff(actor).await?;
        store::list(&mut tx, actor.tenant, None, after, limit).await
    }

    pub async fn provider(
        &self,
        actor: &Actor,
        id: MessageProviderId,
    ) -> Result<Provider, MessageError> {
        provider(&mut self.db.staff(actor).await?, actor.tenant, id).await
    }

    pub async fn add_provider(
        &self,
        actor: &Actor,
        key: Option<&Key>,
        new: NewProvider,
    ) -> Result<Made<Provider>, MessageError> {
        let mut tx = self.db.staff(actor).await?;
        let id = MessageProviderId::from_uuid(Uuid::now_v7());
        if let Claim::Before { object, once: _ } =
            idempotency::claim(&mut tx, actor, key, *id.as_uuid(), None).await?
        {
            let object = MessageProviderId::from_uuid(object);
            let value = provider(&mut tx, actor.tenant, object).await?;
            return Ok(Made { value, replayed: true });
        }
        let NewProvider { name, setup, secret, report_secret } = new;
        let secrets = Secrets { secret, report_secret };
        check(&setup, &secrets)?;
        let value = Provider {
            id,
            channel: setup.channel(),
            name,
            setup,
            active: true,
            version: 1,
            created_at: clock::now(),
        };
        let token = token::random_hex();
        let place = |column| place(actor.tenant, id, column);
        let sealed = store::Sealed {
            secrets: self
                .seal
                .seal(&place(SECRETS), &Secret::new(serde_json::to_string(&secrets)?)),
            token: self.seal.seal(&place(TOKEN), &token),
        };
        let hash = token::hash(token.expose());
        store::insert(&mut tx, actor.tenant, &value, &sealed, &hash).await?;
        record(&mut tx, actor, "message_provider.create", None, &value).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(Made { value, replayed: false })
    }

    pub async fn change_provider(
        &self,
        actor: &Actor,
        id: MessageProviderId,
        version: i64,
        change: ProviderChange,
    ) -> Result<Provider, MessageError> {
        let mut tx = self.db.staff(actor).await?;
        let before = provider(&mut tx, actor.tenant, id).await?;
        let after = Provider {
            name: change.name.unwrap_or_else(|| before.name.clone()),
            setup: change.setup.unwrap_or_else(|| before.setup.clone()),
            active: change.active.unwrap_or(before.active),
            version: version + 1,
            ..before.clone()
        };
        if after.setup.channel() != before.channel {
            let message = "a provider stays in its channel; add another";
            return Err(MessageError::Setup { field: "setup.kind", message });
        }
        let sealed = store::sealed(&mut tx, actor.tenant, id).await?;
        let place = place(actor.tenant, id, SECRETS);
        let mut secrets: Secrets =
            serde_json::from_str(self.seal.open(&place, &sealed.secrets)?.expose())?;
        secrets.secret = change.secret.or(secrets.secret);
        secrets.report_secret = change.report_secret.or(secrets.report_secret);
        check(&after.setup, &secrets)?;
        let sealed = self.seal.seal(&place, &Secret::new(serde_json::to_string(&secrets)?));
        if !store::update(&mut tx, actor.tenant, &after, &sealed, version).await? {
            return Err(MessageError::Stale);
        }
        record(&mut tx, actor, "message_provider.update", Some(&before), &after).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(after)
    }

    /// Where it reports what became of a message. Who knows it can pretend to be the provider.
    pub async fn report_address(
        &self,
        actor: &Actor,
        id: MessageProviderId,
    ) -> Result<String, MessageError> {
        let mut tx = self.db.staff(actor).await?;
        provider(&mut tx, actor.tenant, id).await?;
        let sealed = store::sealed(&mut tx, actor.tenant, id).await?;
        let token = self.seal.open(&place(actor.tenant, id, TOKEN), &sealed.token)?;
        Ok(format!("{}/cb/messages/{}", self.public_url, token.expose()))
    }

    /// Sends a message that says that it is a test.
    pub async fn test_provider(
        &self,
        actor: &Actor,
        key: Option<&Key>,
        id: MessageProviderId,
        recipient: String,
    ) -> Result<Made<Message>, MessageError> {
        let mut tx = self.db.staff(actor).await?;
        let message = Uuid::now_v7();
        if let Claim::Before { object, once: _ } =
            idempotency::claim(&mut tx, actor, key, message, None).await?
        {
            let value = find(&mut tx, actor.tenant, MessageId::from_uuid(object)).await?;
            return Ok(Made { value, replayed: true });
        }
        let provider = provider(&mut tx, actor.tenant, id).await?;
        if !provider.active {
            return Err(MessageError::NoProvider);
        }
        let policy = texts::policy_of(&mut tx, actor.tenant).await?;
        // WhatsApp has this one approved for everybody.
        let text =
            defaults::text(Kind::Test, provider.channel, policy.language).unwrap_or_else(|| Text {
                subject: "hello_world".to_owned(),
                body: "Hello World".to_owned(),
            });
        let facts = Facts::from([("provider", provider.name.to_string())]);
        let draft = Draft {
            id: message,
            kind: Kind::Test,
            key: message.to_string(),
            class: Class::Transactional,
            channel: provider.channel,
            language: policy.language,
            recipient,
            subscriber: None,
            text: Text { body: template::fill(&text.body, &facts), ..text },
            secret: None,
            facts: Vec::new(),
            attachment: None,
            withheld: None,
            due_at: clock::now(),
        };
        self.put(&mut tx, actor.tenant, draft).await?;
        let value = find(&mut tx, actor.tenant, MessageId::from_uuid(message)).await?;
        super::record(&mut tx, actor, "message_provider.test", &value).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(Made { value, replayed: false })
    }

    /// The one that carries a channel now.
    pub(super) async fn carrier(
        &self,
        tx: &mut Tx,
        tenant: TenantId,
        channel: MessageChannel,
    ) -> Result<Option<(MessageProviderId, Box<dyn Carrier>)>, MessageError> {
        let Some(id) = store::active(tx, tenant, channel).await? else { return Ok(None) };
        Ok(Some((id, self.open_carrier(tx, tenant, id).await?)))
    }

    pub(super) async fn open_carrier(
        &self,
        tx: &mut Tx,
        tenant: TenantId,
        id: MessageProviderId,
    ) -> Result<Box<dyn Carrier>, MessageError> {
        let provider = provider(tx, tenant, id).await?;
        let sealed = store::sealed(tx, tenant, id).await?;
        let secrets = self.seal.open(&place(tenant, id, SECRETS), &sealed.secrets)?;
        let secrets = serde_json::from_str(secrets.expose())?;
        Ok(carriers::open(&provider.setup, secrets, &self.outward))
    }
}

pub(super) async fn is_there(
    tx: &mut Tx,
    tenant: TenantId,
    channel: MessageChannel,
) -> Result<bool, StoreError> {
    Ok(store::active(tx, tenant, channel).await?.is_some())
}

async fn provider(
    tx: &mut Tx,
    tenant: TenantId,
    id: MessageProviderId,
) -> Result<Provider, MessageError> {
    let mut found = store::list(tx, tenant, Some(id), Uuid::nil(), 1).await?;
    found.pop().ok_or(MessageError::UnknownProvider)
}

fn check(setup: &Setup, secrets: &Secrets) -> Result<(), MessageError> {
    setup.check().map_err(|(field, message)| MessageError::Setup { field, message })?;
    let message = "this provider needs it";
    match (setup.needs(), &secrets.secret, &secrets.report_secret) {
        ((true, _), None, _) => Err(MessageError::Setup { field: "secret", message }),
        ((_, true), _, None) => Err(MessageError::Setup { field: "report_secret", message }),
        ((_, _), _, _) => Ok(()),
    }
}

fn place(tenant: TenantId, id: MessageProviderId, column: &'static str) -> Place {
    Place { tenant, table: "message_provider", row: *id.as_uuid(), column }
}

async fn record(
    tx: &mut Tx,
    actor: &Actor,
    action: &'static str,
    before: Option<&Provider>,
    after: &Provider,
) -> Result<(), StoreError> {
    let entry = audit::Entry {
        action,
        object_kind: "message_provider",
        object_id: after.id.to_string(),
        before: before.map(Provider::snapshot),
        after: Some(after.snapshot()),
    };
    audit::record(tx, actor, entry).await
}

const SECRETS: &str = "secrets_sealed";
const TOKEN: &str = "token_sealed";
