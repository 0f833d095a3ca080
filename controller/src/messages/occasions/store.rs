//! The table `message_occasion`. The database itself writes into it.

use jiff::Timestamp;
use jiff_sqlx::{Timestamp as SqlTimestamp, ToSqlx as _};
use shared::id::{ResellerId, SubscriberId, TenantId};

use super::{About, Occasion, Reader};
use crate::{
    db::{Cell, StoreError, Tx},
    messages::Consent,
};

/// Those that are new, as told, if the transaction commits. Others pass by them.
pub(super) async fn take(
    tx: &mut Tx,
    tenant: TenantId,
    now: Timestamp,
    limit: i64,
) -> Result<Vec<Occasion>, StoreError> {
    let rows = sqlx::query!(
        r#"UPDATE message_occasion o SET told_at = $2
             FROM (SELECT kind, key FROM message_occasion
                    WHERE tenant_id = $1 AND told_at IS NULL AND at <= $2
                    ORDER BY at LIMIT $3 FOR UPDATE SKIP LOCKED) new
            WHERE o.tenant_id = $1 AND o.kind = new.kind AND o.key = new.key
           RETURNING o.kind, o.key, o.subscriber_id, o.reseller_id, o.facts, o.subject_id,
                     o.at AS "at: SqlTimestamp""#,
        tenant.as_uuid(),
        now.to_sqlx() as _,
        limit,
    )
    .fetch_all(&mut **tx)
    .await?;
    let occasions = rows.into_iter().map(|row| {
        let cell = Cell { table: "message_occasion", row: row.subject_id };
        Ok(Occasion {
            kind: cell.parse("kind", &row.kind)?,
            key: row.key,
            about: match (row.subscriber_id, row.reseller_id) {
                (Some(id), None) => About::Subscriber(SubscriberId::from_uuid(id)),
                (None, Some(id)) => About::Reseller(ResellerId::from_uuid(id)),
                (Some(_), Some(_)) | (None, None) => return Err(cell.corrupt("subscriber_id")),
            },
            facts: row.facts,
            subject: row.subject_id,
            at: row.at.to_jiff(),
        })
    });
    occasions.collect()
}

/// Who sells: called at its number, and written to at the address of who was hired first there.
pub(super) async fn seller(
    tx: &mut Tx,
    tenant: TenantId,
    reseller: ResellerId,
) -> Result<Option<Reader>, StoreError> {
    let row = sqlx::query!(
        r#"SELECT r.name, r.msisdn,
                  (SELECT o.email FROM operator o
                    WHERE o.tenant_id = $1 AND o.reseller_id = r.id AND NOT o.disabled
                    ORDER BY o.id LIMIT 1) AS "email?"
             FROM reseller r WHERE r.tenant_id = $1 AND r.id = $2"#,
        tenant.as_uuid(),
        reseller.as_uuid(),
    )
    .fetch_optional(&mut **tx)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let cell = Cell { table: "reseller", row: *reseller.as_uuid() };
    Ok(Some(Reader {
        name: row.name,
        account: String::new(),
        msisdn: cell.maybe("msisdn", row.msisdn.as_deref())?,
        email: cell.maybe("email", row.email.as_deref())?,
        consent: Consent::default(),
    }))
}

/// Its name and its currency.
pub(super) async fn house(tx: &mut Tx, tenant: TenantId) -> Result<(String, String), StoreError> {
    let row =
        sqlx::query!("SELECT name, currency FROM tenant WHERE tenant_id = $1", tenant.as_uuid())
            .fetch_one(&mut **tx)
            .await?;
    Ok((row.name, row.currency))
}
