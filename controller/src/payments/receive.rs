//! Money that a provider says has come in. Callback, confirmation, query, list and statement all
//! end here; the first one credits, and the others are told what it made.

use jiff::Timestamp;
use serde_json::json;
use shared::id::{IntentId, PaymentId, SubscriberId, TenantId};
use uuid::Uuid;

use super::{Payment, PaymentError, Provider, allocate, lock, match_to, store};
use crate::{
    actor::Actor,
    audit,
    billing::Cents,
    db::{StoreError, Tx},
    gateways::Window,
    invoices,
    words::{Receipt, Shortcode},
};

/// It is certain.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Incoming<'a> {
    pub(crate) provider: Provider,
    pub(crate) receipt: &'a Receipt,
    pub(crate) shortcode: &'a Shortcode,
    /// None: nobody knows yet.
    pub(crate) subscriber: Option<SubscriberId>,
    /// What it was asked by, if that has no payment yet.
    pub(crate) intent: Option<IntentId>,
    pub(crate) amount: Cents,
    /// None: now.
    pub(crate) paid_at: Option<Timestamp>,
    pub(crate) reference: Option<&'a str>,
    pub(crate) payer: Option<&'a str>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Received {
    /// Credited now; otherwise it was before.
    pub(crate) fresh: bool,
}

/// Credits a receipt, and pays what is open. Money of nobody known finds its owner here when a
/// later message says who that is.
pub(crate) async fn receive(
    tx: &mut Tx,
    actor: &Actor,
    new: &Incoming<'_>,
    now: Timestamp,
) -> Result<Received, PaymentError> {
    let (id, fresh) = store::apply(tx, PaymentId::from_uuid(Uuid::now_v7()), new, now).await?;
    if !fresh {
        let before = lock(tx, actor.tenant, id).await?;
        return match (before.subscriber, new.subscriber) {
            (None, Some(subscriber)) => {
                match_to(tx, actor.tenant, &before, subscriber, now).await?;
                pay_open(tx, actor.tenant, &before, subscriber, now).await?;
                record(tx, actor, "payment.assign", id, new).await?;
                Ok(Received { fresh })
            }
            (Some(known), Some(subscriber)) if known != subscriber => {
                Err(PaymentError::ReceiptTaken)
            }
            (Some(_), _) | (None, None) => Ok(Received { fresh }),
        };
    }
    match new.subscriber {
        Some(subscriber) => {
            let open = invoices::lock_open(tx, actor.tenant, subscriber, None).await?;
            allocate(tx, actor.tenant, id, subscriber, new.amount, &open, now).await?;
        }
        None => store::note(tx, actor.tenant, id, new.reference, new.payer).await?,
    }
    record(tx, actor, "payment.receive", id, new).await?;
    Ok(Received { fresh })
}

/// Those of the receipts that are in the books.
pub(crate) async fn known(
    tx: &mut Tx,
    tenant: TenantId,
    provider: Provider,
    receipts: &[String],
) -> Result<Vec<String>, StoreError> {
    store::known(tx, tenant, provider, receipts).await
}

/// What came in within a while at one place, by the providers' clocks.
pub(crate) async fn of_day(
    tx: &mut Tx,
    tenant: TenantId,
    provider: Provider,
    shortcode: &Shortcode,
    window: Window,
) -> Result<Vec<(Receipt, Cents)>, StoreError> {
    store::of_day(tx, tenant, provider, shortcode, window).await
}

/// Those of the receipts that are in the books, with their amounts.
pub(crate) async fn amounts(
    tx: &mut Tx,
    tenant: TenantId,
    provider: Provider,
    receipts: &[String],
) -> Result<Vec<(Receipt, Cents)>, StoreError> {
    store::amounts(tx, tenant, provider, receipts).await
}

async fn pay_open(
    tx: &mut Tx,
    tenant: TenantId,
    payment: &Payment,
    subscriber: SubscriberId,
    now: Timestamp,
) -> Result<(), PaymentError> {
    let open = invoices::lock_open(tx, tenant, subscriber, None).await?;
    allocate(tx, tenant, payment.id, subscriber, payment.amount, &open, now).await
}

async fn record(
    tx: &mut Tx,
    actor: &Actor,
    action: &'static str,
    id: PaymentId,
    new: &Incoming<'_>,
) -> Result<(), StoreError> {
    let after = json!({
        "provider": new.provider, "receipt": new.receipt, "subscriber": new.subscriber,
        "amount_cents": new.amount.get(), "intent": new.intent,
    });
    let entry = audit::Entry {
        action,
        object_kind: "payment",
        object_id: id.to_string(),
        before: None,
        after: Some(after),
    };
    audit::record(tx, actor, entry).await
}
