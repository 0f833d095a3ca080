//! Money that a provider says has come in. Callback, confirmation, query, list and statement all
//! end here; the first one credits, and the others are told what it made.

use std::slice;

use jiff::Timestamp;
use serde_json::json;
use shared::id::{IntentId, PaymentId, SubscriberId, TenantId};
use uuid::Uuid;

use super::{
    PaymentError, Provider,
    allocation::{Funds, pay_open},
    lock, match_to, store,
};
use crate::{
    actor::Actor,
    audit,
    billing::Cents,
    db::{StoreError, Tx},
    gateways::Window,
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
    let mut received = receive_all(tx, actor, slice::from_ref(new), now).await?;
    Ok(received.pop().expect("one is received"))
}

/// As [`receive`], of many at once, in their order.
pub(crate) async fn receive_all(
    tx: &mut Tx,
    actor: &Actor,
    news: &[Incoming<'_>],
    now: Timestamp,
) -> Result<Vec<Received>, PaymentError> {
    let tenant = actor.tenant;
    let some: Vec<_> =
        news.iter().map(|new| (PaymentId::from_uuid(Uuid::now_v7()), *new, now)).collect();
    let applied = store::apply(tx, &some).await?;
    let mut funds = Vec::new();
    let mut changes = Vec::new();
    for (new, applied) in news.iter().zip(&applied).filter(|(_, applied)| applied.fresh) {
        match new.subscriber {
            Some(subscriber) => {
                funds.push(Funds { payment: applied.id, subscriber, left: new.amount });
            }
            None => store::note(tx, tenant, applied.id, new.reference, new.payer).await?,
        }
        changes.push((actor, entry("payment.receive", applied.id, new), now));
    }
    pay_open(tx, tenant, &funds, now).await?;
    for (new, applied) in news.iter().zip(&applied).filter(|(_, applied)| !applied.fresh) {
        let before = lock(tx, tenant, applied.id).await?;
        match (before.subscriber, new.subscriber) {
            (None, Some(subscriber)) => {
                match_to(tx, tenant, &before, subscriber, now).await?;
                let (payment, left) = (before.id, before.amount);
                pay_open(tx, tenant, &[Funds { payment, subscriber, left }], now).await?;
                changes.push((actor, entry("payment.assign", before.id, new), now));
            }
            (Some(known), Some(subscriber)) if known != subscriber => {
                return Err(PaymentError::ReceiptTaken);
            }
            (Some(_), _) | (None, None) => {}
        }
    }
    audit::record_all(tx, &changes).await?;
    Ok(applied.iter().map(|applied| Received { fresh: applied.fresh }).collect())
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

fn entry(action: &'static str, id: PaymentId, new: &Incoming<'_>) -> audit::Entry {
    let after = json!({
        "provider": new.provider, "receipt": new.receipt, "subscriber": new.subscriber,
        "amount_cents": new.amount.get(), "intent": new.intent,
    });
    audit::Entry {
        action,
        object_kind: "payment",
        object_id: id.to_string(),
        before: None,
        after: Some(after),
    }
}
