//! Sends approved payouts, and asks until it is known what came of them.
//!
//! The provider takes one id once, so what nobody answered for is sent again under the same id and
//! never under another. Until it is known, the money stays set aside.

use jiff::Timestamp;
use shared::{
    daemon::Life,
    id::{PayoutId, TenantId},
};
use uuid::Uuid;

use super::{End, Payout, PayoutError, PayoutState, Payouts, end_with, find, lock, store};
use crate::{
    actor::Actor,
    clock,
    db::{Db, StoreError, Tx},
    errands::{self, Due, Errand},
    gateways::{Channel, NewSend, Pace, Submit},
};

impl Errand for Payouts {
    const NAME: &'static str = "payouts";
    const LEASE: i64 = 60;
    type Error = PayoutError;

    fn db(&self) -> &Db {
        &self.db
    }

    fn pace(&self) -> Pace {
        self.pace
    }

    async fn due(&self, now: Timestamp, limit: i64) -> Result<Vec<Due>, StoreError> {
        store::due(&self.db, now, limit).await
    }

    async fn take(&self, tx: &mut Tx, due: Due, until: Timestamp) -> Result<bool, StoreError> {
        store::take(tx, due, until).await
    }

    async fn act(&self, tenant: TenantId, row: Uuid) -> Result<(), PayoutError> {
        let id = PayoutId::from_uuid(row);
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
        // Written first: who dies now knows afterwards that it may have been sent.
        let sure = payout.sent_at.is_none();
        self.keep(tenant, id).await?;
        let submit = opened.gateway.send(new).await;
        self.sent(tenant, &payout, submit, sure).await
    }
}

impl Payouts {
    /// Until the daemon stops.
    pub fn start(&self, life: &Life) {
        errands::start(self.clone(), life);
    }

    /// What came of sending it; `sure`: for the first time. The result may have been faster.
    async fn sent(
        &self,
        tenant: TenantId,
        payout: &Payout,
        submit: Submit,
        sure: bool,
    ) -> Result<(), PayoutError> {
        let actor = Actor::program(tenant, PROGRAM);
        let mut tx = self.db.tenant(tenant).await?;
        match submit {
            Submit::Accepted { .. } => return Ok(()),
            Submit::Refused { code, again: false } if sure => {
                let before = lock(&mut tx, tenant, payout.id).await?;
                if before.state == PayoutState::Approved {
                    end_with(&mut tx, &actor, &before, &End::Failed).await?;
                    store::note(&mut tx, tenant, payout.id, &code).await?;
                }
            }
            // Nothing was sent, for certain.
            Submit::Refused { code, again: true } if sure => {
                let next = clock::now() + self.pace.span(SEND_AGAIN);
                store::not_sent(&mut tx, tenant, payout.id, &code, next).await?;
            }
            Submit::NoAnswer | Submit::Refused { .. } => {
                let next = Some(clock::now() + self.pace.span(ASK_AGAIN));
                store::unknown(&mut tx, tenant, payout.id, None, next).await?;
            }
        }
        tx.commit().await.map_err(StoreError::from)?;
        Ok(())
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
/// Seconds that a provider who had too much to do is left alone.
const SEND_AGAIN: i64 = 60;
