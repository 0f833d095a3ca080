//! A row in each table that has a rule, without the others that it would need beside it.

/// `:a` is the tenant, `:x` and `:y` are ids, of whatever has one.
pub(super) const ROWS: &str = r"
BEGIN;
SET LOCAL session_replication_role = replica;
SET LOCAL kennet.tenant_id = :a;
INSERT INTO nas (tenant_id, id, edge_id, name, address, secret_sealed, enforce, vendor,
    created_at) VALUES (:a, :x, :x, 'tower', '10.0.0.1', 'x', 'edge', 'standard', now());
INSERT INTO access_point (tenant_id, id, name, mac, created_at)
  VALUES (:a, :x, 'roof', '00:00:5e:00:53:01', now());
INSERT INTO operator (tenant_id, id, email, name, role, password_hash, created_at)
  VALUES (:a, :x, 'ada@alpha.test', 'Ada', 'owner', '$argon2id$x', now());
INSERT INTO operator_session (tenant_id, token_hash, operator_id, created_at, expires_at)
  VALUES (:a, sha256('s'), :x, now(), 'infinity');
INSERT INTO login (tenant_id, id, operator_id, created_at, used_at, ends_at, program)
  VALUES (:a, :x, :x, now(), now(), 'infinity', 'x');
INSERT INTO refresh_token (tenant_id, token_hash, login_id, created_at, expires_at)
  VALUES (:a, sha256('r'), :x, now(), 'infinity');
INSERT INTO api_token (tenant_id, id, operator_id, name, token_hash, scopes, created_at,
    expires_at) VALUES (:a, :x, :x, 'cron', sha256('t'), '{a}', now(), 'infinity');
INSERT INTO invitation (tenant_id, id, token_hash, email, role, created_at, expires_at)
  VALUES (:a, :x, sha256('i'), 'bob@alpha.test', 'noc', now(), 'infinity');
INSERT INTO portal_claim (tenant_id, id, code_mark, full_name, msisdn, password_sealed, created_at,
    expires_at) VALUES (:a, :x, sha256('c'), 'Bob', '254712345678', 'x', now(), 'infinity');
INSERT INTO ticket (tenant_id, id, reference, subject, channel, priority, opened_at)
  VALUES (:a, :x, 'TKT-000001', 'slow', 'phone', 'low', now());
INSERT INTO legal_hold (tenant_id, id, reason, placed_by, placed_at)
  VALUES (:a, :x, 'a court asks', 'op', now());
INSERT INTO job (tenant_id, kind, key, due_at, try_at) VALUES (:a, 'night', 'x', now(), now());
INSERT INTO webhook_delivery (tenant_id, webhook_id, audit_id, event, due_at)
  VALUES (:a, :x, :x, 'x', now());
INSERT INTO message_provider (tenant_id, id, channel, name, setup, secrets_sealed, token_sealed,
    token_hash, created_at) VALUES (:a, :x, 'sms', 'x', '{}', 'x', 'x', sha256('p'), now());
INSERT INTO message (tenant_id, id, kind, key, class, channel, language, recipient, subject, body,
    state, due_at, created_at)
  VALUES (:a, :x, 'payment', 'x', 'transactional', 'sms', 'en', '254712345678', '', '', 'waiting',
    now(), now());
INSERT INTO message_occasion (tenant_id, kind, key, subscriber_id, facts, subject_id, at)
  VALUES (:a, 'payment', 'x', :x, '{}', :x, now());
INSERT INTO merchant_account (id, provider, shortcode, callback_token_hash)
  VALUES (:x, 'mpesa', '600000', sha256('m'));
INSERT INTO merchant (tenant_id, id, provider, shortcode, name, environment, secrets_sealed,
    token_sealed, created_at)
  VALUES (:a, :x, 'mpesa', '600000', 'Paybill', 'sandbox', 'x', 'x', now());
INSERT INTO payment_intent (tenant_id, id, subscriber_id, provider, shortcode, amount_cents,
    callback_secret_hash, checkout_id, reference, created_at)
  VALUES (:a, :x, :x, 'mpesa', '600000', 100, sha256('h'), 'ws_1', 'AB12', now());
INSERT INTO payment (tenant_id, id, provider, receipt, shortcode, intent_id, amount_cents, paid_at,
    state, created_at)
  VALUES (:a, :x, 'mpesa', 'R1', '600000', :x, 100, now(), 'unmatched', now());
INSERT INTO payment (tenant_id, id, provider, receipt, shortcode, amount_cents, paid_at, state,
    created_at) VALUES (:a, :y, 'cash', 'C1', 'till', 100, now(), 'unmatched', now());
INSERT INTO payment_doubt (tenant_id, id, kind, about, said, created_at)
  VALUES (:a, :x, 'amount', 'R1', 'x', now());
INSERT INTO payment_refund (tenant_id, id, payment_id, amount_cents, kind, reason, requested_by,
    created_at) VALUES (:a, :x, :x, 100, 'given_back', 'x', 'op_1', now());
INSERT INTO provider_fee (tenant_id, id, reconciliation_id, provider, shortcode, receipt, descr,
    amount_cents, at) VALUES (:a, :x, :x, 'mpesa', '600000', 'R1', 'charge', 5, now());
INSERT INTO payout (tenant_id, id, reseller_id, msisdn, amount_cents, requested_by, created_at)
  VALUES (:a, :x, :x, '254712345678', 1000, 'op_1', now());
INSERT INTO payout (tenant_id, id, reseller_id, msisdn, amount_cents, state, approved_by,
    provider_txn, requested_by, created_at)
  VALUES (:a, :y, :x, '254712345678', 1000, 'paid', 'op_2', 'T1', 'op_1', now());
INSERT INTO subscriber (tenant_id, id, account_no, username, full_name, msisdn, created_at)
  VALUES (:a, :x, '9999998', 'x', 'X', '254712345678', now());
INSERT INTO settlement (tenant_id, id, reseller_id, during, gross_cents, commission_cents,
    net_cents, created_at) VALUES (:a, :x, :x, '[2026-11-01,2026-12-01)', 10, 1, 9, now());
INSERT INTO commission_rule (tenant_id, id, reseller_id, rate_bp, during)
  VALUES (:a, :x, :x, 500, '[2026-01-01,)');
INSERT INTO subscription (tenant_id, id, subscriber_id, plan_version_id, state, created_at)
  VALUES (:a, :x, :x, :x, 'active', now());
INSERT INTO subscription_period (tenant_id, id, subscription_id, plan_version_id, during)
  VALUES (:a, :x, :x, :x, '[2026-11-01,2026-12-01)');
INSERT INTO entitlement (tenant_id, id, subscriber_id, source_kind, source_id, plan_version_id,
    valid, bytes_granted, seconds_granted, counted_from)
  VALUES (:a, :x, :x, 'topup', :x, :x, '[2026-11-01,2026-12-01)', 10, 10, '2026-11-01');
INSERT INTO quota_lease (tenant_id, id, entitlement_id, edge_id, fence, bytes, granted_at)
  VALUES (:a, :x, :x, :x, 1, 5, now());
INSERT INTO edge_quota (tenant_id, edge_id, subscriber_id, epoch, counted_from, since, fence)
  VALUES (:a, :x, :x, :x, now(), 1, 1);
INSERT INTO invoice (tenant_id, id, subscriber_id, state, number, issued_at, due_on, net_cents,
    created_at)
  VALUES (:a, :x, :x, 'finalised', 1, now(), '2026-12-31', 100, now()),
         (:a, :y, :x, 'finalised', 2, now(), '2026-12-31', 100, now());
INSERT INTO invoice_line (tenant_id, invoice_id, line_no, kind, subscription_id, period_id, descr,
    net_cents, excise_cents, vat_cents) VALUES (:a, :x, 1, 'recurring', :x, :x, 'x', 100, 0, 0);
INSERT INTO credit_note (tenant_id, id, invoice_id, number, net_cents, excise_cents, vat_cents,
    reason, at) VALUES (:a, :x, :x, 1, 5, 0, 0, 'x', now()), (:a, :y, :x, 2, 5, 0, 0, 'x', now());
INSERT INTO outage (tenant_id, id, scope_kind, scope_id, during, evidence_hash)
  VALUES (:a, :x, 'edge', :x, '[2026-11-10,2026-11-11)', sha256('e'));
INSERT INTO outage_credit (tenant_id, outage_id, subscription_id, lost, cents, how, at)
  VALUES (:a, :x, :x, '[2026-11-10,2026-11-11)', 5, 'wallet', now());
INSERT INTO recognition (tenant_id, id, during, cents)
  VALUES (:a, :x, '[2026-11-10,2026-11-11)', 5);
INSERT INTO ledger_account (tenant_id, id, code, kind, track, floor_cents)
  VALUES (:a, :x, 'wallet:one', 'liability', true, 0);
INSERT INTO closing (tenant_id, month, until, entries, debit_cents, credit_cents, closed_at)
  VALUES (:a, '2026-10-01', now(), 1, 5, 5, now());
INSERT INTO audit_log (tenant_id, id, at, actor, action, object_kind, object_id)
  VALUES (:a, :x, now(), 'op', 'a', 'b', 'c');
INSERT INTO audit_block (tenant_id, block_no, audit_ids, hash, sealed_at)
  VALUES (:a, 1, ARRAY[:x::uuid], sha256('b'), now());
INSERT INTO invoice_from_wallet (tenant_id, id, cents, at) VALUES (:a, :x, 5, now());
INSERT INTO payment_allocation (tenant_id, id, payment_id, invoice_id, cents, at)
  VALUES (:a, :x, :x, :x, 5, now());
INSERT INTO reconciliation (tenant_id, id, merchant_id, day, source, ours_count, ours_cents,
    theirs_count, theirs_cents, made_by, created_at)
  VALUES (:a, :x, :x, '2026-11-01', 'list', 0, 0, 0, 0, 'op', now());
INSERT INTO reconciliation_difference (tenant_id, reconciliation_id, line_no, kind, receipt)
  VALUES (:a, :x, 1, 'missing', 'R1');
INSERT INTO subscription_event (tenant_id, subscription_id, seq, to_state)
  VALUES (:a, :x, 1, 'active');
COMMIT;
";
