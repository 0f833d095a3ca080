//! Sends approved payouts, and asks until it is known what came of them.
//!
//! The provider takes one id once, so what nobody answered for is sent again under the same id and
//! never under another. Until it is known, the money stays set aside.

use std::time::Duration;

use shared::{
    daemon::{Chain, Life},
    id::{PayoutId, TenantId},
};

use super::{End, Payout, PayoutError, PayoutState, Payouts, end_with, find, lock, store};
use crate::{
    actor::Actor,
    clock,
    db::StoreError,
    gateways::{Channel, NewSend, Submit},
};

impl Payouts {
    /// Until the daemon stops.
    pub fn start(&self, life: &Life) {
        life.spawn("payouts", self.clone().run());
    }

    async fn run(self) {
        loop {
            match self.round().await {
                Ok(0) => tokio::time::sleep(self.pace.wait(IDLE).max(IDLE_MIN)).await,
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(error = %Chain(&error), "payouts are not sent");
                    tokio::time::sleep(IDLE).await;
                }
            }
        }
    }

    async fn round(&self) -> Result<usize, StoreError> {
        let due = store::due(&self.db, clock::now(), ROUND).await?;
        for one in &due {
            let mut tx = self.db.tenant(one.tenant).await?;
            let until = clock::now() + self.pace.span(LEASE).max(LEASE_MIN);
            let taken = store::take(&mut tx, one, until).await?;
            tx.commit().await?;
            if !taken {
                continue;
            }
            if let Err(error) = self.act(one.tenant, one.payout).await {
                let id = one.payout;
                tracing::warn!(payout.id = %id, error = %Chain(&error), "a payout is not sent");
            }
        }
        Ok(due.len())
    }

    async fn act(&self, tenant: TenantId, id: PayoutId) -> Result<(), PayoutError> {
        let payout = find(&mut self.db.tenant(tenant).await?, tenant, id).await?;
        let Some(merchant) = payout.merchant else { return Ok(()) };
        // Also one that was disabled since: what is under way has to end.
        let opened = self.merchants.open(tenant, merchant).await?;
        let address = |channel| self.merchants.address(&opened, channel, *id.as_uuid());
        // Every other time it is sent once more: what did not arrive cannot be asked about.
        let ask = payout.sent_at.is_some() && payout.asks % 2 == 1;
        let (result, timeout) = if ask {
            (address(Channel::Status), address(Channel::StatusLate))
        } else {
            (address(Channel::B2c), address(Channel::B2cLate))
        };
        let new = NewSend {
            payout: id,
            msisdn: &payout.msisdn,
            amount: payout.amount,
            result: &result,
            timeout: &timeout,
        };
        if ask {
            if let Err(error) = opened.gateway.ask_about(new).await {
                tracing::info!(payout.id = %id, %error, "nobody says what came of a payout");
            }
            return self.keep(tenant, id).await;
        }
        let submit = opened.gateway.send(new).await;
        self.sent(tenant, &payout, submit).await
    }

    /// What came of sending it. The result may have been faster.
    async fn sent(
        &self,
        tenant: TenantId,
        payout: &Payout,
        submit: Submit,
    ) -> Result<(), PayoutError> {
        let actor = Actor::program(tenant, PROGRAM);
        let first = payout.sent_at.is_none();
        match submit {
            Submit::Refused { code, again: false } if first => {
                let mut tx = self.db.tenant(tenant).await?;
                let before = lock(&mut tx, tenant, payout.id).await?;
                if before.state == PayoutState::Approved {
                    end_with(&mut tx, &actor, &before, &End::Failed).await?;
                    store::note(&mut tx, tenant, payout.id, &code).await?;
                }
                tx.commit().await.map_err(StoreError::from)?;
                Ok(())
            }
            // Nothing was sent; the lease brings it back.
            Submit::Refused { code, again: true } if first => {
                let mut tx = self.db.tenant(tenant).await?;
                store::note(&mut tx, tenant, payout.id, &code).await?;
                tx.commit().await.map_err(StoreError::from)?;
                Ok(())
            }
            Submit::Accepted { .. } => self.keep(tenant, payout.id).await,
            Submit::NoAnswer | Submit::Refused { .. } => {
                self.keep(tenant, payout.id).await?;
                let next = Some(clock::now() + self.pace.span(ASK_AGAIN));
                let mut tx = self.db.tenant(tenant).await?;
                store::unknown(&mut tx, tenant, payout.id, None, next).await?;
                tx.commit().await.map_err(StoreError::from)?;
                Ok(())
            }
        }
    }

    async fn keep(&self, tenant: TenantId, id: PayoutId) -> Result<(), PayoutError> {
        let now = clock::now();
        let mut tx = self.db.tenant(tenant).await?;
        store::sent(&mut tx, tenant, id, now, now + self.pace.span(ASK_AGAIN)).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(())
    }
}

/// Whose name is in the audit log.
const PROGRAM: &str = "payouts";
/// Seconds until what came of it is asked.
pub(super) const ASK_AGAIN: i64 = 120;
/// How long an answer may take, crashes included.
const LEASE: i64 = 60;
const LEASE_MIN: jiff::SignedDuration = jiff::SignedDuration::from_secs(5);
const ROUND: i64 = 16;
const IDLE: Duration = Duration::from_secs(2);
const IDLE_MIN: Duration = Duration::from_millis(50);
