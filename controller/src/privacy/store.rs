//! One object with a list for each table that names the subscriber.

use serde_json::Value;
use shared::id::{SubscriberId, TenantId};

use crate::db::{StoreError, Tx};

/// What came of it, in a word.
pub(super) async fn forget(tx: &mut Tx, subscriber: SubscriberId) -> Result<String, StoreError> {
    let row = sqlx::query!(r#"SELECT forget_subscriber($1) AS "said!""#, subscriber.as_uuid())
        .fetch_one(&mut **tx)
        .await?;
    Ok(row.said)
}

pub(super) async fn everything(
    tx: &mut Tx,
    tenant: TenantId,
    subscriber: SubscriberId,
) -> Result<Option<Value>, StoreError> {
    let row = sqlx::query!(
        r#"SELECT jsonb_build_object(
             'subscriber', to_jsonb(s) - 'tenant_id' - 'password_sealed' - 'version',
             'devices', (SELECT coalesce(jsonb_agg(d.mac ORDER BY d.mac), '[]')
                FROM subscriber_device d WHERE d.tenant_id = $1 AND d.subscriber_id = $2),
             'subscriptions', (SELECT coalesce(jsonb_agg(jsonb_build_object(
                  'id', n.id, 'plan', p.code, 'state', n.state, 'created_at', n.created_at,
                  'events', (SELECT coalesce(jsonb_agg(jsonb_build_object('at', e.at,
                       'from', e.from_state, 'to', e.to_state, 'reason', e.reason) ORDER BY e.seq),
                       '[]') FROM subscription_event e
                      WHERE e.tenant_id = $1 AND e.subscription_id = n.id)) ORDER BY n.id), '[]')
                FROM subscription n
                JOIN plan_version v ON v.tenant_id = $1 AND v.id = n.plan_version_id
                JOIN plan p ON p.tenant_id = $1 AND p.id = v.plan_id
               WHERE n.tenant_id = $1 AND n.subscriber_id = $2),
             'invoices', (SELECT coalesce(jsonb_agg(to_jsonb(i) - 'tenant_id' ORDER BY i.id), '[]')
                FROM invoice i WHERE i.tenant_id = $1 AND i.subscriber_id = $2),
             'payments', (SELECT coalesce(jsonb_agg(to_jsonb(p) - 'tenant_id' ORDER BY p.id), '[]')
                FROM payment p WHERE p.tenant_id = $1 AND p.subscriber_id = $2),
             'vouchers', (SELECT coalesce(jsonb_agg(jsonb_build_object('batch', v.batch_id,
                    'serial', v.serial, 'redeemed_at', v.redeemed_at) ORDER BY v.redeemed_at), '[]')
                FROM voucher v WHERE v.tenant_id = $1 AND v.subscriber_id = $2),
             'entitlements', (SELECT coalesce(jsonb_agg(to_jsonb(e) - 'tenant_id' ORDER BY e.id),
                    '[]')
                FROM entitlement e WHERE e.tenant_id = $1 AND e.subscriber_id = $2),
             'sessions', (SELECT coalesce(jsonb_agg(to_jsonb(x) - 'tenant_id' ORDER BY x.id), '[]')
                FROM session x WHERE x.tenant_id = $1 AND x.subscriber_id = $2),
             'failed_logins', (SELECT coalesce(jsonb_agg(to_jsonb(f) - 'tenant_id' ORDER BY f.hour),
                    '[]')
                FROM auth_failure f WHERE f.tenant_id = $1 AND f.username = s.username),
             'tickets', (SELECT coalesce(jsonb_agg(to_jsonb(t) - 'tenant_id' - 'version'
                    || jsonb_build_object('notes', (SELECT coalesce(jsonb_agg(jsonb_build_object(
                         'at', m.at, 'author', m.author, 'body', m.body) ORDER BY m.id), '[]')
                       FROM ticket_note m WHERE m.tenant_id = $1 AND m.ticket_id = t.id))
                    ORDER BY t.id), '[]')
                FROM ticket t WHERE t.tenant_id = $1 AND t.subscriber_id = $2),
             'messages', (SELECT coalesce(jsonb_agg(to_jsonb(m) - 'tenant_id' - 'secret_sealed'
                    - 'lease' - 'leased_until' ORDER BY m.id), '[]')
                FROM message m WHERE m.tenant_id = $1 AND m.subscriber_id = $2),
             'consent', (SELECT to_jsonb(c) - 'tenant_id'
                FROM message_consent c WHERE c.tenant_id = $1 AND c.subscriber_id = $2),
             'changes', (SELECT coalesce(jsonb_agg(jsonb_build_object('at', a.at,
                    'action', a.action, 'before', a.before, 'after', a.after) ORDER BY a.id), '[]')
                FROM audit_log a
               WHERE a.tenant_id = $1 AND a.object_kind = 'subscriber' AND a.object_id = $3)
           ) AS "everything!"
             FROM subscriber s WHERE s.tenant_id = $1 AND s.id = $2"#,
        tenant.as_uuid(),
        subscriber.as_uuid(),
        subscriber.to_string(),
    )
    .fetch_optional(&mut **tx)
    .await?;
    Ok(row.map(|row| row.everything))
}
