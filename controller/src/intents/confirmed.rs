//! Confirmations, many at once: most people pay to an account number and nobody has asked them.

use std::collections::BTreeMap;

use super::{
    Typed,
    heard::{self, At},
    store::{self, Trace},
};
use crate::{
    db::Tx,
    doubts::{self, DoubtKind},
    gateways::Collected,
    payments::{self, Incoming, PaymentError},
    subscribers,
};

/// As [`heard::collected`] of each.
pub(crate) async fn confirmed(
    tx: &mut Tx,
    at: &At<'_>,
    all: &[Collected],
) -> Result<(), PaymentError> {
    let tenant = at.actor.tenant;
    let typed: Vec<_> = all
        .iter()
        .map(|paid| paid.reference.as_deref().map_or(Typed::Nothing, Typed::read))
        .collect();
    let traces: Vec<_> = all
        .iter()
        .zip(&typed)
        .map(|(paid, typed)| Trace {
            checkout: paid.provider_ref.as_deref(),
            receipt: &paid.receipt,
            reference: match typed {
                Typed::Reference(reference) => Some(reference.as_str()),
                Typed::Account(_) | Typed::Nothing => None,
            },
        })
        .collect();
    let asked = store::asked(tx, tenant, at.merchant.provider, &traces).await?;
    let accounts: Vec<_> = typed
        .iter()
        .filter_map(|typed| match typed {
            Typed::Account(account) => Some(account),
            Typed::Reference(_) | Typed::Nothing => None,
        })
        .collect();
    let owners: BTreeMap<_, _> =
        subscribers::by_accounts(tx, tenant, &accounts).await?.into_iter().collect();

    let mut unasked = Vec::new();
    for ((paid, typed), asked) in all.iter().zip(&typed).zip(asked) {
        if asked || paid.intent.is_some() {
            heard::collected(tx, at, paid, None).await?;
            continue;
        }
        let subscriber = match typed {
            Typed::Account(account) => owners.get(account).copied(),
            Typed::Reference(_) | Typed::Nothing => None,
        };
        unasked.push(Incoming {
            provider: at.merchant.provider,
            receipt: &paid.receipt,
            shortcode: &at.merchant.shortcode,
            subscriber,
            intent: None,
            amount: paid.amount,
            paid_at: paid.paid_at,
            reference: paid.reference.as_deref(),
            payer: paid.payer.as_deref(),
        });
    }
    let received = payments::receive_all(tx, at.actor, &unasked, at.now).await?;
    let fresh = unasked.iter().zip(received).filter(|(_, received)| received.fresh);
    let receipts: Vec<_> = fresh.map(|(new, _)| new.receipt.as_str()).collect();
    let kind = DoubtKind::Unconfirmed;
    doubts::settle(tx, at.actor, kind, &receipts, heard::CONFIRMED, at.now).await?;
    Ok(())
}
