//! Intents: what payers are asked for, until it is known what came of it.
//!
//! An intent is written before the provider is told, so that a lost answer loses nothing; a lost
//! answer is not a failure, and what is asked twice may be paid twice. What an unsigned callback
//! says is a claim: it is no money until the provider itself says so ([`heard`], [`watch`]).

pub(crate) mod confirmed;
pub(crate) mod heard;
pub mod http;
mod reference;
mod renewals;
mod schedule;
mod store;
mod watch;

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};
use shared::id::{IntentId, MerchantId, SubscriberId, TenantId};
use tokio::sync::Notify;
use uuid::Uuid;

pub use self::reference::{Reference, Typed};
pub(crate) use self::watch::PROGRAM;
use crate::{
    actor::Actor,
    audit::{self, Audited},
    billing::{Cents, TooMuch},
    clock,
    db::{Db, StoreError, Tx},
    gateways::{Ask, Channel, Pace, Submit},
    idempotency::{self, ClaimError, Key, Made},
    merchants::{self, Merchant, MerchantError, Merchants, Opened},
    payments::{PaymentError, Provider},
    seal::Seal,
    token,
    words::{Email, Msisdn, Receipt, Shortcode, Text, choices},
};

choices! {
    IntentState {
        // Written down; the provider was not told, or did not take it yet.
        Created = "created",
        // The provider has taken it.
        Submitted = "submitted",
        // Nobody knows what came of it.
        Unknown = "unknown",
        Succeeded = "succeeded",
        Failed = "failed",
        // Given up by people.
        Expired = "expired",
    }
}

#[derive(Clone, Debug)]
pub struct Intent {
    pub id: IntentId,
    pub merchant: Option<MerchantId>,
    pub subscriber: SubscriberId,
    pub provider: Provider,
    pub shortcode: Shortcode,
    pub amount: Cents,
    pub msisdn: Option<Msisdn>,
    pub email: Option<Email>,
    pub reference: Option<String>,
    pub pay_url: Option<String>,
    pub state: IntentState,
    /// What the provider said last.
    pub code: Option<String>,
    pub checkout: Option<String>,
    pub claim: Option<ClaimedReceipt>,
    pub send_again: bool,
    pub sent: i16,
    pub checks: i32,
    pub next_check_at: Option<Timestamp>,
    pub created_at: Timestamp,
}

impl Intent {
    /// Nobody was told of it, and nobody looks after it.
    fn new(id: IntentId, merchant: &Merchant, new: NewIntent, now: Timestamp) -> Self {
        let (bits, _) = Uuid::new_v4().as_u64_pair();
        Self {
            id,
            merchant: Some(new.merchant),
            subscriber: new.subscriber,
            provider: merchant.provider,
            shortcode: merchant.shortcode.clone(),
            amount: new.amount,
            msisdn: new.msisdn,
            email: new.email,
            reference: Some(Reference::of(bits).to_string()),
            pay_url: None,
            state: IntentState::Created,
            code: None,
            checkout: None,
            claim: None,
            send_again: false,
            sent: 0,
            checks: 0,
            next_check_at: None,
            created_at: now,
        }
    }
}

impl Audited for Intent {
    const KIND: &'static str = "intent";

    fn id(&self) -> String {
        self.id.to_string()
    }

    fn snapshot(&self) -> Value {
        json!({
            "subscriber": self.subscriber, "merchant": self.merchant, "state": self.state,
            "amount_cents": self.amount.get(), "reference": self.reference, "code": self.code,
        })
    }
}

/// What an unsigned callback said.
#[derive(Clone, Debug)]
pub struct ClaimedReceipt {
    pub receipt: Receipt,
    pub amount: Cents,
    pub at: Option<Timestamp>,
}

#[derive(Clone, Debug)]
pub struct NewIntent {
    pub merchant: MerchantId,
    pub subscriber: SubscriberId,
    pub amount: Cents,
    /// Whose phone is asked.
    pub msisdn: Option<Msisdn>,
    pub email: Option<Email>,
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Filter {
    pub subscriber: Option<SubscriberId>,
    pub state: Option<IntentState>,
    /// Only what nobody asks about any more.
    pub stuck: bool,
}

#[derive(Debug, thiserror::Error)]
pub enum IntentError {
    #[error("there is no such intent")]
    Unknown,
    #[error("there is no such subscriber")]
    UnknownSubscriber,
    #[error("expected {0}")]
    Amount(&'static str),
    #[error("this provider asks payers by their {0}")]
    Whom(&'static str),
    #[error("this provider cannot ask payers")]
    Cannot,
    #[error("it has ended already")]
    Ended,
    #[error(transparent)]
    TooMuch(#[from] TooMuch),
    #[error(transparent)]
    Merchant(#[from] MerchantError),
    #[error(transparent)]
    Payment(#[from] PaymentError),
    #[error(transparent)]
    Claim(#[from] ClaimError),
    #[error(transparent)]
    Store(StoreError),
}

impl From<StoreError> for IntentError {
    fn from(error: StoreError) -> Self {
        if error.is_dangling() {
            return Self::UnknownSubscriber;
        }
        Self::Store(error)
    }
}

/// What this domain needs from the rest of the program.
#[derive(Clone, Debug)]
pub struct Intents {
    db: Db,
    seal: Seal,
    merchants: Merchants,
    pace: Pace,
    /// There may be something to look after.
    bell: Arc<Notify>,
}

impl Intents {
    pub fn new(db: Db, seal: Seal, merchants: Merchants, pace: Pace) -> Self {
        Self { db, seal, merchants, pace, bell: Arc::default() }
    }

    pub async fn list(
        &self,
        actor: &Actor,
        filter: Filter,
        after: Uuid,
        limit: i64,
    ) -> Result<Vec<Intent>, StoreError> {
        let mut tx = self.db.staff(actor).await?;
        store::list(&mut tx, actor.tenant, filter, after, limit).await
    }

    pub async fn find(&self, actor: &Actor, id: IntentId) -> Result<Intent, IntentError> {
        find(&mut self.db.staff(actor).await?, actor.tenant, id).await
    }

    /// Asks a payer. The same request again is the same intent, and asks nobody.
    pub async fn create(
        &self,
        actor: &Actor,
        key: Option<&Key>,
        new: NewIntent,
    ) -> Result<Made<Intent>, IntentError> {
        let opened = self.merchants.in_use(actor.tenant, new.merchant).await?;
        check(&opened, &new)?;
        let mut tx = self.db.staff(actor).await?;
        let id = IntentId::from_uuid(Uuid::now_v7());
        if let Some(object) = idempotency::before(&mut tx, actor, key, *id.as_uuid()).await? {
            let value = find(&mut tx, actor.tenant, IntentId::from_uuid(object)).await?;
            return Ok(Made { value, replayed: true });
        }
        let now = clock::now();
        let intent = Intent {
            next_check_at: Some(now + self.pace.span(schedule::LEASE)),
            ..Intent::new(id, &opened.merchant, new, now)
        };
        let mark = merchants::mark(&self.seal, actor.tenant, *id.as_uuid());
        store::insert(&mut tx, actor, &intent, &token::hash(&mark)).await?;
        audit::change(&mut tx, actor, "intent.create", None, &intent).await?;
        tx.commit().await.map_err(StoreError::from)?;
        let value = self.push(&opened, &intent).await?;
        Ok(Made { value, replayed: false })
    }

    /// Gives up on an intent of which nobody knows what came of it. Money that comes in later is
    /// credited all the same.
    pub async fn give_up(
        &self,
        actor: &Actor,
        id: IntentId,
        note: &Text,
    ) -> Result<Intent, IntentError> {
        let mut tx = self.db.staff(actor).await?;
        let before = store::lock(&mut tx, actor.tenant, id).await?.ok_or(IntentError::Unknown)?;
        match before.state {
            IntentState::Created | IntentState::Submitted | IntentState::Unknown => {}
            IntentState::Succeeded | IntentState::Failed | IntentState::Expired => {
                return Err(IntentError::Ended);
            }
        }
        let code = before.code.as_deref();
        store::settle(&mut tx, actor.tenant, id, IntentState::Expired, code, None).await?;
        let after = find(&mut tx, actor.tenant, id).await?;
        let entry = audit::Entry {
            action: "intent.give_up",
            object_kind: "intent",
            object_id: id.to_string(),
            before: Some(before.snapshot()),
            after: Some(json!({ "state": after.state, "note": note })),
        };
        audit::record(&mut tx, actor, entry).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(after)
    }

    /// Asks the provider now what came of it.
    pub async fn check(&self, actor: &Actor, id: IntentId) -> Result<Intent, IntentError> {
        let before = self.find(actor, id).await?;
        self.look(actor.tenant, before).await?;
        self.find(actor, id).await
    }

    /// Tells the provider, and keeps what it answered.
    async fn push(&self, opened: &Opened, intent: &Intent) -> Result<Intent, IntentError> {
        let callback =
            self.merchants.address(opened, channel(intent.provider), *intent.id.as_uuid());
        let ask = Ask {
            intent: intent.id,
            reference: intent.reference.as_deref().unwrap_or_default(),
            msisdn: intent.msisdn.as_ref(),
            email: intent.email.as_ref(),
            amount: intent.amount,
            callback: &callback,
        };
        let submit = opened.gateway.push(ask, clock::now()).await;
        let sent = self.sent(intent, &submit, clock::now());
        let mut tx = self.db.tenant(opened.tenant).await?;
        store::sent(&mut tx, opened.tenant, intent.id, &sent).await?;
        let after = find(&mut tx, opened.tenant, intent.id).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(after)
    }

    fn sent<'a>(&self, intent: &Intent, submit: &'a Submit, now: Timestamp) -> store::Sent<'a> {
        let next = schedule::next(now, 0, now, self.pace);
        let blank = store::Sent {
            state: IntentState::Created,
            checkout: None,
            pay_url: None,
            code: None,
            again: false,
            next: None,
        };
        match submit {
            Submit::Accepted { provider_ref, pay_url } => store::Sent {
                state: IntentState::Submitted,
                checkout: Some(provider_ref),
                pay_url: pay_url.as_deref(),
                next,
                ..blank
            },
            Submit::Refused { code, again: true } if intent.sent + 1 < schedule::SENDS_MAX => {
                let next = Some(now + self.pace.span(schedule::SEND_AGAIN));
                store::Sent { code: Some(code), again: true, next, ..blank }
            }
            Submit::Refused { code, again: _ } => {
                store::Sent { state: IntentState::Failed, code: Some(code), ..blank }
            }
            Submit::NoAnswer => store::Sent { state: IntentState::Unknown, next, ..blank },
        }
    }
}

/// Where a provider says what came of an intent.
const fn channel(provider: Provider) -> Channel {
    match provider {
        Provider::Mpesa => Channel::Stk,
        Provider::Airtel
        | Provider::Paystack
        | Provider::Stripe
        | Provider::Cash
        | Provider::Bank => Channel::Hook,
    }
}

fn check(opened: &Opened, new: &NewIntent) -> Result<(), IntentError> {
    if !opened.gateway.can().push {
        return Err(IntentError::Cannot);
    }
    let cents = new.amount.get();
    match opened.merchant.provider {
        Provider::Mpesa | Provider::Airtel => {
            if !(100..=PROMPT_MAX).contains(&cents) || cents % 100 != 0 {
                return Err(IntentError::Amount("whole shillings, 1 to 250 000"));
            }
            if new.msisdn.is_none() {
                return Err(IntentError::Whom("mobile number (`msisdn`)"));
            }
        }
        Provider::Paystack => {
            if new.email.is_none() {
                return Err(IntentError::Whom("e-mail address (`email`)"));
            }
        }
        Provider::Stripe | Provider::Cash | Provider::Bank => {}
    }
    Ok(())
}

async fn find(tx: &mut Tx, tenant: TenantId, id: IntentId) -> Result<Intent, IntentError> {
    store::find(tx, tenant, id).await?.ok_or(IntentError::Unknown)
}

/// What M-Pesa moves at once, in cents.
const PROMPT_MAX: i64 = 25_000_000;
