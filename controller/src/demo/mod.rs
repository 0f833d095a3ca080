//! A provider to look at: a tenant, its owner, three plans, three subscribers on-line, and a past.
//!
//! Each step has its idempotency key, so that seeding twice makes nothing twice. The past is told
//! by [`story`] and written by [`history`], once: when the tenant is new.

mod history;
mod story;

use std::num::NonZeroU64;

use serde::Serialize;
use sha2::{Digest as _, Sha256};
use shared::{
    id::{OperatorId, PlanId, PlanVersionId, SubscriberId, SubscriptionId, TenantId},
    rate::Kbps,
    secret::Secret,
};

pub use self::{
    history::{HistoryError, Written},
    story::Scale,
};
use crate::{
    actor::{Actor, PLATFORM},
    app::App,
    idempotency::Key,
    operators::{NewOperator, OperatorError, Role},
    plans::{
        Access, Anchor, Billing, Limits, Network, NewPlan, OnExhaust, PlanError, Terms, Validity,
    },
    subscribers::{NewSubscriber, SubscriberError},
    subscriptions::{NewSubscription, SubscriptionError},
    tenants::{NewTenant, TenantError},
    words::{Currency, Email, NotAWord, Passphrase, TimeZone},
};

/// What there is now, for people and for programs.
#[derive(Clone, Debug, Serialize)]
pub struct Seeded {
    pub tenant: SeededTenant,
    pub owner: SeededOwner,
    pub plans: Vec<SeededPlan>,
    pub subscribers: Vec<SeededSubscriber>,
    /// None: it was there before, or none was wanted.
    pub history: Option<Written>,
}

#[derive(Clone, Debug, Serialize)]
pub struct SeededTenant {
    pub id: TenantId,
    pub slug: String,
}

#[derive(Clone, Debug, Serialize)]
pub struct SeededOwner {
    pub id: OperatorId,
    pub email: String,
    /// None: it was there before, with the password that it had.
    pub password: Option<Secret>,
}

#[derive(Clone, Debug, Serialize)]
pub struct SeededPlan {
    pub id: PlanId,
    pub version: PlanVersionId,
    pub code: &'static str,
    pub down_kbps: u32,
    pub up_kbps: u32,
}

#[derive(Clone, Debug, Serialize)]
pub struct SeededSubscriber {
    pub id: SubscriberId,
    pub account_no: String,
    pub username: &'static str,
    pub password: &'static str,
    pub plan: &'static str,
    pub subscription: SubscriptionId,
}

#[derive(Debug, thiserror::Error)]
pub enum SeedError {
    #[error("the tenant was not made")]
    Tenant(#[from] TenantError),
    #[error("the owner was not made")]
    Owner(#[from] OperatorError),
    #[error("a plan was not made")]
    Plan(#[from] PlanError),
    #[error("a subscriber was not made")]
    Subscriber(#[from] SubscriberError),
    #[error("a subscription was not made")]
    Subscription(#[from] SubscriptionError),
    #[error("the past was not written")]
    History(#[from] Box<HistoryError>),
    #[error("a word of the demo does not fit")]
    Word(#[from] NotAWord),
}

/// Makes what is not there yet.
pub async fn seed(
    app: &App,
    email: Email,
    password: Passphrase,
    scale: &Scale,
) -> Result<Seeded, SeedError> {
    let new = NewTenant {
        slug: SLUG.parse()?,
        name: "KenNet Demo".parse()?,
        tz: TimeZone::default(),
        currency: Currency::default(),
    };
    let platform = Actor::command_line(PLATFORM);
    let made = app.tenants().create(&platform, Some(&key("tenant")), new).await?;
    let (is_new, tenant) = (!made.replayed, made.value);
    let actor = Actor::command_line(tenant.id);

    let owner = NewOperator {
        email: email.clone(),
        name: "Demo Owner".parse()?,
        role: Role::Owner,
        password: password.clone(),
    };
    let owner = app.operators().create(&actor, Some(&key("owner")), owner).await?;
    let owner = SeededOwner {
        id: owner.value.id,
        email: owner.value.email.to_string(),
        password: (!owner.replayed).then(|| password.secret().clone()),
    };

    let mut plans = Vec::new();
    for plan in &PLANS {
        let (code, name) = (plan.code.parse()?, plan.name.parse()?);
        let new = NewPlan { code, name, terms: plan.terms()? };
        let made = app.plans().create(&actor, Some(&key(plan.code)), new).await?.value;
        let DemoPlan { code, down_kbps, up_kbps, .. } = *plan;
        plans.push(SeededPlan { id: made.id, version: made.latest.id, code, down_kbps, up_kbps });
    }

    let history = if is_new && scale.months > 0 && scale.subscribers > 0 {
        let written = history::write(app, tenant.id, owner.id, &plans, scale, password).await;
        Some(written.map_err(Box::new)?)
    } else {
        None
    };

    let mut subscribers = Vec::new();
    for (who, plan) in PEOPLE.iter().zip(&plans) {
        subscribers.push(subscribe(app, &actor, who, plan).await?);
    }
    let tenant = SeededTenant { id: tenant.id, slug: tenant.slug.to_string() };
    Ok(Seeded { tenant, owner, plans, subscribers, history })
}

async fn subscribe(
    app: &App,
    actor: &Actor,
    who: &Person,
    plan: &SeededPlan,
) -> Result<SeededSubscriber, SeedError> {
    let Person { username, password, full_name, msisdn } = *who;
    let new = NewSubscriber {
        username: username.parse()?,
        password: Some(password.parse()?),
        full_name: full_name.parse()?,
        msisdn: Some(msisdn.parse()?),
        email: None,
        static_ip: None,
        delegated_prefix: None,
        macs: Vec::new(),
    };
    let made = app.subscribers().create(actor, Some(&key(username)), new).await?.value;
    let new = NewSubscription {
        subscriber: made.id,
        plan_version: plan.version,
        auto_renew: true,
        activate: true,
    };
    let key = key(&format!("{username}/subscription"));
    let subscription = app.subscriptions().create(actor, Some(&key), new).await?.value;
    Ok(SeededSubscriber {
        id: made.id,
        account_no: made.account_no.to_string(),
        username,
        password,
        plan: plan.code,
        subscription: subscription.id,
    })
}

/// The words are the request: a demo of another version is another request.
fn key(step: &str) -> Key {
    let key = format!("demo-seed/1/{step}");
    let request_hash = Sha256::digest(key.as_bytes()).into();
    Key { key, request_hash }
}

#[derive(Clone, Copy)]
struct DemoPlan {
    code: &'static str,
    name: &'static str,
    access: Access,
    billing: Billing,
    down_kbps: u32,
    up_kbps: u32,
    price_cents: u64,
    data_bytes: Option<u64>,
    max_devices: u8,
}

impl DemoPlan {
    fn terms(&self) -> Result<Terms, SeedError> {
        let kbps = |kbps| Kbps::new(kbps).ok_or(NotAWord("a rate above zero"));
        Ok(Terms {
            access: self.access,
            billing: self.billing,
            limits: Limits {
                online_seconds: None,
                data_bytes: self.data_bytes.and_then(NonZeroU64::new),
            },
            price_cents: self.price_cents,
            price_includes_tax: true,
            validity: Validity::Months(1),
            down_kbps: kbps(self.down_kbps)?,
            up_kbps: kbps(self.up_kbps)?,
            max_devices: self.max_devices,
            idle_timeout_seconds: None,
            anchor: Anchor::Purchase,
            grace_seconds: 0,
            on_exhaust: OnExhaust::Block,
            network: Network::default(),
        })
    }
}

struct Person {
    username: &'static str,
    password: &'static str,
    full_name: &'static str,
    msisdn: &'static str,
}

const SLUG: &str = "kennet-demo";

const PLANS: [DemoPlan; 3] = [
    DemoPlan {
        code: "hotspot-10",
        name: "Hotspot 10/5, 100 GB",
        access: Access::Hotspot,
        billing: Billing::Prepaid,
        down_kbps: 10_000,
        up_kbps: 5_000,
        price_cents: 100_000,
        data_bytes: Some(100_000_000_000),
        max_devices: 1,
    },
    DemoPlan {
        code: "home-20",
        name: "Home 20/10",
        access: Access::Pppoe,
        billing: Billing::Prepaid,
        down_kbps: 20_000,
        up_kbps: 10_000,
        price_cents: 250_000,
        data_bytes: None,
        max_devices: 4,
    },
    DemoPlan {
        code: "office-50",
        name: "Office 50/25",
        access: Access::Ipoe,
        billing: Billing::Postpaid,
        down_kbps: 50_000,
        up_kbps: 25_000,
        price_cents: 600_000,
        data_bytes: None,
        max_devices: 32,
    },
];

/// One for each plan, in its order.
const PEOPLE: [Person; 3] = [
    Person {
        username: "amina",
        password: "amina-demo",
        full_name: "Amina Wanjiru",
        msisdn: "254712000001",
    },
    Person {
        username: "brian",
        password: "brian-demo",
        full_name: "Brian Otieno",
        msisdn: "254712000002",
    },
    Person {
        username: "chebet",
        password: "chebet-demo",
        full_name: "Chebet Kiprono",
        msisdn: "254712000003",
    },
];
