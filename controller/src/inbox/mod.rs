//! The inbox: what providers call back is stored as it came and answered at once; later it is
//! applied, once.
//!
//! An event and its effect are one transaction, which confirmations of one account share. What
//! cannot be applied is set aside, with a doubt that says why, and holds up nothing. Start at
//! [`Inbox::store`] and [`Inbox::start`].

mod apply;
mod check;
mod door;
pub mod http;
mod store;

use std::{
    collections::BTreeMap,
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::{SignedDuration, Timestamp};
use shared::{
    daemon::{Chain, Life},
    id::{MerchantId, TenantId},
    secret::Secret,
};
use tokio::sync::Notify;
use uuid::Uuid;

use self::door::Door;
use crate::{
    clock,
    db::{AsStoreError, Db, StoreError},
    doubts::{self, DoubtKind, NewDoubt},
    gateways::{Channel, Unreadable},
    group::Group,
    intents::Intents,
    merchants::{MerchantError, Merchants},
    payments::PaymentError,
    payouts::{PayoutError, Payouts},
    refunds::{RefundError, Refunds},
    seal::Seal,
    token,
};

/// A callback at the door.
#[derive(Clone, Debug)]
pub struct NewEvent {
    pub channel: Channel,
    /// Of the merchant, in the address.
    pub token: Secret,
    /// Of an intent or a payout, in the address: its id and its mark.
    pub subject: Option<String>,
    pub raw: Vec<u8>,
    pub headers: BTreeMap<String, String>,
    pub source: IpAddr,
}

/// One to store.
#[derive(Clone, Debug)]
struct Arrival {
    new: NewEvent,
    merchant: Uuid,
    subject: Option<Uuid>,
    proof: Option<[u8; 32]>,
    now: Timestamp,
}

/// As it was stored.
#[derive(Clone, Debug)]
struct Event {
    id: Uuid,
    /// None: no tenant has this account any more.
    route: Option<Route>,
    channel: Channel,
    subject: Option<Uuid>,
    proof: Option<Vec<u8>>,
    raw: Vec<u8>,
    headers: BTreeMap<String, String>,
    source: Option<IpAddr>,
    attempts: i32,
    received_at: Timestamp,
}

#[derive(Clone, Copy, Debug)]
struct Route {
    tenant: TenantId,
    merchant: MerchantId,
    version: i64,
}

#[derive(Debug, thiserror::Error)]
enum ApplyError {
    #[error("no tenant has this account")]
    NoTenant,
    #[error("it cannot be read")]
    Unreadable(#[from] Unreadable),
    #[error(transparent)]
    Merchant(#[from] MerchantError),
    #[error(transparent)]
    Payment(#[from] PaymentError),
    #[error(transparent)]
    Payout(#[from] PayoutError),
    #[error(transparent)]
    Refund(#[from] RefundError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ApplyError {
    /// What it is for people; none: the same may go well another time.
    const fn kind(&self) -> Option<DoubtKind> {
        match self {
            Self::NoTenant => Some(DoubtKind::Broken),
            Self::Unreadable(Unreadable::Forged | Unreadable::Unsigned | Unreadable::Old) => {
                Some(DoubtKind::Forged)
            }
            Self::Unreadable(_) => Some(DoubtKind::Unreadable),
            Self::Payment(PaymentError::Store(_) | PaymentError::Claim(_))
            | Self::Payout(PayoutError::Store(_) | PayoutError::Claim(_))
            | Self::Refund(RefundError::Store(_) | RefundError::Claim(_))
            | Self::Merchant(_)
            | Self::Store(_) => None,
            Self::Payment(_) => Some(DoubtKind::Elsewhere),
            Self::Payout(_) | Self::Refund(_) => Some(DoubtKind::Contradiction),
        }
    }
}

/// What this domain needs from the rest of the program.
#[derive(Clone, Debug)]
pub struct Inbox {
    db: Db,
    seal: Seal,
    merchants: Merchants,
    intents: Intents,
    payouts: Payouts,
    refunds: Refunds,
    door: Group<Door>,
    /// Something has come in.
    bell: Arc<Notify>,
}

impl Inbox {
    pub fn new(
        db: Db,
        seal: Seal,
        merchants: Merchants,
        intents: Intents,
        payouts: Payouts,
        refunds: Refunds,
    ) -> Self {
        let door = Group::new(Door(db.callback.clone()));
        Self { db, seal, merchants, intents, payouts, refunds, door, bell: Arc::default() }
    }

    /// Stores what came, and says to whom it did. None: nobody has this address.
    pub async fn store(&self, new: NewEvent) -> Result<Option<MerchantId>, StoreError> {
        let hash = token::hash(new.token.expose());
        let Some(merchant) = store::merchant_of(&self.db.callback, &hash).await? else {
            return Ok(None);
        };
        let subject = new.subject.as_deref().and_then(read_subject);
        if new.subject.is_some() && subject.is_none() {
            return Ok(None);
        }
        let (subject, proof) = subject.unzip();
        let channel = new.channel.as_str();
        self.door.ask(Arrival { new, merchant, subject, proof, now: clock::now() }).await?;
        metrics::counter!("kennet_callbacks_total", "channel" => channel).increment(1);
        self.bell.notify_one();
        Ok(Some(MerchantId::from_uuid(merchant)))
    }

    /// Until the daemon stops.
    pub fn start(&self, life: &Life) {
        for _ in 0..READERS {
            life.spawn("payment inbox", self.clone().run());
        }
    }

    async fn run(self) {
        loop {
            match self.next().await {
                Ok(true) => {}
                Ok(false) => {
                    // Others store too, and some events wait for another time.
                    let _rung = tokio::time::timeout(IDLE, self.bell.notified()).await;
                }
                Err(error) => {
                    tracing::warn!(error = %Chain(&error), "the inbox is not read");
                    tokio::time::sleep(IDLE).await;
                }
            }
        }
    }

    /// Applies some events; false: there was none.
    pub(crate) async fn next(&self) -> Result<bool, StoreError> {
        let (found, done) = self.some(TOGETHER_MAX).await?;
        if !done {
            // One of them does not go with the others.
            for _ in 0..found {
                self.some(1).await?;
            }
        }
        Ok(found > 0)
    }

    /// How many there were, and whether something has become of them: one that cannot be applied is
    /// put back or set aside, of many none is touched.
    async fn some(&self, limit: i64) -> Result<(usize, bool), StoreError> {
        let started = Instant::now();
        let mut tx = self.db.inbox_tx().await?;
        let events = store::take(&mut tx, limit, clock::now()).await?;
        let Some(first) = events.first() else { return Ok((0, true)) };
        let applied = match self.apply_all(&mut tx, &events).await {
            Ok(()) => tx.commit().await.map_err(|error| StoreError::from(error).into()),
            Err(error) => {
                tx.rollback().await?;
                Err(error)
            }
        };
        match applied {
            Ok(()) => {
                // Who is told of it is told after the commit.
                self.intents.ring();
                metrics::histogram!("kennet_callback_apply_seconds").record(started.elapsed());
                tracing::debug!(event.id = %first.id, events = events.len(), "applied");
                Ok((events.len(), true))
            }
            Err(error) if events.len() == 1 => {
                self.put_back(first, &error).await?;
                Ok((1, true))
            }
            Err(_) => Ok((events.len(), false)),
        }
    }

    /// For another time, or for people.
    async fn put_back(&self, event: &Event, error: &ApplyError) -> Result<(), StoreError> {
        let now = clock::now();
        let text = Chain(error).to_string();
        let mut tx = self.db.inbox_tx().await?;
        let kind = match error.kind() {
            None if event.attempts < ATTEMPTS_MAX => {
                let wait = SignedDuration::from_secs(1_i64 << event.attempts.clamp(0, 10));
                let collided = matches!(error, ApplyError::Payment(error)
                    if error.as_store_error().is_some_and(StoreError::is_transient));
                let next = if collided { now } else { now + wait };
                tracing::debug!(event.id = %event.id, error = text, "an event is put back");
                store::put_back(&mut tx, event.id, next, &text).await?;
                tx.commit().await?;
                return Ok(());
            }
            None => DoubtKind::Broken,
            Some(kind) => kind,
        };
        tracing::warn!(event.id = %event.id, error = text, "an event is set aside");
        store::set_aside(&mut tx, event.id, &text, now).await?;
        if let Some(route) = event.route {
            crate::db::enter(&mut tx, route.tenant).await?;
            let new = NewDoubt {
                kind,
                about: event.id.to_string(),
                merchant: Some(route.merchant),
                intent: None,
                said: text,
            };
            doubts::raise(&mut tx, route.tenant, &new, now).await?;
        }
        Ok(tx.commit().await?)
    }
}

/// An id and its mark; of the mark only the hash is kept.
fn read_subject(text: &str) -> Option<(Uuid, [u8; 32])> {
    let (id, mark) = text.split_at_checked(SUBJECT_DIGITS)?;
    let fits = mark.len() == SUBJECT_DIGITS && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let id = Uuid::try_parse(id).ok()?;
    fits.then(|| (id, token::hash(mark)))
}

const SUBJECT_DIGITS: usize = 32;
const READERS: usize = 3;
/// More confirmations gain little, and hold what they have locked for longer.
const TOGETHER_MAX: i64 = 32;
const IDLE: Duration = Duration::from_millis(500);
/// Some hours of a database that is not well.
const ATTEMPTS_MAX: i32 = 14;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_is_an_id_and_a_mark() {
        let text = "0198b2f4c0de7000a000000000000001".to_owned() + &"ab".repeat(16);
        let (id, hash) = read_subject(&text).unwrap();
        assert_eq!(id.simple().to_string(), "0198b2f4c0de7000a000000000000001");
        assert_eq!(hash, token::hash(&"ab".repeat(16)));
        for wrong in ["", "0198", &text[1..], &format!("{text}0"), &text.replace('a', "g")] {
            assert_eq!(read_subject(wrong), None, "{wrong}");
        }
    }
}
