//! Tells the provider to give money back, once. Reversals have no id of ours: what nobody
//! answered for is not sent again by itself, and people look at the provider's statement.

use std::time::Duration;

use shared::{
    daemon::{Chain, Life},
    id::{RefundId, TenantId},
};

use super::{End, RefundError, RefundState, Refunds, end_with, find, lock, store};
use crate::{
    actor::Actor,
    clock,
    db::StoreError,
    gateways::{Channel, GiveBack, Submit},
};

impl Refunds {
    /// Until the daemon stops.
    pub fn start(&self, life: &Life) {
        life.spawn("refunds", self.clone().run());
    }

    async fn run(self) {
        loop {
            match self.round().await {
                Ok(0) => tokio::time::sleep(self.pace.wait(IDLE).max(IDLE_MIN)).await,
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(error = %Chain(&error), "refunds are not sent");
                    tokio::time::sleep(IDLE).await;
                }
            }
        }
    }

    async fn round(&self) -> Result<usize, StoreError> {
        let due = store::due(&self.db, clock::now(), ROUND).await?;
        for one in &due {
            let mut tx = self.db.tenant(one.tenant).await?;
            let taken = store::take(&mut tx, one, clock::now() + LEASE).await?;
            tx.commit().await?;
            if !taken {
                continue;
            }
            if let Err(error) = self.act(one.tenant, one.refund).await {
                let id = one.refund;
                tracing::warn!(refund.id = %id, error = %Chain(&error), "a refund is not sent");
            }
        }
        Ok(due.len())
    }

    async fn act(&self, tenant: TenantId, id: RefundId) -> Result<(), RefundError> {
        let mut tx = self.db.tenant(tenant).await?;
        let refund = find(&mut tx, tenant, id).await?;
        let way = store::way_back(&mut tx, tenant, refund.payment).await?;
        drop(tx);
        let opened = match way {
            Some((merchant, receipt)) => {
                Some((self.merchants.open(tenant, merchant).await?, receipt))
            }
            None => None,
        };
        let able = opened.filter(|(opened, _)| opened.gateway.can().give_back);
        let (Some((opened, receipt)), None) = (able, refund.sent_at) else {
            // By hand, or it was sent and the program died: people have to look.
            let state = match refund.sent_at {
                Some(_) => RefundState::Unknown,
                None => RefundState::Approved,
            };
            return self.keep(tenant, id, state).await;
        };
        // Written first: it is not sent twice.
        self.keep_sent(tenant, id).await?;
        let address = |channel| self.merchants.address(&opened, channel, *id.as_uuid());
        let (result, timeout) = (address(Channel::Back), address(Channel::BackLate));
        let what = GiveBack {
            receipt: &receipt,
            amount: refund.amount,
            result: &result,
            timeout: &timeout,
        };
        match opened.gateway.give_back(what).await {
            Submit::Accepted { .. } | Submit::NoAnswer => {
                self.keep(tenant, id, RefundState::Unknown).await
            }
            Submit::Refused { code, again: _ } => {
                let actor = Actor::program(tenant, PROGRAM);
                let mut tx = self.db.tenant(tenant).await?;
                let before = lock(&mut tx, tenant, id).await?;
                if matches!(before.state, RefundState::Approved | RefundState::Unknown) {
                    end_with(&mut tx, &actor, &before, &End::Failed).await?;
                    store::note(&mut tx, tenant, id, &code).await?;
                }
                tx.commit().await.map_err(StoreError::from)?;
                Ok(())
            }
        }
    }

    async fn keep(
        &self,
        tenant: TenantId,
        id: RefundId,
        state: RefundState,
    ) -> Result<(), RefundError> {
        let mut tx = self.db.tenant(tenant).await?;
        store::sent(&mut tx, tenant, id, state, None, None).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(())
    }

    async fn keep_sent(&self, tenant: TenantId, id: RefundId) -> Result<(), RefundError> {
        let now = clock::now();
        let mut tx = self.db.tenant(tenant).await?;
        let next = Some(now + LEASE);
        store::sent(&mut tx, tenant, id, RefundState::Approved, next, Some(now)).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(())
    }
}

/// Whose name is in the audit log.
const PROGRAM: &str = "refunds";
/// How long an answer may take.
const LEASE: jiff::SignedDuration = jiff::SignedDuration::from_mins(1);
const ROUND: i64 = 16;
const IDLE: Duration = Duration::from_secs(2);
const IDLE_MIN: Duration = Duration::from_millis(50);
