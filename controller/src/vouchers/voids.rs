//! Vouchers that nobody is to redeem: what is left of a batch, or one that was lost.

use shared::id::{BatchId, VoucherId};

use super::{Batch, Voucher, VoucherError, VoucherState, Vouchers, find, record, store};
use crate::{
    actor::Actor,
    audit,
    billing::Cents,
    clock,
    db::StoreError,
    ledger::{self, Account, Entry, Event},
};

impl Vouchers {
    /// Voids what is left of a batch. What was sold is owed and stays.
    pub async fn void(&self, actor: &Actor, id: BatchId) -> Result<Batch, VoucherError> {
        let mut tx = self.db.staff(actor).await?;
        let batch = find(&mut tx, actor.tenant, id).await?;
        if store::void(&mut tx, actor.tenant, id).await? == 0 {
            return Err(VoucherError::NothingToVoid);
        }
        record(&mut tx, actor, "voucher.void", &batch).await?;
        let batch = find(&mut tx, actor.tenant, id).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(batch)
    }

    /// Voids one that was lost or stolen. What was paid for it stays, and is earned: nobody can use
    /// it any more. As nothing is given back, a reseller's commission stays, too.
    pub async fn void_one(&self, actor: &Actor, id: VoucherId) -> Result<Voucher, VoucherError> {
        let mut tx = self.db.staff(actor).await?;
        let found = store::lock(&mut tx, actor.tenant, id).await?;
        let (before, net) = found.ok_or(VoucherError::Unknown)?;
        match before.state {
            VoucherState::Generated | VoucherState::Sold => {}
            VoucherState::Active | VoucherState::Exhausted => return Err(VoucherError::Used),
            VoucherState::Expired => return Err(VoucherError::Expired),
            VoucherState::Void => return Err(VoucherError::Void),
        }
        if before.state == VoucherState::Sold && net > Cents::ZERO {
            let lines = vec![
                (Account::DeferredVouchers, net),
                (Account::Breakage, Cents::ZERO.minus(net)?),
            ];
            let entry = Entry { event: Event::VoucherBroken(id), at: clock::now(), lines };
            ledger::post(&mut tx, &entry).await?;
        }
        store::void_one(&mut tx, actor.tenant, id).await?;
        let after = Voucher { state: VoucherState::Void, ..before.clone() };
        audit::change(&mut tx, actor, "voucher.void-one", Some(&before), &after).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(after)
    }
}
