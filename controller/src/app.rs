//! Builds each part once, and gives each router its share.

use std::{io, net::SocketAddr, sync::Arc};

use axum::{Router, extract::FromRef, middleware::from_fn_with_state};
use shared::daemon::Life;

use crate::{
    about::{self, About},
    api_tokens::{self, ApiTokens},
    audit::{self, Audit},
    broker,
    closings::{self, Closings},
    db::{self, Db},
    diagnostics::{self, Diagnostics},
    doubts::{self, Doubts},
    edges::{
        LookAgain,
        desired::{self, Desk},
        inventory::{self, Edges},
        leases,
        link::LinkError,
        office::Office,
    },
    gateways::Hosts,
    http::{self, Guarded},
    inbox::{self, Inbox},
    intents::{self, Intents},
    invitations::{self, Invitations},
    invoices::{self, Invoices},
    jobs::{self, Jobs},
    ledger::{self, Ledger},
    live::{self, Watching},
    logins::{self, Logins},
    merchants::{self, Merchants},
    messages::{self, Messages},
    network::{
        access_points::{self, AccessPoints},
        limits::{self, Limits},
        nas::{self, Nases},
    },
    operators::{self, Hasher, Operators},
    outages::{self, Outages},
    payments::{self, Payments},
    payouts::{self, Payouts},
    periods::{self, Periods},
    plans::{self, Plans},
    portal::{self, Portal},
    postgres::ClusterError,
    prints::{self, Prints},
    privacy::{self, Privacy},
    reach::Outward,
    reconciliations::{self, Reconciliations},
    refunds::{self, Refunds},
    reports::{self, Reports},
    resellers::{self, Resellers},
    retention::{self, Retention},
    seal::{MasterKeyError, Seal},
    second_factors::{self, SecondFactors},
    sessions,
    settings::{self, Settings},
    settlements::{self, Settlements},
    subscribers::{self, Subscribers},
    subscriptions::{self, Subscriptions},
    taxes::{self, Taxes},
    tenants::{self, Tenants},
    tickets::{self, Tickets},
    verify::{self, Verify},
    vouchers::{self, Vouchers},
    webhooks::{self, Webhooks},
};

pub use crate::{serve::serve, storage::Storage};

#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("the private Postgres does not start")]
    Cluster(#[from] ClusterError),
    #[error(transparent)]
    Database(#[from] db::OpenError),
    #[error(transparent)]
    MasterKey(#[from] MasterKeyError),
    #[error(transparent)]
    Broker(#[from] broker::StartError),
    #[error(transparent)]
    Link(#[from] LinkError),
    #[error("cannot listen on {addr} (`http_listen`)")]
    Listen { addr: SocketAddr, source: io::Error },
}

/// Everything there is one of. Cheap to clone, and to move.
#[derive(Clone, Debug)]
pub struct App(pub(crate) Arc<Parts>);

#[derive(Debug)]
pub(crate) struct Parts {
    about: About,
    access_points: AccessPoints,
    api_tokens: ApiTokens,
    pub(crate) audit: Audit,
    closings: Closings,
    pub(crate) db: Db,
    doubts: Doubts,
    diagnostics: Diagnostics,
    edges: Edges,
    inbox: Inbox,
    intents: Intents,
    merchants: Merchants,
    nases: Nases,
    pub(crate) seal: Seal,
    look_again: LookAgain,
    invitations: Invitations,
    invoices: Invoices,
    pub(crate) jobs: Jobs,
    ledger: Ledger,
    limits: Limits,
    logins: Logins,
    pub(crate) office: Office,
    operators: Operators,
    outages: Outages,
    payments: Payments,
    payouts: Payouts,
    periods: Periods,
    plans: Plans,
    reconciliations: Reconciliations,
    refunds: Refunds,
    portal: Portal,
    prints: Prints,
    privacy: Privacy,
    reports: Reports,
    resellers: Resellers,
    pub(crate) retention: Retention,
    second_factors: SecondFactors,
    settlements: Settlements,
    subscribers: Subscribers,
    subscriptions: Subscriptions,
    taxes: Taxes,
    tenants: Tenants,
    tickets: Tickets,
    verify: Verify,
    vouchers: Vouchers,
    pub(crate) messages: Messages,
    watching: Watching,
    webhooks: Webhooks,
}

impl App {
    pub fn new(settings: &Settings, db: Db) -> Result<Self, StartError> {
        let seal = Seal::load(settings.master_key_file.as_deref(), &settings.data_dir)?;
        let look_again = LookAgain::default();
        let hasher = Hasher::default();
        let office = Office::new(db.clone(), seal.clone(), look_again.clone());
        let settings::Payments { public_url, simulator, pace } = &settings.payments;
        let hosts = Hosts::new(simulator.as_deref());
        let merchants = Merchants::new(db.clone(), seal.clone(), hosts, public_url);
        let intents = Intents::new(db.clone(), seal.clone(), merchants.clone(), *pace);
        let payouts = Payouts::new(db.clone(), merchants.clone(), *pace);
        let refunds = Refunds::new(db.clone(), merchants.clone(), *pace);
        let inbox = Inbox::new(
            db.clone(),
            seal.clone(),
            merchants.clone(),
            intents.clone(),
            payouts.clone(),
            refunds.clone(),
        );
        let subscribers = Subscribers::new(db.clone(), seal.clone(), look_again.clone());
        let tenants = Tenants::new(db.clone());
        let vouchers = Vouchers::new(db.clone(), seal.clone(), look_again.clone());
        let portal = Portal::new(
            db.clone(),
            seal.clone(),
            tenants.clone(),
            subscribers.clone(),
            vouchers.clone(),
        );
        let invoices = Invoices::new(db.clone());
        let prints = Prints::new(
            db.clone(),
            invoices.clone(),
            subscribers.clone(),
            tenants.clone(),
            vouchers.clone(),
        );
        let periods = Periods::new(db.clone(), look_again.clone(), intents.clone());
        let closings = Closings::new(db.clone());
        let logins = Logins::new(db.clone(), hasher.clone(), seal.clone(), settings.registration);
        let outward = Outward::new(settings.reach);
        let messages = Messages::new(db.clone(), seal.clone(), outward, prints.clone(), public_url);
        let invitations =
            Invitations::new(db.clone(), hasher.clone(), logins.clone(), seal.clone(), public_url);
        Ok(Self(Arc::new(Parts {
            about: About::new(db.clone(), office.link.clone(), Self::routes()),
            access_points: AccessPoints::new(db.clone()),
            api_tokens: ApiTokens::new(db.clone(), seal.clone()),
            audit: Audit::new(db.clone()),
            doubts: Doubts::new(db.clone()),
            diagnostics: Diagnostics::new(db.clone()),
            edges: Edges::new(db.clone(), seal.clone(), look_again.clone(), office.cutter()),
            reconciliations: Reconciliations::new(db.clone(), merchants.clone(), intents.clone()),
            refunds,
            inbox,
            intents,
            merchants,
            nases: Nases::new(db.clone(), seal.clone(), look_again.clone()),
            invitations,
            invoices,
            jobs: Jobs::new(db.clone(), periods.clone(), closings.clone()),
            closings,
            ledger: Ledger::new(db.clone()),
            limits: Limits::new(db.clone(), look_again.clone()),
            logins,
            office,
            operators: Operators::new(db.clone(), hasher),
            outages: Outages::new(db.clone()),
            payments: Payments::new(db.clone()),
            payouts,
            periods,
            plans: Plans::new(db.clone()),
            portal,
            prints,
            privacy: Privacy::new(db.clone(), look_again.clone()),
            reports: Reports::new(db.clone()),
            resellers: Resellers::new(db.clone()),
            retention: Retention::new(db.clone()),
            second_factors: SecondFactors::new(db.clone(), seal.clone()),
            settlements: Settlements::new(db.clone()),
            subscribers,
            subscriptions: Subscriptions::new(db.clone(), look_again.clone()),
            taxes: Taxes::new(db.clone()),
            tenants,
            tickets: Tickets::new(db.clone()),
            verify: Verify::new(db.clone()),
            vouchers,
            watching: Watching::new(db.clone()),
            webhooks: Webhooks::new(db.clone(), seal.clone()),
            messages,
            look_again,
            db,
            seal,
        })))
    }

    pub fn audit(&self) -> &Audit {
        &self.0.audit
    }

    pub fn closings(&self) -> &Closings {
        &self.0.closings
    }

    pub fn messages(&self) -> &Messages {
        &self.0.messages
    }

    pub fn outages(&self) -> &Outages {
        &self.0.outages
    }

    pub fn jobs(&self) -> &Jobs {
        &self.0.jobs
    }

    pub fn operators(&self) -> &Operators {
        &self.0.operators
    }

    pub fn plans(&self) -> &Plans {
        &self.0.plans
    }

    pub fn subscribers(&self) -> &Subscribers {
        &self.0.subscribers
    }

    pub fn subscriptions(&self) -> &Subscriptions {
        &self.0.subscriptions
    }

    pub fn tenants(&self) -> &Tenants {
        &self.0.tenants
    }

    pub fn invoices(&self) -> &Invoices {
        &self.0.invoices
    }

    pub fn payments(&self) -> &Payments {
        &self.0.payments
    }

    /// What payment providers say is applied, what is open is looked after, and what was approved
    /// is paid out, until the daemon stops.
    pub fn watch_money(&self, life: &Life) {
        self.0.inbox.start(life);
        self.0.intents.start(life);
        self.0.payouts.start(life);
        self.0.refunds.start(life);
    }

    pub fn payouts(&self) -> &Payouts {
        &self.0.payouts
    }

    pub fn resellers(&self) -> &Resellers {
        &self.0.resellers
    }

    pub fn settlements(&self) -> &Settlements {
        &self.0.settlements
    }

    pub fn tickets(&self) -> &Tickets {
        &self.0.tickets
    }

    pub fn vouchers(&self) -> &Vouchers {
        &self.0.vouchers
    }

    /// Every route there is.
    pub fn routes() -> Guarded<Self> {
        Guarded::default()
            .merge(about::http::routes())
            .merge(logins::http::routes())
            .merge(second_factors::http::routes())
            .merge(api_tokens::http::routes())
            .merge(invitations::http::routes())
            .merge(tenants::http::routes())
            .merge(operators::http::routes())
            .merge(subscribers::http::routes())
            .merge(plans::http::routes())
            .merge(subscriptions::http::routes())
            .merge(inventory::http::routes())
            .merge(nas::http::routes())
            .merge(access_points::http::routes())
            .merge(audit::http::routes())
            .merge(desired::http::routes())
            .merge(leases::http::routes())
            .merge(sessions::http::routes())
            .merge(vouchers::http::routes())
            .merge(ledger::http::routes())
            .merge(invoices::http::routes())
            .merge(payments::http::routes())
            .merge(merchants::http::routes())
            .merge(intents::http::routes())
            .merge(doubts::http::routes())
            .merge(reconciliations::http::routes())
            .merge(refunds::http::routes())
            .merge(inbox::http::routes())
            .merge(resellers::http::routes())
            .merge(settlements::http::routes())
            .merge(payouts::http::routes())
            .merge(tickets::http::routes())
            .merge(taxes::http::routes())
            .merge(verify::http::routes())
            .merge(portal::http::routes())
            .merge(diagnostics::http::routes())
            .merge(reports::http::routes())
            .merge(prints::http::routes())
            .merge(privacy::http::routes())
            .merge(webhooks::http::routes())
            .merge(messages::http::routes())
            .merge(retention::http::routes())
            .merge(periods::http::routes())
            .merge(closings::http::routes())
            .merge(jobs::http::routes())
            .merge(live::http::routes())
            .merge(limits::http::routes())
            .merge(outages::http::routes())
    }

    pub fn router(self) -> Router {
        let (router, _api) = Self::routes().split(about::head());
        let identify = from_fn_with_state(self.0.logins.clone(), logins::http::identify);
        let router = router.fallback(http::no_route).method_not_allowed_fallback(http::no_method);
        http::around(router.layer(identify).with_state(self))
    }
}

macro_rules! shares {
    ($($field:ident: $part:ty,)*) => {$(
        impl FromRef<App> for $part {
            fn from_ref(app: &App) -> Self {
                app.0.$field.clone()
            }
        }
    )*};
}

shares! {
    about: About,
    access_points: AccessPoints,
    api_tokens: ApiTokens,
    audit: Audit,
    closings: Closings,
    db: Db,
    doubts: Doubts,
    diagnostics: Diagnostics,
    edges: Edges,
    inbox: Inbox,
    intents: Intents,
    merchants: Merchants,
    nases: Nases,
    invitations: Invitations,
    invoices: Invoices,
    jobs: Jobs,
    ledger: Ledger,
    limits: Limits,
    logins: Logins,
    look_again: LookAgain,
    office: Office,
    operators: Operators,
    outages: Outages,
    payments: Payments,
    payouts: Payouts,
    periods: Periods,
    plans: Plans,
    reconciliations: Reconciliations,
    refunds: Refunds,
    portal: Portal,
    prints: Prints,
    privacy: Privacy,
    reports: Reports,
    resellers: Resellers,
    retention: Retention,
    seal: Seal,
    second_factors: SecondFactors,
    settlements: Settlements,
    subscribers: Subscribers,
    subscriptions: Subscriptions,
    taxes: Taxes,
    tenants: Tenants,
    tickets: Tickets,
    verify: Verify,
    vouchers: Vouchers,
    messages: Messages,
    watching: Watching,
    webhooks: Webhooks,
}

impl FromRef<App> for Desk {
    fn from_ref(app: &App) -> Self {
        app.0.office.desk.clone()
    }
}
