//! Tells the provider to give money back, and asks what came of it where the provider says so.
//! M-Pesa's reversals have no id of ours and cannot be asked about: what nobody answered for is not
//! sent again by itself, and people look at the provider's statement.

use jiff::{SignedDuration, Timestamp};
use shared::{
    daemon::Life,
    id::{RefundId, TenantId},
};
use uuid::Uuid;

use super::{End, Refund, RefundError, RefundState, Refunds, end_with, find, lock, store};
use crate::{
    actor::Actor,
    clock,
    db::{Db, StoreError, Tx},
    errands::{self, Due, Errand},
    gateways::{Channel, GiveBack, Pace, Returned, Submit},
    merchants::Opened,
};

impl Errand for Refunds {
    const NAME: &'static str = "refunds";
    const LEASE: i64 = 60;
    type Error = RefundError;

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

    async fn act(&self, tenant: TenantId, row: Uuid) -> Result<(), RefundError> {
        let id = RefundId::from_uuid(row);
        let mut tx = self.db.tenant(tenant).await?;
        let refund = find(&mut tx, tenant, id).await?;
        let way = store::way_back(&mut tx, tenant, refund.payment).await?;
        drop(tx);
        // By hand, if no provider took it in or it gives nothing back.
        let Some(way) = way else {
            return self.keep(tenant, id, refund.state, None).await;
        };
        let opened = self.merchants.open(tenant, way.merchant).await?;
        if !opened.gateway.can().give_back {
            return self.keep(tenant, id, refund.state, None).await;
        }
        let address = |channel| self.merchants.address(&opened, channel, row);
        let (result, timeout) = (address(Channel::Back), address(Channel::BackLate));
        let what = GiveBack {
            refund: id,
            receipt: &way.receipt,
            intent: way.intent,
            amount: refund.amount,
            result: &result,
            timeout: &timeout,
        };
        match refund.sent_at {
            None => self.send(&opened, &refund, what).await,
            Some(sent_at) if opened.gateway.can().query_give_back => {
                self.ask(&opened, &refund, what, sent_at).await
            }
            // It was sent, and the program died: people have to look.
            Some(_) => self.keep(tenant, id, RefundState::Unknown, None).await,
        }
    }
}

impl Refunds {
    /// Until the daemon stops.
    pub fn start(&self, life: &Life) {
        errands::start(self.clone(), life);
    }

    async fn send(
        &self,
        opened: &Opened,
        refund: &Refund,
        what: GiveBack<'_>,
    ) -> Result<(), RefundError> {
        let (tenant, id) = (opened.tenant, refund.id);
        // Written first: it is not sent twice.
        self.keep_sent(tenant, refund).await?;
        match opened.gateway.give_back(what).await {
            Submit::Accepted { .. } | Submit::NoAnswer => {
                let soon = clock::now() + self.pace.span(ASK_SOON);
                let next = opened.gateway.can().query_give_back.then_some(soon);
                self.keep(tenant, id, RefundState::Unknown, next).await
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

    /// What the provider says itself is certain.
    async fn ask(
        &self,
        opened: &Opened,
        refund: &Refund,
        what: GiveBack<'_>,
        sent_at: Timestamp,
    ) -> Result<(), RefundError> {
        let (tenant, id) = (opened.tenant, refund.id);
        match opened.gateway.given_back(what).await {
            Returned::Ended(done) => {
                let actor = Actor::program(tenant, PROGRAM);
                let mut tx = self.db.tenant(tenant).await?;
                self.heard(&mut tx, &actor, id, &done).await?;
                tx.commit().await.map_err(StoreError::from)?;
                Ok(())
            }
            // It did not arrive; the provider gives back of one payment once.
            Returned::NotAsked if refund.state == RefundState::Unknown => {
                self.send(opened, refund, what).await
            }
            Returned::NotAsked | Returned::Pending | Returned::NoAnswer => {
                let next = ask_again(sent_at, clock::now(), self.pace);
                self.keep(tenant, id, RefundState::Unknown, next).await
            }
        }
    }

    async fn keep(
        &self,
        tenant: TenantId,
        id: RefundId,
        state: RefundState,
        next: Option<Timestamp>,
    ) -> Result<(), RefundError> {
        let mut tx = self.db.tenant(tenant).await?;
        store::sent(&mut tx, tenant, id, state, next, None).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(())
    }

    async fn keep_sent(&self, tenant: TenantId, refund: &Refund) -> Result<(), RefundError> {
        let now = clock::now();
        let next = now + self.pace.span(Self::LEASE).max(SignedDuration::from_secs(5));
        let mut tx = self.db.tenant(tenant).await?;
        store::sent(&mut tx, tenant, refund.id, refund.state, Some(next), Some(now)).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(())
    }
}

/// Ever more seldom, at most every six hours; none: banks take ten days and not three weeks.
fn ask_again(sent_at: Timestamp, now: Timestamp, pace: Pace) -> Option<Timestamp> {
    let since = now.duration_since(sent_at);
    let wait = since.clamp(pace.span(ASK_SOON), pace.span(6 * 3600));
    (since < pace.span(21 * 24 * 3600)).then(|| now + wait)
}

/// Whose name is in the audit log.
const PROGRAM: &str = "refunds";
/// Seconds until what came of it is asked for the first time.
const ASK_SOON: i64 = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn questions_get_rarer_and_end() {
        let sent: Timestamp = "2026-11-28T00:00:00Z".parse().unwrap();
        let after = |seconds: i64| {
            let now = sent + SignedDuration::from_secs(seconds);
            ask_again(sent, now, Pace::default()).map(|next| next.duration_since(now).as_secs())
        };
        assert_eq!(after(0), Some(10));
        assert_eq!(after(600), Some(600));
        assert_eq!(after(10 * 24 * 3600), Some(6 * 3600));
        assert_eq!(after(21 * 24 * 3600), None);
    }
}
