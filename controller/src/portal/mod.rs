//! What somebody without an account may ask for: to become a subscriber, and to redeem a voucher
//! for an account whose password they know.
//!
//! It owns no table. Whoever tries too often waits: wrong codes, wrong passwords and new accounts
//! count alike, by address.

pub mod http;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use shared::id::TenantId;

use crate::{
    actor::Actor,
    clock,
    idempotency::{Key, Made},
    logins::{Origin, Throttle},
    subscribers::{NewSubscriber, Subscriber, SubscriberError, Subscribers},
    tenants::{TenantError, TenantStatus, Tenants},
    vouchers::{Redeemed, VoucherCode, VoucherError, Vouchers},
    words::{RadiusSecret, Username},
};

#[derive(Debug, thiserror::Error)]
pub enum PortalError {
    #[error("there is no such provider")]
    UnknownTenant,
    #[error("too many tries from this address")]
    TooMany { seconds: u64 },
    #[error("wrong username or password")]
    WrongLogin,
    #[error(transparent)]
    Tenant(TenantError),
    #[error(transparent)]
    Subscriber(#[from] SubscriberError),
    #[error(transparent)]
    Voucher(#[from] VoucherError),
}

impl From<TenantError> for PortalError {
    fn from(error: TenantError) -> Self {
        match error {
            TenantError::Unknown => Self::UnknownTenant,
            error @ (TenantError::SlugTaken
            | TenantError::Stale
            | TenantError::NotYours
            | TenantError::Claim(_)
            | TenantError::Store(_)) => Self::Tenant(error),
        }
    }
}

/// Somebody at a portal.
#[derive(Clone, Debug)]
pub struct Login {
    pub username: Username,
    pub password: RadiusSecret,
}

#[derive(Clone, Debug)]
pub struct Portal {
    tenants: Tenants,
    subscribers: Subscribers,
    vouchers: Vouchers,
    tries: Arc<Mutex<Throttle>>,
}

impl Portal {
    pub fn new(tenants: Tenants, subscribers: Subscribers, vouchers: Vouchers) -> Self {
        Self { tenants, subscribers, vouchers, tries: Arc::default() }
    }

    pub async fn register(
        &self,
        tenant: TenantId,
        origin: Origin,
        key: Option<&Key>,
        new: NewSubscriber,
    ) -> Result<Made<Subscriber>, PortalError> {
        let now = clock::now();
        let actor = self.enter(tenant, origin, now).await?;
        // Each is an account that somebody has to look at.
        self.tries().failed(origin.ip, now);
        Ok(self.subscribers.create(&actor, key, new).await?)
    }

    pub async fn redeem(
        &self,
        tenant: TenantId,
        origin: Origin,
        key: Option<&Key>,
        login: &Login,
        code: &VoucherCode,
    ) -> Result<Made<Redeemed>, PortalError> {
        let now = clock::now();
        let actor = self.enter(tenant, origin, now).await?;
        let Login { username, password } = login;
        let Some(subscriber) = self.subscribers.identify(&actor, username, password).await? else {
            self.tries().failed(origin.ip, now);
            return Err(PortalError::WrongLogin);
        };
        let redeemed = self.vouchers.redeem(&actor, key, code, subscriber).await;
        if redeemed.is_err() {
            self.tries().failed(origin.ip, now);
        }
        Ok(redeemed?)
    }

    /// A provider that serves, and somebody who did not try too often.
    async fn enter(
        &self,
        tenant: TenantId,
        origin: Origin,
        now: Timestamp,
    ) -> Result<Actor, PortalError> {
        if let Some(seconds) = self.tries().wait(origin.ip, now) {
            return Err(PortalError::TooMany { seconds });
        }
        let actor = Actor::portal(tenant, origin);
        match self.tenants.find(&actor, tenant).await?.status {
            TenantStatus::Active => Ok(actor),
            TenantStatus::Suspended => Err(PortalError::UnknownTenant),
        }
    }

    /// Every change of it is one statement, so a panic in between leaves nothing half done.
    fn tries(&self) -> MutexGuard<'_, Throttle> {
        self.tries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
