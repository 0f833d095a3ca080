//! Payments that staff enter. Who enters some at about the same time shares a transaction.

use std::collections::BTreeMap;

use jiff::Timestamp;
use shared::id::PaymentId;
use uuid::Uuid;

use super::{
    Incoming, NewPayment, OWN_RECEIPTS, Payment, PaymentError, Provider,
    allocation::{Funds, pay_open},
    store,
};
use crate::{
    actor::Actor,
    audit,
    db::{Db, Share, StoreError, Tx},
    group::{Answer, Work},
    idempotency::{self, Asked, Key, Made},
    words::Receipt,
};

/// Somebody enters a payment, now.
#[derive(Clone, Debug)]
pub(super) struct Entered {
    pub(super) actor: Actor,
    pub(super) key: Option<Key>,
    pub(super) new: NewPayment,
    pub(super) now: Timestamp,
}

/// Where they are entered.
#[derive(Clone, Debug)]
pub(super) struct Desk(pub(super) Db);

impl Work for Desk {
    type Ask = Entered;
    type Done = Made<Payment>;
    type Error = PaymentError;
    type Share = Share;
    /// The numbers of receipts have no gaps, so that who takes some holds up who takes others.
    const RUNNING_MAX: usize = 1;

    fn share(ask: &Entered) -> Share {
        Share::of(&ask.actor)
    }

    async fn together(&self, asks: &[Entered]) -> Result<Vec<Answer<Self>>, PaymentError> {
        let Some(first) = asks.first() else { return Ok(Vec::new()) };
        let (tenant, now) = (first.actor.tenant, first.now);
        let mut tx = self.0.staff(&first.actor).await?;
        let claims: Vec<_> = asks.iter().map(claim).collect();
        let before = idempotency::before_all(&mut tx, tenant, &claims, now).await?;

        let mut steps = Vec::with_capacity(asks.len());
        let mut entering = Vec::new();
        for ((ask, claim), before) in asks.iter().zip(&claims).zip(before) {
            steps.push(match (before, given(&ask.new)) {
                (Err(error), _) => Step::Refused(error.into()),
                (Ok(Some(object)), _) => Step::Before(PaymentId::from_uuid(object)),
                (Ok(None), Err(error)) => Step::Refused(error),
                (Ok(None), Ok(receipt)) => {
                    let id = PaymentId::from_uuid(claim.object);
                    entering.push((id, ask, receipt));
                    Step::Entered(id)
                }
            });
        }
        let receipts = receipts(&mut tx, &first.actor, &entering).await?;
        let incoming: Vec<_> = entering
            .iter()
            .zip(&receipts)
            .map(|((id, ask, _), receipt)| (*id, incoming(&ask.new, receipt), ask.now))
            .collect();
        let applied = store::apply(&mut tx, &incoming).await?;
        let fresh: Vec<_> = applied.iter().filter(|one| one.fresh).map(|one| one.id).collect();
        let funds: Vec<_> = entering
            .iter()
            .filter(|(id, ask, _)| ask.new.allocate && fresh.contains(id))
            .filter_map(|(id, ask, _)| {
                let subscriber = ask.new.subscriber?;
                Some(Funds { payment: *id, subscriber, left: ask.new.amount })
            })
            .collect();
        pay_open(&mut tx, tenant, &funds, now).await?;

        // Of a receipt that was there, the payment that it had made.
        let made: BTreeMap<_, _> =
            entering.iter().zip(&applied).map(|((id, ..), applied)| (*id, applied.id)).collect();
        let ids = steps.iter().filter_map(|step| match step {
            Step::Refused(_) => None,
            Step::Before(id) => Some(*id),
            Step::Entered(id) => made.get(id).copied(),
        });
        let ids: Vec<_> = ids.collect();
        let values = store::find_all(&mut tx, tenant, &ids).await?;
        let mut answers = Vec::with_capacity(asks.len());
        let (mut changes, mut idle) = (Vec::new(), Vec::new());
        for ((ask, claim), step) in asks.iter().zip(claims).zip(steps) {
            let value = |id| values.iter().find(|value| value.id == id).cloned();
            answers.push(match step {
                Step::Refused(error) => {
                    idle.push(claim);
                    Err(error)
                }
                Step::Before(id) => {
                    let value = value(id).ok_or(PaymentError::Unknown)?;
                    Ok(Made { value, replayed: true })
                }
                Step::Entered(id) => {
                    let there = made.get(&id).and_then(|id| value(*id));
                    let value = there.ok_or(PaymentError::Unknown)?;
                    if fresh.contains(&id) {
                        let entry = audit::changed("payment.record", None, &value);
                        changes.push((&ask.actor, entry, ask.now));
                        Ok(Made { value, replayed: false })
                    } else {
                        // The key is free for a request that has an effect.
                        idle.push(claim);
                        if value.subscriber == ask.new.subscriber {
                            Ok(Made { value, replayed: true })
                        } else {
                            Err(PaymentError::ReceiptTaken)
                        }
                    }
                }
            });
        }
        idempotency::release(&mut tx, tenant, &idle).await?;
        audit::record_all(&mut tx, &changes).await?;
        tx.commit().await.map_err(StoreError::from)?;
        Ok(answers)
    }
}

/// How far one of them is.
#[derive(Debug)]
enum Step {
    Refused(PaymentError),
    /// The same request made it already.
    Before(PaymentId),
    Entered(PaymentId),
}

fn claim(ask: &Entered) -> Asked<'_> {
    Asked { actor: &ask.actor, key: ask.key.as_ref(), object: Uuid::now_v7() }
}

/// Its receipt; none: it gets the next of the tenant's own.
fn given(new: &NewPayment) -> Result<Option<&Receipt>, PaymentError> {
    match (&new.receipt, new.provider) {
        // Otherwise the series would come to a receipt that is taken, and never past it.
        (Some(receipt), Provider::Cash) if receipt.as_str().starts_with(OWN_RECEIPTS) => {
            Err(PaymentError::ReceiptReserved)
        }
        (Some(receipt), _) => Ok(Some(receipt)),
        (None, Provider::Cash) => Ok(None),
        (
            None,
            Provider::Bank
            | Provider::Mpesa
            | Provider::Airtel
            | Provider::Paystack
            | Provider::Stripe,
        ) => Err(PaymentError::ReceiptNeeded),
    }
}

/// Of each, in their order. Who takes numbers holds up all others who do, until the commit.
async fn receipts(
    tx: &mut Tx,
    actor: &Actor,
    entering: &[(PaymentId, &Entered, Option<&Receipt>)],
) -> Result<Vec<Receipt>, StoreError> {
    let own = entering.iter().filter(|(.., receipt)| receipt.is_none()).count();
    let mut own = store::next_receipts(tx, actor.tenant, own).await?.into_iter();
    let receipts = entering.iter().map(|(.., receipt)| match receipt {
        Some(receipt) => (*receipt).clone(),
        None => own.next().expect("so many were taken"),
    });
    Ok(receipts.collect())
}

fn incoming<'a>(new: &'a NewPayment, receipt: &'a Receipt) -> Incoming<'a> {
    Incoming {
        provider: new.provider,
        receipt,
        shortcode: &new.shortcode,
        subscriber: new.subscriber,
        intent: None,
        amount: new.amount,
        paid_at: new.paid_at,
        reference: None,
        payer: None,
    }
}
