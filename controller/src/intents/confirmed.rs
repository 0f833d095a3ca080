//! Confirmations, many at once: most people pay to an account number and nobody has asked them.

use std::collections::BTreeMap;

use super::{
    Reference, Typed,
    heard::{self, At},
    store::{self, Trace},
};
use crate::{
    db::Tx,
    doubts::{self, DoubtKind},
    gateways::Collected,
    payments::{self, PaymentError},
    subscribers,
};

/// As [`heard::collected`] of each.
pub(crate) async fn confirmed(
    tx: &mut Tx,
    at: &At<'_>,
    all: &[Collected],
) -> Result<(), PaymentError> {
    let tenant = at.actor.tenant;
    let typed: Vec<_> = all.iter().map(heard::typed).collect();
    let traces: Vec<_> = all
        .iter()
        .zip(&typed)
        .map(|(paid, typed)| Trace {
            checkout: paid.provider_ref.as_deref(),
            receipt: &paid.receipt,
            reference: typed.reference().map(Reference::as_str),
        })
        .collect();
    let asked = store::asked(tx, tenant, at.merchant.provider, &traces).await?;
    let accounts: Vec<_> = typed.iter().filter_map(Typed::account).collect();
    let owners: BTreeMap<_, _> =
        subscribers::by_accounts(tx, tenant, &accounts).await?.into_iter().collect();

    let mut unasked = Vec::new();
    for ((paid, typed), asked) in all.iter().zip(&typed).zip(asked) {
        if asked || paid.intent.is_some() {
            heard::collected(tx, at, paid, None).await?;
            continue;
        }
        let subscriber = typed.account().and_then(|account| owners.get(account).copied());
        unasked.push(heard::incoming(at, paid, subscriber, None));
    }
    let received = payments::receive_all(tx, at.actor, &unasked, at.now).await?;
    let fresh = unasked.iter().zip(received).filter(|(_, received)| received.fresh);
    let receipts: Vec<_> = fresh.map(|(new, _)| new.receipt.as_str()).collect();
    let kind = DoubtKind::Unconfirmed;
    doubts::settle(tx, at.actor, kind, &receipts, heard::CONFIRMED, at.now).await?;
    Ok(())
}
