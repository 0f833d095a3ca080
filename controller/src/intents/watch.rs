//! Looks after intents until it is known what came of them, and fetches what came in.
//!
//! Everything it needs is in the rows: who dies in between is followed by another, after the lease.

use std::time::Duration;

use futures_util::{StreamExt as _, stream};
use shared::{
    daemon::{Chain, Life},
    id::TenantId,
};

use super::{Intent, IntentError, Intents, heard, heard::At, schedule, store};
use crate::{
    actor::Actor,
    clock,
    db::{self, AsStoreError, StoreError},
    doubts::{self, DoubtKind, NewDoubt},
    gateways::{About, Answer, Collected, Window},
    merchants::{self, Opened},
    payments::{self, PaymentError},
};

impl Intents {
    /// Until the daemon stops.
    pub fn start(&self, life: &Life) {
        for lane in 0..LANES {
            life.spawn("payment intents", self.clone().look_after(lane));
        }
        life.spawn("payments pulled", self.clone().fetch());
    }

    /// There may be something to look after.
    pub(crate) fn ring(&self) {
        self.bell.notify_waiters();
    }

    async fn look_after(self, lane: i32) {
        loop {
            match self.round(lane).await {
                Ok(0) => {
                    let idle = self.pace.wait(IDLE).max(IDLE_MIN);
                    let _rung = tokio::time::timeout(idle, self.bell.notified()).await;
                }
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(error = %Chain(&error), "intents are not looked after");
                    tokio::time::sleep(IDLE).await;
                }
            }
        }
    }

    async fn round(&self, lane: i32) -> Result<usize, StoreError> {
        let due = store::due(&self.db, clock::now(), lane, LANES, ROUND).await?;
        let found = due.len();
        // Most of the time is the provider's, so that one after the other falls behind a busy hour.
        let looks = stream::iter(due).for_each_concurrent(AT_ONCE, |one| {
            let this = self.clone();
            async move {
                if let Err(error) = this.take_and_look(&one).await {
                    let id = one.intent;
                    tracing::warn!(intent.id = %id, error = %Chain(&error), "an intent is not checked");
                }
            }
        });
        looks.await;
        Ok(found)
    }

    async fn take_and_look(&self, due: &store::Due) -> Result<(), IntentError> {
        let mut tx = self.db.tenant(due.tenant).await?;
        let until = clock::now() + self.pace.span(schedule::LEASE).max(LEASE_MIN);
        let taken = store::take(&mut tx, due, until).await?;
        tx.commit().await.map_err(StoreError::from)?;
        match taken {
            Some(intent) => self.look(due.tenant, intent).await,
            None => Ok(()),
        }
    }

    /// Sends what was not taken, or asks what came of it.
    pub(super) async fn look(&self, tenant: TenantId, intent: Intent) -> Result<(), IntentError> {
        let Some(merchant) = intent.merchant else { return Ok(()) };
        let opened = self.merchants.open(tenant, merchant).await?;
        if intent.send_again {
            self.push(&opened, &intent).await?;
            return Ok(());
        }
        let about = About {
            intent: intent.id,
            provider_ref: intent.checkout.as_deref(),
            amount: intent.amount,
            is_old: clock::now() >= intent.created_at + self.pace.span(schedule::FAILURE_STAYS),
        };
        let answer = opened.gateway.query(about, clock::now()).await;
        let actor = Actor::program(tenant, PROGRAM);
        let done = db::retry(|| async {
            let mut tx = self.db.tenant(tenant).await?;
            let at = self.at(&actor, &opened);
            heard::answered(&mut tx, &at, intent.id, answer.clone()).await?;
            tx.commit().await.map_err(StoreError::from)?;
            Ok::<_, PaymentError>(())
        })
        .await;
        match done {
            Ok(()) => Ok(()),
            Err(error) if is_about_the_money(&error) => {
                self.set_aside(&actor, &opened, intent.id.to_string(), &error).await?;
                let mut tx = self.db.tenant(tenant).await?;
                let at = self.at(&actor, &opened);
                heard::answered(&mut tx, &at, intent.id, Answer::NoAnswer).await?;
                tx.commit().await.map_err(StoreError::from)?;
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    pub(crate) fn at<'a>(&self, actor: &'a Actor, opened: &'a Opened) -> At<'a> {
        At { actor, merchant: &opened.merchant, now: clock::now(), pace: self.pace }
    }

    async fn fetch(self) {
        loop {
            let due = match merchants::due(&self.db, clock::now(), ROUND).await {
                Ok(due) => due,
                Err(error) => {
                    tracing::warn!(error = %Chain(&error), "nothing is fetched");
                    Vec::new()
                }
            };
            for one in &due {
                if let Err(error) = self.fetch_one(one).await {
                    let id = one.merchant;
                    tracing::warn!(merchant.id = %id, error = %Chain(&error), "not fetched");
                }
            }
            if due.is_empty() {
                tokio::time::sleep(self.pace.wait(IDLE).max(IDLE_MIN)).await;
            }
        }
    }

    /// Fetches what a provider has taken in since the last time, and a while before that.
    async fn fetch_one(&self, due: &merchants::Due) -> Result<(), IntentError> {
        let now = clock::now();
        let mut tx = self.db.tenant(due.tenant).await?;
        // Who fails comes back then.
        let again = now + self.pace.span(PULL_AGAIN);
        let Some(since) = merchants::take(&mut tx, due, again).await? else { return Ok(()) };
        tx.commit().await.map_err(StoreError::from)?;
        let opened = self.merchants.open(due.tenant, due.merchant).await?;
        let oldest = now - self.pace.span(PULL_MAX).max(OVERLAP_MIN);
        let from = (since - self.pace.span(PULL_OVERLAP).max(OVERLAP_MIN)).max(oldest);
        let rows = opened.gateway.pull(Window { from, until: now }).await;
        let rows = rows.map_err(|error| IntentError::Merchant(error.into()))?;
        let fetched = rows.len();
        let found = self.recover(&opened, rows).await?;
        if found > 0 {
            metrics::counter!("kennet_payments_recovered_total").increment(found as u64);
            tracing::info!(merchant.id = %due.merchant, found, fetched, "payments recovered");
        }
        let mut tx = self.db.tenant(due.tenant).await?;
        let next = now + self.pace.span(PULL_EVERY);
        merchants::fetched(&mut tx, due.tenant, due.merchant, now, next).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(())
    }

    /// Credits those of the rows that are not in the books; how many that were.
    pub(crate) async fn recover(
        &self,
        opened: &Opened,
        rows: Vec<Collected>,
    ) -> Result<usize, IntentError> {
        let receipts: Vec<_> = rows.iter().map(|row| row.receipt.to_string()).collect();
        let provider = opened.merchant.provider;
        let mut tx = self.db.tenant(opened.tenant).await?;
        let known = payments::known(&mut tx, opened.tenant, provider, &receipts).await?;
        drop(tx);
        let known: std::collections::HashSet<_> = known.into_iter().collect();
        let actor = Actor::program(opened.tenant, PROGRAM);
        let mut found = 0;
        for row in rows.iter().filter(|row| !known.contains(row.receipt.as_str())) {
            let done = db::retry(|| async {
                let mut tx = self.db.tenant(opened.tenant).await?;
                let at = self.at(&actor, opened);
                let received = heard::collected(&mut tx, &at, row, None).await?;
                tx.commit().await.map_err(StoreError::from)?;
                Ok::<_, PaymentError>(received.fresh)
            })
            .await;
            match done {
                Ok(fresh) => found += usize::from(fresh),
                // The others are not held up by one that does not fit.
                Err(error) if is_about_the_money(&error) => {
                    let about = row.receipt.to_string();
                    self.set_aside(&actor, opened, about, &error).await?;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(found)
    }

    /// What cannot be applied is for people.
    async fn set_aside(
        &self,
        actor: &Actor,
        opened: &Opened,
        about: String,
        error: &PaymentError,
    ) -> Result<(), StoreError> {
        let mut tx = self.db.tenant(actor.tenant).await?;
        let new = NewDoubt {
            kind: DoubtKind::Elsewhere,
            about,
            merchant: Some(opened.merchant.id),
            intent: None,
            said: error.to_string(),
        };
        doubts::raise(&mut tx, actor.tenant, &new, clock::now()).await?;
        Ok(tx.commit().await?)
    }
}

/// Would the same fail again?
pub(crate) fn is_about_the_money(error: &PaymentError) -> bool {
    error.as_store_error().is_none()
}

/// Whose name is in the audit log.
pub(crate) const PROGRAM: &str = "payments";
const LANES: i32 = 4;
/// Of one lane; fewer together than there are connections, which they have while they write.
const AT_ONCE: usize = 3;
/// Taken from the table at once.
const ROUND: i64 = 32;
const IDLE: Duration = Duration::from_secs(1);
const IDLE_MIN: Duration = Duration::from_millis(50);
/// However fast the provider's clock is, ours needs some time.
const LEASE_MIN: jiff::SignedDuration = jiff::SignedDuration::from_secs(5);
const OVERLAP_MIN: jiff::SignedDuration = jiff::SignedDuration::from_secs(3);
/// M-Pesa lists two days; every five minutes, and half an hour over what was fetched before.
const PULL_EVERY: i64 = 300;
const PULL_AGAIN: i64 = 60;
const PULL_OVERLAP: i64 = 1800;
const PULL_MAX: i64 = 48 * 3600;
