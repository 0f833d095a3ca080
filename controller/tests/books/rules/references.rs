//! What names another row is a key to it.

use sqlx::AssertSqlSafe;

use crate::world::{Template, is};

/// Columns that name something and are no key to it. A key with the tenant in it, of which no part may
/// be missing, is one to the tenant, too.
const NAMES: &str = "
    SELECT string_agg(c.relname || '.' || a.attname, ' ' ORDER BY c.relname, a.attname)
      FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND NOT a.attisdropped
     WHERE c.relnamespace = 'kennet'::regnamespace AND c.relkind IN ('r', 'p')
       AND NOT c.relispartition
       AND (a.atttypid = 'uuid'::regtype AND a.attname LIKE '%\\_id'
            OR (c.relname, a.attname) IN (('invoice', 'series'), ('merchant', 'id'),
                                          ('ticket', 'assigned_to')))
       AND NOT EXISTS (
         SELECT FROM pg_constraint k
          WHERE k.conrelid = c.oid AND k.contype = 'f' AND k.convalidated
            AND a.attnum = ANY (k.conkey)
            AND (a.attname <> 'tenant_id' OR NOT EXISTS (
                   SELECT FROM pg_attribute part
                    WHERE part.attrelid = c.oid AND part.attnum = ANY (k.conkey)
                      AND NOT part.attnotnull)))";

/// These are none: what edges report is written without (they are looked up by whoever writes it),
/// requests are nowhere, a queue waits for nobody, a voucher's reseller is its batch's, and the others
/// name something of one kind or another.
const NO_KEYS: &str = "audit_log.request_id audit_pending.audit_id auth_failure.edge_id \
    auth_failure.tenant_id entitlement.source_id idempotency_key.object_id journal_cursor.edge_id \
    journal_cursor.tenant_id journal_odd.edge_id journal_odd.tenant_id ledger_entry.source_id \
    message_occasion.subject_id money_came.subscriber_id outage.scope_id session.edge_id \
    session.nas_id session.subscriber_id session.subscription_id session.tenant_id \
    session_effect.edge_id session_effect.session_id session_effect.tenant_id tenant.tenant_id \
    usage.edge_id usage.session_id usage.tenant_id voucher.reseller_id";

/// The keys of one table, each alone; not those to the tenant that another one is, too.
const KEYS: &str = "
    SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', k.conrelid::regclass, k.conname)
      FROM pg_constraint k
     WHERE k.connamespace = 'kennet'::regnamespace AND k.contype = 'f' AND k.conparentid = 0
       AND NOT (cardinality(k.conkey) = 1 AND EXISTS (
         SELECT FROM pg_constraint other
          WHERE other.conrelid = k.conrelid AND other.contype = 'f' AND other.oid <> k.oid
            AND other.conkey @> k.conkey AND NOT EXISTS (
              SELECT FROM pg_attribute part
               WHERE part.attrelid = k.conrelid AND part.attnum = ANY (other.conkey)
                 AND NOT part.attnotnull)))";

#[tokio::test]
async fn what_names_another_row_is_a_key_to_it() {
    let books = Template::make().await.copy("").await;
    let found = is(&books.admin, NAMES, NO_KEYS).await;
    assert_eq!(found, Ok(()));
    let keys: Vec<String> =
        sqlx::query_scalar(KEYS).fetch_all(&books.admin).await.expect("the catalog");
    let mut unnoticed = Vec::new();
    for cut in &keys {
        let mut tx = books.admin.begin().await.expect("a transaction");
        sqlx::raw_sql(AssertSqlSafe(cut.clone())).execute(&mut *tx).await.expect("it is there");
        let names: Option<String> =
            sqlx::query_scalar(NAMES).fetch_one(&mut *tx).await.expect("the catalog");
        if names.as_deref() == Some(NO_KEYS) {
            unnoticed.push(cut.as_str());
        }
        tx.rollback().await.expect("nobody else is there");
    }
    assert!(unnoticed.is_empty(), "{} unnoticed:\n{}", unnoticed.len(), unnoticed.join("\n"));
    println!("{} keys to other rows are missed", keys.len());
    books.close().await;
}
