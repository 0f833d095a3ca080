//! Drafts: what may still be changed, and may go.

use shared::id::{InvoiceId, TenantId};
use uuid::Uuid;

use super::{
    DraftChange, Invoice, InvoiceError, InvoiceState, Invoices, Line, LineKind, NewInvoice,
    NewLine, find, lock, splits, store, sum,
};
use crate::{
    actor::Actor,
    audit,
    billing::{self, Cents},
    clock,
    db::{StoreError, Tx},
    idempotency::{self, Key, Made},
    taxes, tenants,
};

impl Invoices {
    /// Makes a draft, with the taxes of today.
    pub async fn create(
        &self,
        actor: &Actor,
        key: Option<&Key>,
        new: NewInvoice,
    ) -> Result<Made<Invoice>, InvoiceError> {
        let mut tx = self.db.staff(actor).await?;
        let id = InvoiceId::from_uuid(Uuid::now_v7());
        if let Some(object) = idempotency::before(&mut tx, actor, key, *id.as_uuid()).await? {
            let value = find(&mut tx, actor.tenant, InvoiceId::from_uuid(object)).await?;
            return Ok(Made { value, replayed: true });
        }
        let NewInvoice { subscriber, due_on, notes, lines } = new;
        let lines = priced(&mut tx, actor.tenant, lines).await?;
        store::insert(&mut tx, actor.tenant, id, subscriber, clock::now()).await?;
        store::insert_lines(&mut tx, actor.tenant, id, &lines).await?;
        store::amend(&mut tx, actor.tenant, id, due_on, notes.as_ref()).await?;
        let value = find(&mut tx, actor.tenant, id).await?;
        audit::change(&mut tx, actor, "invoice.create", None, &value).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(Made { value, replayed: false })
    }

    /// Changes a draft. Other lines are taxed as of today.
    pub async fn update(
        &self,
        actor: &Actor,
        id: InvoiceId,
        version: i64,
        change: DraftChange,
    ) -> Result<Invoice, InvoiceError> {
        let mut tx = self.db.staff(actor).await?;
        let before = lock(&mut tx, actor.tenant, id).await?;
        if before.version != version {
            return Err(InvoiceError::Stale);
        }
        if before.state != InvoiceState::Draft {
            return Err(InvoiceError::NotADraft);
        }
        if let Some(lines) = change.lines {
            let lines = priced(&mut tx, actor.tenant, lines).await?;
            store::delete_lines(&mut tx, actor.tenant, id).await?;
            store::insert_lines(&mut tx, actor.tenant, id, &lines).await?;
        }
        let due_on = change.due_on.over(before.due_on);
        let notes = change.notes.over(before.notes.clone());
        store::amend(&mut tx, actor.tenant, id, due_on, notes.as_ref()).await?;
        let after = find(&mut tx, actor.tenant, id).await?;
        audit::change(&mut tx, actor, "invoice.update", Some(&before), &after).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(after)
    }

    pub async fn delete(&self, actor: &Actor, id: InvoiceId) -> Result<(), InvoiceError> {
        let mut tx = self.db.staff(actor).await?;
        let before = lock(&mut tx, actor.tenant, id).await?;
        if before.state != InvoiceState::Draft {
            return Err(InvoiceError::NotADraft);
        }
        store::delete(&mut tx, actor.tenant, id).await?;
        audit::deletion(&mut tx, actor, "invoice.delete", &before).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(())
    }
}

/// With the taxes of today; together not below zero.
async fn priced(
    tx: &mut Tx,
    tenant: TenantId,
    new: Vec<NewLine>,
) -> Result<Vec<Line>, InvoiceError> {
    let today = billing::day_of(clock::now(), &tenants::zone(tx, tenant).await?);
    let rates = taxes::on(tx, tenant, today).await?;
    let mut lines = Vec::with_capacity(new.len());
    for NewLine { descr, price, includes_tax } in new {
        let split = if includes_tax { rates.within(price)? } else { rates.upon(price)? };
        let kind = if price < Cents::ZERO { LineKind::Discount } else { LineKind::OneOff };
        lines.push(Line { kind, descr, split });
    }
    let split = sum(&splits(&lines))?;
    if [split.net, split.excise, split.vat].iter().any(|part| *part < Cents::ZERO) {
        return Err(InvoiceError::BelowZero);
    }
    Ok(lines)
}
