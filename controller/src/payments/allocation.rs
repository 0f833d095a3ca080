//! What payments pay: what is due first before the rest, as far as the money goes.

use jiff::Timestamp;
use shared::id::{InvoiceId, PaymentId, SubscriberId, TenantId};
use uuid::Uuid;

use super::{PaymentError, store};
use crate::{
    billing::{Cents, TooMuch},
    db::Tx,
    invoices::{self, Open},
    ledger::{self, Account, Entry, Event},
};

/// Money in somebody's wallet that may be spent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Funds {
    pub(super) payment: PaymentId,
    pub(super) subscriber: SubscriberId,
    pub(super) left: Cents,
}

/// A part of a payment that pays a part of an invoice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) id: Uuid,
    pub(super) payment: PaymentId,
    pub(super) subscriber: SubscriberId,
    pub(super) invoice: InvoiceId,
    pub(super) cents: Cents,
}

/// Pays what is open of those whose money it is.
pub(super) async fn pay_open(
    tx: &mut Tx,
    tenant: TenantId,
    funds: &[Funds],
    now: Timestamp,
) -> Result<(), PaymentError> {
    let owners: Vec<_> = funds.iter().map(|funds| funds.subscriber).collect();
    if owners.is_empty() {
        return Ok(());
    }
    let open = invoices::lock_open(tx, tenant, &owners, None).await?;
    allocate(tx, tenant, funds, &open, now).await
}

/// Pays with all of the money, in its order, what is open of those whose it is, in this order.
pub(super) async fn allocate(
    tx: &mut Tx,
    tenant: TenantId,
    funds: &[Funds],
    open: &[Open],
    now: Timestamp,
) -> Result<(), PaymentError> {
    let parts = spread(funds, open, Uuid::now_v7)?;
    if parts.is_empty() {
        return Ok(());
    }
    store::insert_allocations(tx, tenant, &parts, now).await?;
    let entry = |part: &Part| -> Result<Entry, TooMuch> {
        Ok(Entry {
            event: Event::PaymentAllocated(part.id),
            at: now,
            lines: vec![
                (Account::Wallet(part.subscriber), part.cents),
                (Account::Receivable(part.subscriber), Cents::ZERO.minus(part.cents)?),
            ],
        })
    };
    let entries = parts.iter().map(entry).collect::<Result<Vec<_>, _>>()?;
    ledger::post_all(tx, &entries).await?;
    Ok(())
}

fn spread(
    funds: &[Funds],
    open: &[Open],
    mut id: impl FnMut() -> Uuid,
) -> Result<Vec<Part>, TooMuch> {
    let mut open = open.to_vec();
    let mut parts = Vec::new();
    for Funds { payment, subscriber, mut left } in funds.iter().copied() {
        for invoice in open.iter_mut().filter(|invoice| invoice.subscriber == subscriber) {
            let cents = invoice.open.min(left);
            if cents > Cents::ZERO {
                parts.push(Part { id: id(), payment, subscriber, invoice: invoice.id, cents });
                invoice.open = invoice.open.minus(cents)?;
                left = left.minus(cents)?;
            }
        }
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn subscriber(n: u8) -> SubscriberId {
        SubscriberId::from_uuid(Uuid::from_u128(n.into()))
    }

    fn funds(some: &[(u8, i64)]) -> Vec<Funds> {
        let funds = (1..).zip(some).map(|(n, (who, cents))| Funds {
            payment: PaymentId::from_uuid(Uuid::from_u128(n)),
            subscriber: subscriber(*who),
            left: Cents::new(*cents),
        });
        funds.collect()
    }

    fn open(some: &[(u8, i64)]) -> Vec<Open> {
        let open = (1..).zip(some).map(|(n, (who, cents))| Open {
            id: InvoiceId::from_uuid(Uuid::from_u128(n)),
            subscriber: subscriber(*who),
            open: Cents::new(*cents),
        });
        open.collect()
    }

    /// As payment, invoice, cents; the first of each is 1.
    fn paid(with: &[(u8, i64)], what: &[(u8, i64)]) -> Vec<(u128, u128, i64)> {
        let parts = spread(&funds(with), &open(what), Uuid::nil).unwrap();
        let of = |part: &Part| {
            (part.payment.as_uuid().as_u128(), part.invoice.as_uuid().as_u128(), part.cents.get())
        };
        parts.iter().map(of).collect()
    }

    #[test]
    fn what_is_due_first_is_paid_first_and_only_ones_own() {
        assert_eq!(paid(&[(1, 700)], &[(1, 500), (2, 300), (1, 400)]), [(1, 1, 500), (1, 3, 200)]);
        assert_eq!(paid(&[(1, 700)], &[(2, 300)]), []);
        assert_eq!(paid(&[(1, 0)], &[(1, 300)]), []);
    }

    #[test]
    fn a_second_payment_pays_what_the_first_has_left() {
        let with = [(1, 300), (2, 50), (1, 300)];
        assert_eq!(paid(&with, &[(1, 500), (2, 500)]), [(1, 1, 300), (2, 2, 50), (3, 1, 200)]);
    }

    proptest! {
        #[test]
        fn nothing_is_paid_twice_or_left_while_there_is_money(
            with in prop::collection::vec((0_u8..4, 0_i64..1_000), 0..12),
            what in prop::collection::vec((0_u8..4, 1_i64..1_000), 0..12),
        ) {
            let parts = paid(&with, &what);
            let sum = |parts: &mut dyn Iterator<Item = i64>| parts.sum::<i64>();
            for (n, (_, cents)) in (1_u128..).zip(&with) {
                let of = |part: &&(u128, u128, i64)| part.0 == n;
                prop_assert!(sum(&mut parts.iter().filter(of).map(|part| part.2)) <= *cents);
            }
            for (n, (_, cents)) in (1_u128..).zip(&what) {
                let of = |part: &&(u128, u128, i64)| part.1 == n;
                prop_assert!(sum(&mut parts.iter().filter(of).map(|part| part.2)) <= *cents);
            }
            for who in 0..4 {
                let of = |some: &[(u8, i64)]| {
                    some.iter().filter(|one| one.0 == who).map(|one| one.1).sum::<i64>()
                };
                let done = parts.iter().filter(|(_, invoice, _)| {
                    what.get(usize::try_from(*invoice).unwrap() - 1).is_some_and(|one| one.0 == who)
                });
                let done: i64 = done.map(|part| part.2).sum();
                prop_assert_eq!(done, of(&with).min(of(&what)));
            }
        }
    }
}
