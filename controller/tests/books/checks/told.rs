//! What is told to whom, because it is written where it happens.

use super::steps::{issue, pay, redeem};
use crate::world::{A, BATCH, Books, Found, RESELLER, SUBSCRIBER, VERSION, is, run};

checks! { ADDED:
    a_change_is_told: "who asks for it is told of a change, and of no other", |books| {
        run(&books.a, &format!("INSERT INTO webhook (tenant_id, id, url, events, secret_sealed,
              created_at) VALUES ('{A}', '{A}', 'http://a.test', '{{plan.*}}', 'x', now());
            INSERT INTO audit_log (tenant_id, id, at, actor, action, object_kind, object_id)
              SELECT '{A}', gen_random_uuid(), now(), 'op', what, 'x', 'x'
                FROM unnest(ARRAY['plan.update', 'planet.update']) what")).await;
        is(&books.a, "SELECT string_agg(event, ' ') FROM webhook_delivery", "plan.update").await
    }
    what_happens_is_told_once: "who it is about is told of it, if there is who tells", |books| {
        run(&books.a, &pay("RCPT1", SUBSCRIBER, 100)).await;
        run(&books.admin, &format!("INSERT INTO message_provider (tenant_id, id, channel, name, setup,
              secrets_sealed, token_sealed, token_hash, created_at) VALUES ('{A}', '{A}', 'sms', 'x',
              '{{}}', 'x', 'x', sha256('x'), now())")).await;
        run(&books.a, &pay("RCPT2", SUBSCRIBER, 100)).await;
        run(&books.a, &issue(SUBSCRIBER, false)).await;
        run(&books.a, &redeem("code1", 1)).await;
        run(&books.a, &format!("INSERT INTO voucher_sale (tenant_id, id, batch_id, reseller_id, qty,
              face_cents, at) VALUES ('{A}', '{A}', '{BATCH}', '{RESELLER}', 1, 0, now());
            INSERT INTO ticket (tenant_id, id, reference, subscriber_id, subject, channel, priority,
              opened_at) VALUES ('{A}', '{A}', 'TKT-000001', '{SUBSCRIBER}', 's', 'phone', 'low',
              now());
            UPDATE ticket SET state = 'resolved', acknowledged_at = now(), resolved_at = now();
            INSERT INTO subscription (tenant_id, id, subscriber_id, plan_version_id, created_at)
              VALUES ('{A}', '{A}', '{SUBSCRIBER}', '{VERSION}', now());
            INSERT INTO subscription_notice VALUES ('{A}', '{A}', now(), 'remind:3', now())")).await;
        is(&books.a, "SELECT string_agg(kind, ' ' ORDER BY kind) FROM message_occasion",
            "invoice payment remind sale ticket voucher").await
    }
}
