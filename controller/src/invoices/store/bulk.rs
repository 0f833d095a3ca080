//! Many invoices at once, issued in the moment in which they are made: what jobs bill.

use jiff::{Timestamp, civil::Date};
use jiff_sqlx::ToSqlx as _;
use shared::id::{InvoiceId, SubscriberId, SubscriptionId, TenantId};
use uuid::Uuid;

use crate::{
    billing::{Cents, Split},
    db::{StoreError, Tx, exactly},
    invoices::{InvoiceError, LineKind, sum},
    ledger::{self, Account, Entry, Event},
    words::Name,
};

/// An invoice that is to be issued.
#[derive(Clone, Debug)]
pub(crate) struct Bill {
    pub(crate) id: InvoiceId,
    pub(crate) subscriber: SubscriberId,
    pub(crate) due_on: Date,
    pub(crate) lines: Vec<BillLine>,
    /// Paid from the wallet, all of it, or owed.
    pub(crate) from_wallet: bool,
    /// The net amount is for a time that is not over: it is earned later.
    pub(crate) deferred: bool,
}

#[derive(Clone, Debug)]
pub(crate) struct BillLine {
    pub(crate) kind: LineKind,
    pub(crate) subscription: SubscriptionId,
    pub(crate) period: Option<Uuid>,
    pub(crate) descr: Name,
    pub(crate) split: Split,
}

impl Bill {
    fn entry(&self, at: Timestamp) -> Result<Option<Entry>, InvoiceError> {
        let splits: Vec<_> = self.lines.iter().map(|line| line.split).collect();
        let split = sum(&splits)?;
        let total = split.total()?;
        if [split.net, split.excise, split.vat].iter().any(|part| *part < Cents::ZERO) {
            return Err(InvoiceError::BelowZero);
        }
        if total == Cents::ZERO {
            return Ok(None);
        }
        let credit = |cents| Cents::ZERO.minus(cents);
        let from = if self.from_wallet {
            Account::Wallet(self.subscriber)
        } else {
            Account::Receivable(self.subscriber)
        };
        let to = if self.deferred { Account::DeferredSubscriptions } else { Account::Revenue };
        let lines = vec![
            (from, total),
            (to, credit(split.net)?),
            (Account::Excise, credit(split.excise)?),
            (Account::Vat, credit(split.vat)?),
        ];
        Ok(Some(Entry { event: Event::InvoiceIssued(self.id), at, lines }))
    }
}

/// Makes and issues all of them, or none. A wallet with too little refuses all.
pub(crate) async fn issue_all(
    tx: &mut Tx,
    tenant: TenantId,
    bills: &[Bill],
    now: Timestamp,
) -> Result<(), InvoiceError> {
    if bills.is_empty() {
        return Ok(());
    }
    let entries: Vec<_> = bills.iter().map(|bill| bill.entry(now)).collect::<Result<_, _>>()?;
    insert(tx, tenant, bills, now).await?;
    insert_lines(tx, tenant, bills).await?;
    let paid: Vec<_> = bills
        .iter()
        .zip(&entries)
        .filter(|(bill, _)| bill.from_wallet)
        .filter_map(|(bill, entry)| Some((bill.id, entry.as_ref()?.lines.first()?.1)))
        .collect();
    let entries: Vec<_> = entries.into_iter().flatten().collect();
    ledger::post_all(tx, &entries).await?;
    // The numbers come last: whoever else issues waits for them.
    finalise(tx, tenant, bills, now).await?;
    pay(tx, tenant, &paid, now).await?;
    Ok(())
}

fn ids(bills: &[Bill]) -> Vec<Uuid> {
    bills.iter().map(|bill| *bill.id.as_uuid()).collect()
}

async fn insert(
    tx: &mut Tx,
    tenant: TenantId,
    bills: &[Bill],
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO invoice (tenant_id, id, subscriber_id, due_on, created_at)
         SELECT $1, id, subscriber_id, due_on, $2
           FROM unnest($3::uuid[], $4::uuid[], $5::date[]) AS new (id, subscriber_id, due_on)",
        tenant.as_uuid(),
        now.to_sqlx() as _,
        ids(bills) as _,
        bills.iter().map(|bill| *bill.subscriber.as_uuid()).collect::<Vec<_>>() as _,
        bills.iter().map(|bill| bill.due_on.to_sqlx()).collect::<Vec<_>>() as _,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

async fn insert_lines(tx: &mut Tx, tenant: TenantId, bills: &[Bill]) -> Result<(), StoreError> {
    let all = || {
        bills
            .iter()
            .flat_map(|bill| (1_i16..).zip(&bill.lines).map(move |(n, line)| (bill, n, line)))
    };
    let cents = |of: fn(&Split) -> Cents| -> Vec<i64> {
        all().map(|(_, _, line)| of(&line.split).get()).collect()
    };
    sqlx::query!(
        "INSERT INTO invoice_line (tenant_id, invoice_id, line_no, kind, subscription_id, period_id,
                                   descr, net_cents, excise_cents, vat_cents)
         SELECT $1, *
           FROM unnest($2::uuid[], $3::smallint[], $4::text[], $5::uuid[], $6::uuid[], $7::text[],
                       $8::bigint[], $9::bigint[], $10::bigint[])",
        tenant.as_uuid(),
        all().map(|(bill, _, _)| *bill.id.as_uuid()).collect::<Vec<_>>() as _,
        all().map(|(_, n, _)| n).collect::<Vec<_>>() as _,
        all().map(|(_, _, line)| line.kind.as_str().to_owned()).collect::<Vec<_>>() as _,
        all().map(|(_, _, line)| *line.subscription.as_uuid()).collect::<Vec<_>>() as _,
        all().map(|(_, _, line)| line.period).collect::<Vec<_>>() as _,
        all().map(|(_, _, line)| line.descr.as_str().to_owned()).collect::<Vec<_>>() as _,
        cents(|split| split.net) as _,
        cents(|split| split.excise) as _,
        cents(|split| split.vat) as _,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

async fn finalise(
    tx: &mut Tx,
    tenant: TenantId,
    bills: &[Bill],
    now: Timestamp,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "UPDATE invoice SET state = 'finalised', issued_at = $3
          WHERE tenant_id = $1 AND id = ANY ($2)",
        tenant.as_uuid(),
        &ids(bills),
        now.to_sqlx() as _,
    )
    .execute(&mut **tx)
    .await?;
    exactly(bills.len() as u64, done.rows_affected())
}

async fn pay(
    tx: &mut Tx,
    tenant: TenantId,
    paid: &[(InvoiceId, Cents)],
    now: Timestamp,
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO invoice_from_wallet (tenant_id, id, cents, at)
         SELECT $1, id, cents, $2 FROM unnest($3::uuid[], $4::bigint[]) AS new (id, cents)",
        tenant.as_uuid(),
        now.to_sqlx() as _,
        paid.iter().map(|(id, _)| *id.as_uuid()).collect::<Vec<_>>() as _,
        paid.iter().map(|(_, cents)| cents.get()).collect::<Vec<_>>() as _,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}
