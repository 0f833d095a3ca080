//! The tables `message_policy`, `message_template` and `message_consent`.

use jiff::Timestamp;
use jiff_sqlx::{Time as SqlTime, Timestamp as SqlTimestamp, ToSqlx as _};
use shared::id::{SubscriberId, TenantId};
use sqlx::types::Json;

use super::{Consent, Kind, MessageChannel, Policy, Quiet, Reader, Texts, Written};
use crate::db::{Cell, StoreError, Tx};

pub(super) async fn policy(tx: &mut Tx, tenant: TenantId) -> Result<Option<Policy>, StoreError> {
    let row = sqlx::query!(
        r#"SELECT language, quiet_from AS "from: SqlTime", quiet_until AS "until: SqlTime", version
             FROM message_policy WHERE tenant_id = $1"#,
        tenant.as_uuid(),
    )
    .fetch_optional(&mut **tx)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let cell = Cell { table: "message_policy", row: *tenant.as_uuid() };
    let quiet = Quiet { from: row.from.to_jiff(), until: row.until.to_jiff() };
    Ok(Some(Policy {
        language: cell.parse("language", &row.language)?,
        quiet: (quiet.from != quiet.until).then_some(quiet),
        version: row.version,
    }))
}

/// The new version; none: it is not at this one any more. 0 is what was never set.
pub(super) async fn set_policy(
    tx: &mut Tx,
    tenant: TenantId,
    version: i64,
    policy: Policy,
) -> Result<Option<i64>, StoreError> {
    let midnight = jiff::civil::Time::midnight();
    let quiet = policy.quiet.unwrap_or(Quiet { from: midnight, until: midnight });
    let row = sqlx::query!(
        "INSERT INTO message_policy AS p (tenant_id, language, quiet_from, quiet_until, version)
         SELECT $1, $2, $3, $4, 1
          WHERE $5 = coalesce((SELECT version FROM message_policy WHERE tenant_id = $1), 0)
         ON CONFLICT (tenant_id) DO UPDATE
            SET language = $2, quiet_from = $3, quiet_until = $4, version = p.version + 1
          WHERE p.version = $5
         RETURNING version",
        tenant.as_uuid(),
        policy.language.as_str(),
        quiet.from.to_sqlx() as _,
        quiet.until.to_sqlx() as _,
        version,
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(row.map(|row| row.version))
}

pub(super) async fn texts(tx: &mut Tx, tenant: TenantId) -> Result<Vec<Texts>, StoreError> {
    let rows = sqlx::query!(
        r#"SELECT kind, channels, texts AS "texts: Json<Vec<Written>>", version
             FROM message_template WHERE tenant_id = $1"#,
        tenant.as_uuid(),
    )
    .fetch_all(&mut **tx)
    .await?;
    let cell = Cell { table: "message_template", row: *tenant.as_uuid() };
    let texts = rows.into_iter().map(|row| {
        let mut texts = row.texts.0;
        for text in &mut texts {
            text.own = true;
        }
        Ok(Texts {
            kind: cell.parse::<Kind>("kind", &row.kind)?,
            channels: channels(cell, "channels", &row.channels)?,
            texts,
            version: row.version,
        })
    });
    texts.collect()
}

/// As [`set_policy`].
pub(super) async fn set_texts(
    tx: &mut Tx,
    tenant: TenantId,
    version: i64,
    texts: &Texts,
) -> Result<Option<i64>, StoreError> {
    let row = sqlx::query!(
        "INSERT INTO message_template AS t (tenant_id, kind, channels, texts, version)
         SELECT $1, $2, $3, $4, 1
          WHERE $5 = coalesce((SELECT version FROM message_template
                                WHERE tenant_id = $1 AND kind = $2), 0)
         ON CONFLICT (tenant_id, kind) DO UPDATE
            SET channels = $3, texts = $4, version = t.version + 1
          WHERE t.version = $5
         RETURNING version",
        tenant.as_uuid(),
        texts.kind.as_str(),
        &names(&texts.channels),
        Json(&texts.texts) as _,
        version,
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(row.map(|row| row.version))
}

pub(super) async fn reader(
    tx: &mut Tx,
    tenant: TenantId,
    subscriber: SubscriberId,
) -> Result<Option<Reader>, StoreError> {
    let row = sqlx::query!(
        r#"SELECT s.full_name, s.account_no, s.msisdn, s.email, c.language,
                  c.transactional AS "transactional?", c.marketing AS "marketing?",
                  c.said_by AS "said_by?", c.said_at AS "said_at?: SqlTimestamp",
                  c.version AS "version?"
             FROM subscriber s
             LEFT JOIN message_consent c ON c.tenant_id = s.tenant_id AND c.subscriber_id = s.id
            WHERE s.tenant_id = $1 AND s.id = $2 AND s.status <> 'anonymised'"#,
        tenant.as_uuid(),
        subscriber.as_uuid(),
    )
    .fetch_optional(&mut **tx)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let cell = Cell { table: "message_consent", row: *subscriber.as_uuid() };
    let consent = match (row.transactional, row.marketing, row.version) {
        (Some(transactional), Some(marketing), Some(version)) => Consent {
            language: cell.maybe("language", row.language.as_deref())?,
            transactional: channels(cell, "transactional", &transactional)?,
            marketing: channels(cell, "marketing", &marketing)?,
            said_by: row.said_by,
            said_at: row.said_at.map(SqlTimestamp::to_jiff),
            version,
        },
        (Some(_) | None, _, _) => Consent::default(),
    };
    Ok(Some(Reader {
        name: row.full_name,
        account: row.account_no,
        msisdn: cell.maybe("msisdn", row.msisdn.as_deref())?,
        email: cell.maybe("email", row.email.as_deref())?,
        consent,
    }))
}

/// As [`set_policy`].
pub(super) async fn set_consent(
    tx: &mut Tx,
    tenant: TenantId,
    subscriber: SubscriberId,
    version: i64,
    consent: &Consent,
    by: &str,
    now: Timestamp,
) -> Result<Option<i64>, StoreError> {
    let row = sqlx::query!(
        "INSERT INTO message_consent AS c (tenant_id, subscriber_id, language, transactional,
           marketing, said_by, said_at, version)
         SELECT $1, $2, $3, $4, $5, $6, $7, 1
          WHERE $8 = coalesce((SELECT version FROM message_consent
                                WHERE tenant_id = $1 AND subscriber_id = $2), 0)
         ON CONFLICT (tenant_id, subscriber_id) DO UPDATE
            SET language = $3, transactional = $4, marketing = $5, said_by = $6, said_at = $7,
                version = c.version + 1
          WHERE c.version = $8
         RETURNING version",
        tenant.as_uuid(),
        subscriber.as_uuid(),
        consent.language.map(crate::prints::Language::as_str),
        &names(&consent.transactional),
        &names(&consent.marketing),
        by,
        now.to_sqlx() as _,
        version,
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(row.map(|row| row.version))
}

pub(super) async fn provider_name(tx: &mut Tx, tenant: TenantId) -> Result<String, StoreError> {
    let row = sqlx::query!("SELECT name FROM tenant WHERE tenant_id = $1", tenant.as_uuid())
        .fetch_one(&mut **tx)
        .await?;
    Ok(row.name)
}

fn channels(
    cell: Cell,
    column: &'static str,
    names: &[String],
) -> Result<Vec<MessageChannel>, StoreError> {
    names.iter().map(|name| cell.parse(column, name)).collect()
}

fn names(channels: &[MessageChannel]) -> Vec<String> {
    channels.iter().map(|channel| channel.as_str().to_owned()).collect()
}
