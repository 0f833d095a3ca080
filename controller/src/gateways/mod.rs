//! Payment providers behind one trait: what can be asked of them, and what they say.
//!
//! An adapter speaks one provider's words and decides nothing: it tells apart what was said for
//! certain, what was only claimed, and silence. To add a provider: a folder with the trait, a line
//! in [`open`], its word in `payments::Provider` and in the check of the table `merchant`.

mod airtel;
pub mod daraja;
mod pace;
mod paystack;
mod said;
mod signature;
mod stripe;
mod wire;

use std::{collections::BTreeMap, pin::Pin, sync::Arc};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use shared::{
    id::{IntentId, PayoutId, RefundId},
    secret::Secret,
};
use utoipa::ToSchema;

pub(crate) use self::said::shillings;
pub use self::{pace::Pace, wire::Hosts};
use crate::{
    billing::Cents,
    payments::Provider,
    words::{Email, Msisdn, Receipt, Shortcode, choices},
};

choices! {
    /// Which of a provider's machines.
    Environment {
        Production = "production",
        Sandbox = "sandbox",
        // `kennet-paysim`, where the controller's settings say it is.
        Simulator = "simulator",
    }
}

choices! {
    /// What a callback is about; it stands in the address.
    Channel {
        // M-Pesa: what came of a prompt on the phone.
        Stk = "stk",
        // M-Pesa: somebody has paid to the paybill.
        C2b = "c2b",
        // M-Pesa: somebody wants to pay to the paybill.
        Check = "check",
        // M-Pesa: what came of a payout, or that nothing is known of it.
        B2c = "b2c",
        B2cLate = "b2c-late",
        // M-Pesa: what came of a question about a payout.
        Status = "status",
        StatusLate = "status-late",
        // M-Pesa: what came of a reversal.
        Back = "back",
        BackLate = "back-late",
        // The others have one address for everything.
        Hook = "hook",
    }
}

/// What a provider gave a tenant to log in with. Which of them are needed depends on it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Secrets {
    /// M-Pesa: the consumer key; Airtel: the client id.
    #[schema(value_type = Option<String>, format = Password)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<Secret>,
    /// M-Pesa: the consumer secret; the others: the secret key.
    #[schema(value_type = Option<String>, format = Password)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret: Option<Secret>,
    /// M-Pesa: what signs a prompt.
    #[schema(value_type = Option<String>, format = Password)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub passkey: Option<Secret>,
    /// M-Pesa: who pays out and reverses, by name.
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub initiator: Option<Secret>,
    /// M-Pesa: the initiator's password as the provider's portal encrypts it. Airtel: the PIN.
    #[schema(value_type = Option<String>, format = Password)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credential: Option<Secret>,
    /// Airtel and Stripe: what signs callbacks.
    #[schema(value_type = Option<String>, format = Password)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webhook: Option<Secret>,
}

impl Secrets {
    /// The names of those that are needed and not there.
    pub fn missing(&self, provider: Provider) -> Vec<&'static str> {
        let needed: &[(&'static str, &Option<Secret>)] = match provider {
            Provider::Mpesa => {
                &[("key", &self.key), ("secret", &self.secret), ("passkey", &self.passkey)]
            }
            Provider::Airtel => &[("key", &self.key), ("secret", &self.secret)],
            Provider::Paystack => &[("secret", &self.secret)],
            Provider::Stripe => &[("secret", &self.secret), ("webhook", &self.webhook)],
            Provider::Cash | Provider::Bank => &[],
        };
        needed.iter().filter(|(_, secret)| secret.is_none()).map(|(name, _)| *name).collect()
    }

    /// What is new over what was there.
    #[must_use]
    pub fn over(self, before: Self) -> Self {
        Self {
            key: self.key.or(before.key),
            secret: self.secret.or(before.secret),
            passkey: self.passkey.or(before.passkey),
            initiator: self.initiator.or(before.initiator),
            credential: self.credential.or(before.credential),
            webhook: self.webhook.or(before.webhook),
        }
    }
}

/// What a provider can do.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a thing that it can do or cannot")]
pub struct Can {
    /// Ask a payer.
    pub push: bool,
    /// Say what came of it to who knows only our own id.
    pub query_by_our_id: bool,
    /// List what came in.
    pub pull: bool,
    pub payout: bool,
    pub give_back: bool,
    /// Say what came of giving back to who asks.
    pub query_give_back: bool,
    /// Its callbacks carry a signature that was checked: what they say is certain.
    pub signs: bool,
}

/// Somebody is to be asked for money.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'a> {
    pub intent: IntentId,
    pub reference: &'a str,
    pub msisdn: Option<&'a Msisdn>,
    pub email: Option<&'a Email>,
    pub amount: Cents,
    /// Where the provider says what came of it.
    pub callback: &'a str,
}

/// What came of sending something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Submit {
    /// Taken; what comes of it is said later.
    Accepted { provider_ref: String, pay_url: Option<String> },
    /// Not taken, for certain. `again`: it may be in a while.
    Refused { code: String, again: bool },
    /// It may have been taken, or not.
    NoAnswer,
}

/// What a question is about.
#[derive(Clone, Copy, Debug)]
pub struct About<'a> {
    pub intent: IntentId,
    pub provider_ref: Option<&'a str>,
    pub amount: Cents,
    /// It was asked for so long ago that a failure stays one.
    pub is_old: bool,
}

/// What a provider says when it is asked itself. It is certain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// M-Pesa does not say which receipt.
    Paid {
        receipt: Option<Receipt>,
        amount: Option<Cents>,
    },
    Failed {
        code: String,
    },
    Pending,
    NoAnswer,
}

/// Money that came in, as a provider says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collected {
    pub receipt: Receipt,
    pub amount: Cents,
    pub paid_at: Option<Timestamp>,
    /// What the payer typed, or what we had told the provider.
    pub reference: Option<String>,
    /// The provider's id of what was asked.
    pub provider_ref: Option<String>,
    /// A name or a number, perhaps masked.
    pub payer: Option<String>,
    /// Our own id, where the provider sends it back.
    pub intent: Option<IntentId>,
}

/// What is left to do about something that was not paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nobody has paid.
    Failed,
    /// The code says so, or nobody knows the code: ignorance is no failure.
    Unknown,
    Pending,
}

/// What came of a payout or a reversal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Done {
    Paid { provider_txn: Receipt },
    Failed { code: String },
    Unknown,
}

/// What a provider says of giving back when it is asked itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Returned {
    Ended(Done),
    Pending,
    /// It was never asked to, for certain: it may be asked again.
    NotAsked,
    NoAnswer,
}

/// One thing that a callback says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// Certain.
    Collected(Collected),
    /// Anybody could have said it.
    Claimed(Collected),
    NotCollected {
        intent: Option<IntentId>,
        provider_ref: Option<String>,
        code: String,
        verdict: Verdict,
    },
    /// Something came of an intent; the provider itself has to say what.
    Look {
        intent: Option<IntentId>,
        provider_ref: Option<String>,
    },
    /// Of the subject in the address.
    PaidOut(Done),
    GivenBack(Done),
    /// Something came of giving a payment back; the provider itself has to say what.
    LookBack {
        intent: Option<IntentId>,
        receipt: Option<Receipt>,
        /// It says that it went.
        went: bool,
    },
}

/// A callback as it came.
#[derive(Clone, Copy, Debug)]
pub struct Letter<'a> {
    pub channel: Channel,
    pub raw: &'a [u8],
    /// Names in lower case.
    pub headers: &'a BTreeMap<String, String>,
    pub received_at: Timestamp,
}

#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    #[error("it is not JSON")]
    NotJson(#[from] serde_json::Error),
    #[error("`{0}` is missing, or not as it should be")]
    Field(&'static str),
    #[error("it has no signature")]
    Unsigned,
    #[error("its signature is not the provider's")]
    Forged,
    #[error("its signature is too old")]
    Old,
    #[error("this provider has no such channel")]
    Channel,
}

/// From when until when.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    pub from: Timestamp,
    pub until: Timestamp,
}

#[derive(Clone, Copy, Debug)]
pub struct NewSend<'a> {
    pub payout: PayoutId,
    pub msisdn: &'a Msisdn,
    pub amount: Cents,
    pub result: &'a str,
    pub timeout: &'a str,
}

/// Money to be given back of a receipt: all of it.
#[derive(Clone, Copy, Debug)]
pub struct GiveBack<'a> {
    pub refund: RefundId,
    pub receipt: &'a Receipt,
    /// What it was asked by, if it was asked for.
    pub intent: Option<IntentId>,
    pub amount: Cents,
    pub result: &'a str,
    pub timeout: &'a str,
}

/// A provider did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    #[error("the provider does not answer")]
    NoAnswer,
    #[error("the provider refuses: {0}")]
    Refused(String),
    #[error("this provider cannot do that")]
    Cannot,
}

/// Of a future that the trait can be an object with.
pub type Reply<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// One account at one provider.
pub trait Gateway: Send + Sync + std::fmt::Debug {
    fn can(&self) -> Can;

    /// Asks a payer. Not idempotent everywhere: who gets no answer does not send it again.
    fn push<'a>(&'a self, ask: Ask<'a>, now: Timestamp) -> Reply<'a, Submit>;

    /// What came of it.
    fn query<'a>(&'a self, about: About<'a>, now: Timestamp) -> Reply<'a, Answer>;

    /// What a callback says. Pure.
    fn read(&self, letter: &Letter<'_>) -> Result<Vec<Fact>, Unreadable>;

    /// All that came in.
    fn pull(&self, _window: Window) -> Reply<'_, Result<Vec<Collected>, AskError>> {
        Box::pin(async { Err(AskError::Cannot) })
    }

    /// Tells the provider where to call.
    fn register<'a>(&'a self, _at: Register<'a>) -> Reply<'a, Result<(), AskError>> {
        Box::pin(async { Err(AskError::Cannot) })
    }

    /// Pays out. The provider takes one id once.
    fn send<'a>(&'a self, _new: NewSend<'a>) -> Reply<'a, Submit> {
        Box::pin(async { Submit::Refused { code: "cannot".to_owned(), again: false } })
    }

    /// Asks what came of a payout; the answer comes as a callback.
    fn ask_about<'a>(&'a self, _new: NewSend<'a>) -> Reply<'a, Result<(), AskError>> {
        Box::pin(async { Err(AskError::Cannot) })
    }

    /// Gives money back.
    fn give_back<'a>(&'a self, _what: GiveBack<'a>) -> Reply<'a, Submit> {
        Box::pin(async { Submit::Refused { code: "cannot".to_owned(), again: false } })
    }

    /// What came of giving money back.
    fn given_back<'a>(&'a self, _what: GiveBack<'a>) -> Reply<'a, Returned> {
        Box::pin(async { Returned::NoAnswer })
    }
}

/// Where a provider is to call.
#[derive(Clone, Copy, Debug)]
pub struct Register<'a> {
    pub confirmation: &'a str,
    pub validation: &'a str,
}

/// Who we are at a provider.
#[derive(Clone, Debug)]
pub struct Identity {
    pub provider: Provider,
    pub environment: Environment,
    pub shortcode: Shortcode,
    pub till: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    #[error("nobody has said where the simulator is (`paysim_url`)")]
    NoSimulator,
    #[error("there is no provider for this")]
    NoProvider,
}

/// The adapter of an account.
pub fn open(
    hosts: &Hosts,
    identity: Identity,
    secrets: Secrets,
) -> Result<Arc<dyn Gateway>, OpenError> {
    let wire = hosts.wire(identity.provider, identity.environment)?;
    match identity.provider {
        Provider::Mpesa => Ok(Arc::new(daraja::Daraja::new(wire, identity, secrets))),
        Provider::Airtel => Ok(Arc::new(airtel::Airtel::new(wire, secrets))),
        Provider::Paystack => Ok(Arc::new(paystack::Paystack::new(wire, secrets))),
        Provider::Stripe => Ok(Arc::new(stripe::Stripe::new(wire, secrets))),
        Provider::Cash | Provider::Bank => Err(OpenError::NoProvider),
    }
}
