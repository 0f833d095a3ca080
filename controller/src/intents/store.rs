//! The table `payment_intent`.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff_sqlx::ToSqlx;
use shared::id::{IntentId, MerchantId, SubscriberId, TenantId};
use uuid::Uuid;

use super::{ClaimedReceipt, Filter, Intent, IntentState};
use crate::{
    actor::Actor,
    billing::Cents,
    db::{Cell, Db, StoreError, Tx, one},
    payments::Provider,
    words::{Email, Msisdn, Receipt},
};

/// What came of telling the provider.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent<'a> {
    pub(super) state: IntentState,
    pub(super) checkout: Option<&'a str>,
    pub(super) pay_url: Option<&'a str>,
    pub(super) code: Option<&'a str>,
    pub(super) again: bool,
    pub(super) next: Option<Timestamp>,
}

/// One that is to be looked after.
#[derive(Clone, Copy, Debug)]
pub(super) struct Due {
    pub(super) tenant: TenantId,
    pub(super) intent: IntentId,
    at: Timestamp,
}

pub(super) async fn insert(
    tx: &mut Tx,
    actor: &Actor,
    intent: &Intent,
    mark_hash: &[u8; 32],
) -> Result<(), StoreError> {
    sqlx::query!(
        "INSERT INTO payment_intent (tenant_id, id, merchant_id, subscriber_id, provider,
           shortcode, amount_cents, reference, msisdn, email, callback_secret_hash, asked_by,
           next_check_at, created_at, send_again)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)",
        actor.tenant.as_uuid(),
        intent.id.as_uuid(),
        intent.merchant.map(|id| *id.as_uuid()),
        intent.subscriber.as_uuid(),
        intent.provider.as_str(),
        intent.shortcode.as_str(),
        intent.amount.get(),
        intent.reference,
        intent.msisdn.as_ref().map(Msisdn::as_str),
        intent.email.as_ref().map(Email::as_str),
        mark_hash.as_slice(),
        actor.name(),
        intent.next_check_at.map(ToSqlx::to_sqlx) as _,
        intent.created_at.to_sqlx() as _,
        intent.send_again,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Who has a phone that can be asked.
pub(super) async fn phones(
    tx: &mut Tx,
    tenant: TenantId,
    some: &[SubscriberId],
) -> Result<BTreeMap<SubscriberId, Msisdn>, StoreError> {
    let ids: Vec<_> = some.iter().map(|id| *id.as_uuid()).collect();
    let rows = sqlx::query!(
        r#"SELECT id, msisdn AS "msisdn!" FROM subscriber
            WHERE tenant_id = $1 AND id = ANY ($2) AND status = 'active' AND msisdn IS NOT NULL"#,
        tenant.as_uuid(),
        &ids,
    )
    .fetch_all(&mut **tx)
    .await?;
    let phones = rows.into_iter().map(|row| {
        let at = Cell { table: "subscriber", row: row.id };
        Ok((SubscriberId::from_uuid(row.id), at.parse("msisdn", &row.msisdn)?))
    });
    phones.collect()
}

/// A callback may have been faster than the answer: what it changed stays.
pub(super) async fn sent(
    tx: &mut Tx,
    tenant: TenantId,
    id: IntentId,
    sent: &Sent<'_>,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "UPDATE payment_intent
            SET checkout_id = coalesce(checkout_id, $3),
                pay_url = $4,
                code = coalesce(code, $5),
                send_again = $6 AND state = 'created' AND claimed_receipt IS NULL,
                sent = sent + 1,
                state = CASE WHEN state = 'created' AND claimed_receipt IS NULL THEN $7
                             ELSE state END,
                next_check_at = CASE WHEN state = 'created' AND claimed_receipt IS NULL THEN $8
                                     ELSE next_check_at END
          WHERE tenant_id = $1 AND id = $2",
        tenant.as_uuid(),
        id.as_uuid(),
        sent.checkout,
        sent.pay_url,
        sent.code,
        sent.again,
        sent.state.as_str(),
        sent.next.map(ToSqlx::to_sqlx) as _,
    )
    .execute(&mut **tx)
    .await?;
    one(done.rows_affected())
}

pub(super) async fn settle(
    tx: &mut Tx,
    tenant: TenantId,
    id: IntentId,
    state: IntentState,
    code: Option<&str>,
    next: Option<Timestamp>,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "UPDATE payment_intent SET state = $3, code = $4, next_check_at = $5, send_again = false
          WHERE tenant_id = $1 AND id = $2",
        tenant.as_uuid(),
        id.as_uuid(),
        state.as_str(),
        code,
        next.map(ToSqlx::to_sqlx) as _,
    )
    .execute(&mut **tx)
    .await?;
    one(done.rows_affected())
}

/// What an unsigned callback said; none: it was not true.
pub(super) async fn claim(
    tx: &mut Tx,
    tenant: TenantId,
    id: IntentId,
    claim: Option<&ClaimedReceipt>,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "UPDATE payment_intent
            SET claimed_receipt = $3, claimed_cents = $4, claimed_at = $5
          WHERE tenant_id = $1 AND id = $2",
        tenant.as_uuid(),
        id.as_uuid(),
        claim.map(|claim| claim.receipt.as_str()),
        claim.map(|claim| claim.amount.get()),
        claim.and_then(|claim| claim.at).map(ToSqlx::to_sqlx) as _,
    )
    .execute(&mut **tx)
    .await?;
    one(done.rows_affected())
}

/// The provider's name for it, which a lost answer did not bring.
pub(super) async fn set_checkout(
    tx: &mut Tx,
    tenant: TenantId,
    id: IntentId,
    checkout: &str,
) -> Result<(), StoreError> {
    sqlx::query!(
        "UPDATE payment_intent SET checkout_id = $3
          WHERE tenant_id = $1 AND id = $2 AND checkout_id IS NULL",
        tenant.as_uuid(),
        id.as_uuid(),
        checkout,
    )
    .execute(&mut **tx)
    .await?;
    Ok(())
}

/// Those to be looked after, of one of `lanes` that share them.
pub(super) async fn due(
    db: &Db,
    now: Timestamp,
    lane: i32,
    lanes: i32,
    limit: i64,
) -> Result<Vec<Due>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT tenant_id, id, next_check_at AS "at!: jiff_sqlx::Timestamp"
             FROM payment_intent
            WHERE next_check_at <= $1 AND get_byte(uuid_send(id), 15) % $3 = $2
            ORDER BY next_check_at
            LIMIT $4"#,
        now.to_sqlx() as _,
        lane,
        lanes,
        limit,
    )
    .fetch_all(&db.inbox)
    .await?;
    let due = rows.into_iter().map(|row| Due {
        tenant: TenantId::from_uuid(row.tenant_id),
        intent: IntentId::from_uuid(row.id),
        at: row.at.to_jiff(),
    });
    Ok(due.collect())
}

/// Takes one until `until`. None: somebody else was faster, or it has ended.
pub(super) async fn take(
    tx: &mut Tx,
    due: &Due,
    until: Timestamp,
) -> Result<Option<Intent>, StoreError> {
    let row = sqlx::query!(
        "UPDATE payment_intent SET next_check_at = $4
          WHERE tenant_id = $1 AND id = $2 AND next_check_at = $3
          RETURNING id",
        due.tenant.as_uuid(),
        due.intent.as_uuid(),
        due.at.to_sqlx() as _,
        until.to_sqlx() as _,
    )
    .fetch_optional(&mut **tx)
    .await?;
    match row {
        Some(_) => find(tx, due.tenant, due.intent).await,
        None => Ok(None),
    }
}

/// Looked after once more.
pub(super) async fn checked(
    tx: &mut Tx,
    tenant: TenantId,
    id: IntentId,
    next: Option<Timestamp>,
) -> Result<(), StoreError> {
    let done = sqlx::query!(
        "UPDATE payment_intent
            SET checks = checks + 1, next_check_at = $3
          WHERE tenant_id = $1 AND id = $2",
        tenant.as_uuid(),
        id.as_uuid(),
        next.map(ToSqlx::to_sqlx) as _,
    )
    .execute(&mut **tx)
    .await?;
    one(done.rows_affected())
}

/// What of money that came in may lead to an intent.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trace<'a> {
    pub(super) checkout: Option<&'a str>,
    pub(super) receipt: &'a Receipt,
    pub(super) reference: Option<&'a str>,
}

/// Which of them lead to an intent, in their order.
pub(super) async fn asked(
    tx: &mut Tx,
    tenant: TenantId,
    provider: Provider,
    traces: &[Trace<'_>],
) -> Result<Vec<bool>, StoreError> {
    let optional = |of: fn(&Trace<'_>) -> Option<String>| traces.iter().map(of).collect::<Vec<_>>();
    let rows = sqlx::query!(
        r#"SELECT EXISTS (SELECT FROM payment_intent
                           WHERE tenant_id = $1 AND provider = $2 AND checkout_id = a.checkout)
               OR EXISTS (SELECT FROM payment_intent
                           WHERE tenant_id = $1 AND provider = $2 AND claimed_receipt = a.receipt)
               OR EXISTS (SELECT FROM payment_intent
                           WHERE tenant_id = $1 AND provider = $2 AND reference = a.reference)
                  AS "asked!"
             FROM unnest($3::text[], $4::text[], $5::text[])
                    WITH ORDINALITY AS a (checkout, receipt, reference, n)
            ORDER BY a.n"#,
        tenant.as_uuid(),
        provider.as_str(),
        optional(|trace| trace.checkout.map(str::to_owned)) as _,
        &traces.iter().map(|trace| trace.receipt.to_string()).collect::<Vec<_>>(),
        optional(|trace| trace.reference.map(str::to_owned)) as _,
    )
    .fetch_all(&mut **tx)
    .await?;
    Ok(rows.iter().map(|row| row.asked).collect())
}

/// Which intent has this name at the provider, this claim, or this reference?
pub(super) async fn locate(
    tx: &mut Tx,
    tenant: TenantId,
    provider: Provider,
    checkout: Option<&str>,
    claim: Option<&Receipt>,
    reference: Option<&str>,
) -> Result<Option<IntentId>, StoreError> {
    let row = sqlx::query!(
        r#"SELECT id AS "id!" FROM (
             SELECT id, 1 AS rank FROM payment_intent
              WHERE tenant_id = $1 AND provider = $2 AND checkout_id = $3
             UNION ALL
             SELECT id, 2 FROM payment_intent
              WHERE tenant_id = $1 AND provider = $2 AND claimed_receipt = $4
             UNION ALL
             SELECT id, 3 FROM payment_intent
              WHERE tenant_id = $1 AND provider = $2 AND reference = $5
           ) found ORDER BY rank LIMIT 1"#,
        tenant.as_uuid(),
        provider.as_str(),
        checkout,
        claim.map(Receipt::as_str),
        reference,
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(row.map(|row| IntentId::from_uuid(row.id)))
}

/// Nobody else changes it until the transaction ends.
pub(super) async fn lock(
    tx: &mut Tx,
    tenant: TenantId,
    id: IntentId,
) -> Result<Option<Intent>, StoreError> {
    let row = sqlx::query_as!(
        Row,
        r#"SELECT id, merchant_id, subscriber_id, provider, shortcode, amount_cents, msisdn, email,
                  reference, pay_url, state, code, checkout_id, claimed_receipt, claimed_cents,
                  claimed_at AS "claimed_at: jiff_sqlx::Timestamp", send_again, sent, checks,
                  next_check_at AS "next_check_at: jiff_sqlx::Timestamp",
                  created_at AS "created_at: jiff_sqlx::Timestamp"
             FROM payment_intent
            WHERE tenant_id = $1 AND id = $2
              FOR UPDATE"#,
        tenant.as_uuid(),
        id.as_uuid(),
    )
    .fetch_optional(&mut **tx)
    .await?;
    row.map(Intent::try_from).transpose()
}

pub(super) async fn find(
    tx: &mut Tx,
    tenant: TenantId,
    id: IntentId,
) -> Result<Option<Intent>, StoreError> {
    let row = sqlx::query_as!(
        Row,
        r#"SELECT id, merchant_id, subscriber_id, provider, shortcode, amount_cents, msisdn, email,
                  reference, pay_url, state, code, checkout_id, claimed_receipt, claimed_cents,
                  claimed_at AS "claimed_at: jiff_sqlx::Timestamp", send_again, sent, checks,
                  next_check_at AS "next_check_at: jiff_sqlx::Timestamp",
                  created_at AS "created_at: jiff_sqlx::Timestamp"
             FROM payment_intent
            WHERE tenant_id = $1 AND id = $2"#,
        tenant.as_uuid(),
        id.as_uuid(),
    )
    .fetch_optional(&mut **tx)
    .await?;
    row.map(Intent::try_from).transpose()
}

pub(super) async fn list(
    tx: &mut Tx,
    tenant: TenantId,
    filter: Filter,
    after: Uuid,
    limit: i64,
) -> Result<Vec<Intent>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        r#"SELECT id, merchant_id, subscriber_id, provider, shortcode, amount_cents, msisdn, email,
                  reference, pay_url, state, code, checkout_id, claimed_receipt, claimed_cents,
                  claimed_at AS "claimed_at: jiff_sqlx::Timestamp", send_again, sent, checks,
                  next_check_at AS "next_check_at: jiff_sqlx::Timestamp",
                  created_at AS "created_at: jiff_sqlx::Timestamp"
             FROM payment_intent
            WHERE tenant_id = $1 AND id > $2
              AND ($3::uuid IS NULL OR subscriber_id = $3)
              AND ($4::text IS NULL OR state = $4)
              AND (NOT $5 OR (state = 'unknown' AND next_check_at IS NULL))
            ORDER BY id
            LIMIT $6"#,
        tenant.as_uuid(),
        after,
        filter.subscriber.map(|id| *id.as_uuid()),
        filter.state.map(IntentState::as_str),
        filter.stuck,
        limit,
    )
    .fetch_all(&mut **tx)
    .await?;
    rows.into_iter().map(Intent::try_from).collect()
}

/// The row as Postgres returns it.
struct Row {
    id: Uuid,
    merchant_id: Option<Uuid>,
    subscriber_id: Uuid,
    provider: String,
    shortcode: String,
    amount_cents: i64,
    msisdn: Option<String>,
    email: Option<String>,
    reference: Option<String>,
    pay_url: Option<String>,
    state: String,
    code: Option<String>,
    checkout_id: Option<String>,
    claimed_receipt: Option<String>,
    claimed_cents: Option<i64>,
    claimed_at: Option<jiff_sqlx::Timestamp>,
    send_again: bool,
    sent: i16,
    checks: i32,
    next_check_at: Option<jiff_sqlx::Timestamp>,
    created_at: jiff_sqlx::Timestamp,
}

impl TryFrom<Row> for Intent {
    type Error = StoreError;

    fn try_from(row: Row) -> Result<Self, StoreError> {
        let at = Cell { table: "payment_intent", row: row.id };
        let claim = match (row.claimed_receipt, row.claimed_cents) {
            (Some(receipt), Some(cents)) => Some(ClaimedReceipt {
                receipt: at.parse("claimed_receipt", &receipt)?,
                amount: Cents::new(cents),
                at: row.claimed_at.map(jiff_sqlx::Timestamp::to_jiff),
            }),
            (Some(_) | None, _) => None,
        };
        Ok(Self {
            id: IntentId::from_uuid(row.id),
            merchant: row.merchant_id.map(MerchantId::from_uuid),
            subscriber: SubscriberId::from_uuid(row.subscriber_id),
            provider: at.parse("provider", &row.provider)?,
            shortcode: at.parse("shortcode", &row.shortcode)?,
            amount: Cents::new(row.amount_cents),
            msisdn: at.maybe("msisdn", row.msisdn.as_deref())?,
            email: at.maybe("email", row.email.as_deref())?,
            reference: row.reference,
            pay_url: row.pay_url,
            state: at.parse("state", &row.state)?,
            code: row.code,
            checkout: row.checkout_id,
            claim,
            send_again: row.send_again,
            sent: row.sent,
            checks: row.checks,
            next_check_at: row.next_check_at.map(jiff_sqlx::Timestamp::to_jiff),
            created_at: row.created_at.to_jiff(),
        })
    }
}
