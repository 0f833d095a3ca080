//! The tables `ledger_account`, `ledger_entry` and `ledger_posting`: insert and select, no update
//! and no delete.

use jiff_sqlx::ToSqlx as _;
use shared::id::{SubscriberId, TenantId};
use uuid::Uuid;

use super::{Account, Entry};
use crate::{
    billing::Cents,
    db::{StoreError, Tx},
};

/// Of one account, or of all that begin with the same word.
#[derive(Clone, Debug)]
pub struct Balance {
    pub code: String,
    pub kind: String,
    pub debits: Cents,
    pub credits: Cents,
}

#[derive(Clone, Copy, Debug)]
pub struct Wallet {
    pub subscriber: SubscriberId,
    pub balance: Cents,
}

pub(super) async fn post(tx: &mut Tx, entry: &Entry) -> Result<bool, StoreError> {
    let (kind, source_kind, source) = entry.event.key();
    let codes: Vec<_> = entry.lines.iter().map(|(account, _)| Account::code(*account)).collect();
    let cents: Vec<_> = entry.lines.iter().map(|(_, cents)| cents.get()).collect();
    let row = sqlx::query!(
        r#"SELECT post_entry($1, $2, $3, $4, $5, $6, $7) AS "fresh!""#,
        Uuid::now_v7(),
        kind,
        source_kind,
        source,
        entry.at.to_sqlx() as _,
        &codes,
        &cents,
    )
    .fetch_one(&mut **tx)
    .await?;
    Ok(row.fresh)
}

pub(super) async fn post_all(tx: &mut Tx, entries: &[Entry]) -> Result<u64, StoreError> {
    let (mut of_entry, mut codes, mut cents) = (Vec::new(), Vec::new(), Vec::new());
    let (mut kinds, mut source_kinds, mut sources) = (Vec::new(), Vec::new(), Vec::new());
    for (n, entry) in (1_i64..).zip(entries) {
        let (kind, source_kind, source) = entry.event.key();
        kinds.push(kind.to_owned());
        source_kinds.push(source_kind.to_owned());
        sources.push(source);
        for (account, amount) in &entry.lines {
            of_entry.push(n);
            codes.push(account.code());
            cents.push(amount.get());
        }
    }
    let row = sqlx::query!(
        r#"SELECT post_entries($1::uuid[], $2::text[], $3::text[], $4::uuid[], $5::timestamptz[],
                               $6::bigint[], $7::text[], $8::bigint[]) AS "fresh!""#,
        entries.iter().map(|_| Uuid::now_v7()).collect::<Vec<_>>() as _,
        kinds as _,
        source_kinds as _,
        sources as _,
        entries.iter().map(|entry| entry.at.to_sqlx()).collect::<Vec<_>>() as _,
        of_entry as _,
        codes as _,
        cents as _,
    )
    .fetch_one(&mut **tx)
    .await?;
    Ok(row.fresh.unsigned_abs())
}

pub(super) async fn trial_balance(
    tx: &mut Tx,
    tenant: TenantId,
) -> Result<Vec<Balance>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT CASE WHEN a.track THEN split_part(a.code, ':', 1) ELSE a.code END AS "code!",
                  a.kind,
                  coalesce(sum(p.amount_cents) FILTER (WHERE p.amount_cents > 0), 0)::bigint
                    AS "debits!",
                  coalesce(-sum(p.amount_cents) FILTER (WHERE p.amount_cents < 0), 0)::bigint
                    AS "credits!"
             FROM ledger_account a
             JOIN ledger_posting p ON p.tenant_id = a.tenant_id AND p.account_id = a.id
            WHERE a.tenant_id = $1
            GROUP BY 1, 2
            ORDER BY 1"#,
        tenant.as_uuid(),
    )
    .fetch_all(&mut **tx)
    .await?;
    let balance = |code, kind, debits, credits| Balance {
        code,
        kind,
        debits: Cents::new(debits),
        credits: Cents::new(credits),
    };
    Ok(rows.into_iter().map(|row| balance(row.code, row.kind, row.debits, row.credits)).collect())
}

/// In the order of the subscribers' ids; also those of subscribers that never had money.
pub(super) async fn wallets(
    tx: &mut Tx,
    tenant: TenantId,
    after: Uuid,
    limit: i64,
) -> Result<Vec<Wallet>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT s.id, coalesce(a.balance_cents, 0) AS "balance!"
             FROM subscriber s
             LEFT JOIN ledger_account a
               ON a.tenant_id = s.tenant_id AND a.code = 'wallet:' || s.id
            WHERE s.tenant_id = $1 AND s.id > $2
            ORDER BY s.id
            LIMIT $3"#,
        tenant.as_uuid(),
        after,
        limit,
    )
    .fetch_all(&mut **tx)
    .await?;
    let wallet = |id, balance| Wallet {
        subscriber: SubscriberId::from_uuid(id),
        balance: Cents::new(balance),
    };
    Ok(rows.into_iter().map(|row| wallet(row.id, row.balance)).collect())
}
