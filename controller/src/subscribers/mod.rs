//! Subscribers: who pays and who logs in, with their credentials and devices.

mod account_no;
pub mod http;
mod store;

use std::net::IpAddr;

use jiff::Timestamp;
use serde_json::{Value, json};
use shared::{
    id::{SubscriberId, TenantId},
    net::{Ipv6Prefix, Mac},
};
use subtle::ConstantTimeEq as _;
use uuid::Uuid;

pub use self::account_no::AccountNo;
use crate::{
    actor::Actor,
    audit::{self, Audited},
    clock,
    db::{Db, StoreError, Tx},
    edges::LookAgain,
    idempotency::{self, Claim, ClaimError, Key, Made},
    seal::{OpenError, Place, Seal},
    words::{Change, Email, Msisdn, Name, RadiusSecret, Username, choices},
};

choices! {
    SubscriberStatus {
        Active = "active",
        // Cannot log in; everything is kept.
        Closed = "closed",
        // What names a person is gone; the books are kept.
        Anonymised = "anonymised",
    }
}

#[derive(Clone, Debug)]
pub struct Subscriber {
    pub id: SubscriberId,
    pub account_no: AccountNo,
    pub username: Username,
    pub has_password: bool,
    pub full_name: Name,
    pub msisdn: Option<Msisdn>,
    pub email: Option<Email>,
    pub static_ip: Option<IpAddr>,
    pub delegated_prefix: Option<Ipv6Prefix>,
    pub macs: Vec<Mac>,
    pub status: SubscriberStatus,
    pub version: i64,
    pub created_at: Timestamp,
}

impl Audited for Subscriber {
    const KIND: &'static str = "subscriber";

    fn id(&self) -> String {
        self.id.to_string()
    }

    fn snapshot(&self) -> Value {
        json!({
            "account_no": self.account_no, "username": self.username,
            "full_name": self.full_name, "msisdn": self.msisdn, "email": self.email,
            "static_ip": self.static_ip, "delegated_prefix": self.delegated_prefix, "macs": self.macs, "status": self.status,
        })
    }
}

#[derive(Clone, Debug)]
pub struct NewSubscriber {
    pub username: Username,
    /// Without one, only the devices can log in.
    pub password: Option<RadiusSecret>,
    pub full_name: Name,
    pub msisdn: Option<Msisdn>,
    pub email: Option<Email>,
    pub static_ip: Option<IpAddr>,
    /// For the subscriber's router to hand out (Delegated-IPv6-Prefix).
    pub delegated_prefix: Option<Ipv6Prefix>,
    pub macs: Vec<Mac>,
}

/// What is absent stays.
#[derive(Clone, Debug, Default)]
pub struct SubscriberChange {
    pub username: Option<Username>,
    pub password: Change<RadiusSecret>,
    pub full_name: Option<Name>,
    pub msisdn: Change<Msisdn>,
    pub email: Change<Email>,
    pub static_ip: Change<IpAddr>,
    pub delegated_prefix: Change<Ipv6Prefix>,
    pub macs: Option<Vec<Mac>>,
    pub status: Option<SubscriberStatus>,
}

#[derive(Debug, thiserror::Error)]
pub enum SubscriberError {
    #[error("there is no such subscriber")]
    Unknown,
    #[error("another subscriber has this username")]
    UsernameTaken,
    #[error("another active subscriber has this mobile number")]
    MsisdnTaken,
    #[error("another subscriber has one of these devices")]
    DeviceTaken,
    #[error("a closed account cannot be anonymised by an update")]
    NotByUpdate,
    #[error("a legal hold keeps what is known about the subscriber")]
    Held,
    #[error("money was paid by the subscriber, or asked of them: close or anonymise the account")]
    HasMoney,
    #[error("the subscriber was served: close or anonymise the account")]
    WasServed,
    #[error("there are tickets or messages of the subscriber: close or anonymise the account")]
    HasHistory,
    #[error("it was changed since")]
    Stale,
    #[error(transparent)]
    Claim(#[from] ClaimError),
    #[error("a password in the database was sealed with another key")]
    Seal(#[from] OpenError),
    #[error(transparent)]
    Store(StoreError),
}

impl From<StoreError> for SubscriberError {
    fn from(error: StoreError) -> Self {
        match error.constraint() {
            Some("subscriber_username") => Self::UsernameTaken,
            Some("subscriber_msisdn") => Self::MsisdnTaken,
            Some("subscriber_device_mac") => Self::DeviceTaken,
            Some(_) | None => Self::Store(error),
        }
    }
}

/// What this domain needs from the rest of the program.
#[derive(Clone, Debug)]
pub struct Subscribers {
    db: Db,
    seal: Seal,
    look_again: LookAgain,
}

impl Subscribers {
    pub const fn new(db: Db, seal: Seal, look_again: LookAgain) -> Self {
        Self { db, seal, look_again }
    }

    /// `search` is the beginning of a username or account number.
    pub async fn list(
        &self,
        actor: &Actor,
        search: Option<&str>,
        after: Uuid,
        limit: i64,
    ) -> Result<Vec<Subscriber>, StoreError> {
        let mut tx = self.db.staff(actor).await?;
        store::list(&mut tx, actor.tenant, search, after, limit).await
    }

    pub async fn find(
        &self,
        actor: &Actor,
        id: SubscriberId,
    ) -> Result<Subscriber, SubscriberError> {
        let mut tx = self.db.staff(actor).await?;
        store::find(&mut tx, actor.tenant, id).await?.ok_or(SubscriberError::Unknown)
    }

    /// Whose login this is, if the password is right and the account is open.
    pub async fn identify(
        &self,
        actor: &Actor,
        username: &Username,
        password: &RadiusSecret,
    ) -> Result<Option<SubscriberId>, SubscriberError> {
        let mut tx = self.db.staff(actor).await?;
        let Some((id, sealed)) = store::password(&mut tx, actor.tenant, username).await? else {
            return Ok(None);
        };
        let kept = self.seal.open(&place(actor, id), &sealed)?;
        let right = kept.expose().as_bytes().ct_eq(password.secret().expose().as_bytes());
        Ok(bool::from(right).then_some(id))
    }

    pub async fn create(
        &self,
        actor: &Actor,
        key: Option<&Key>,
        new: NewSubscriber,
    ) -> Result<Made<Subscriber>, SubscriberError> {
        let mut tx = self.db.staff(actor).await?;
        let id = SubscriberId::from_uuid(Uuid::now_v7());
        if let Claim::Before { object, once: _ } =
            idempotency::claim(&mut tx, actor, key, *id.as_uuid(), None).await?
        {
            drop(tx);
            let value = self.find(actor, SubscriberId::from_uuid(object)).await?;
            return Ok(Made { value, replayed: true });
        }
        let n = store::next_number(&mut tx, actor.tenant).await?;
        let NewSubscriber {
            username,
            password,
            full_name,
            msisdn,
            email,
            static_ip,
            delegated_prefix,
            mut macs,
        } = new;
        macs.sort_unstable();
        macs.dedup();
        let subscriber = Subscriber {
            id,
            account_no: AccountNo::nth(n),
            username,
            has_password: password.is_some(),
            full_name,
            msisdn,
            email,
            static_ip,
            delegated_prefix,
            macs,
            status: SubscriberStatus::Active,
            version: 1,
            created_at: clock::now(),
        };
        let sealed = password.map(|password| self.seal.seal(&place(actor, id), password.secret()));
        store::insert(&mut tx, actor.tenant, &subscriber, sealed.as_deref()).await?;
        store::set_devices(&mut tx, actor.tenant, id, &subscriber.macs).await?;
        audit::change(&mut tx, actor, "subscriber.create", None, &subscriber).await?;
        tx.commit().await.map_err(StoreError::from)?;
        self.look_again.ring();
        Ok(Made { value: subscriber, replayed: false })
    }

    pub async fn update(
        &self,
        actor: &Actor,
        id: SubscriberId,
        version: i64,
        change: SubscriberChange,
    ) -> Result<Subscriber, SubscriberError> {
        if change.status == Some(SubscriberStatus::Anonymised) {
            return Err(SubscriberError::NotByUpdate);
        }
        let mut tx = self.db.staff(actor).await?;
        let before = store::find(&mut tx, actor.tenant, id).await?;
        let before = before.ok_or(SubscriberError::Unknown)?;
        let mut after = before.clone();
        after.username = change.username.unwrap_or(after.username);
        after.full_name = change.full_name.unwrap_or(after.full_name);
        after.msisdn = change.msisdn.over(after.msisdn);
        after.email = change.email.over(after.email);
        after.static_ip = change.static_ip.over(after.static_ip);
        after.delegated_prefix = change.delegated_prefix.over(after.delegated_prefix);
        after.status = change.status.unwrap_or(after.status);
        if !store::update(&mut tx, actor.tenant, &after, version).await? {
            return Err(SubscriberError::Stale);
        }
        after.version = version + 1;
        let password = match change.password {
            Change::Keep => None,
            Change::Clear => Some(None),
            Change::Set(password) => {
                Some(Some(self.seal.seal(&place(actor, id), password.secret())))
            }
        };
        if let Some(sealed) = password {
            after.has_password = sealed.is_some();
            store::set_password(&mut tx, actor.tenant, id, sealed.as_deref()).await?;
        }
        if let Some(mut macs) = change.macs {
            macs.sort_unstable();
            macs.dedup();
            store::set_devices(&mut tx, actor.tenant, id, &macs).await?;
            after.macs = macs;
        }
        audit::change(&mut tx, actor, "subscriber.update", Some(&before), &after).await?;
        tx.commit().await.map_err(StoreError::from)?;
        self.look_again.ring();
        Ok(after)
    }

    /// Deletes one of whom nothing is known yet but the account; the database decides.
    pub async fn delete(&self, actor: &Actor, id: SubscriberId) -> Result<(), SubscriberError> {
        let mut tx = self.db.staff(actor).await?;
        let before = store::find(&mut tx, actor.tenant, id).await?;
        let before = before.ok_or(SubscriberError::Unknown)?;
        kept_by(&store::delete(&mut tx, id).await?)?;
        audit::deletion(&mut tx, actor, "subscriber.delete", &before).await?;
        tx.commit().await.map_err(StoreError::from)?;
        self.look_again.ring();
        Ok(())
    }
}

/// What the database said of a subscriber who is to be deleted: a table that names them keeps them.
fn kept_by(said: &str) -> Result<(), SubscriberError> {
    match said {
        "done" => Ok(()),
        "unknown" => Err(SubscriberError::Unknown),
        "held" => Err(SubscriberError::Held),
        "invoice" | "ledger_account" | "payment" | "payment_intent" => {
            Err(SubscriberError::HasMoney)
        }
        "edge_quota" | "entitlement" | "session" | "subscription" | "voucher" => {
            Err(SubscriberError::WasServed)
        }
        _ => Err(SubscriberError::HasHistory),
    }
}

/// Whose account this is.
pub(crate) async fn by_accounts(
    tx: &mut Tx,
    tenant: TenantId,
    accounts: &[&AccountNo],
) -> Result<Vec<(AccountNo, SubscriberId)>, StoreError> {
    if accounts.is_empty() {
        return Ok(Vec::new());
    }
    store::by_accounts(tx, tenant, accounts).await
}

const fn place(actor: &Actor, id: SubscriberId) -> Place {
    let (table, column) = ("subscriber", "password_sealed");
    Place { tenant: actor.tenant, table, row: *id.as_uuid(), column }
}
