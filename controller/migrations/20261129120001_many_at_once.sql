-- Many vouchers and many payments in the statements that one took: what it costs to begin with a
-- statement is shared by all who ask at about the same time.

-- So many numbers in a row, without gaps; the first of them.
CREATE FUNCTION take_numbers(p_series text, p_count int) RETURNS bigint
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = kennet, pg_temp AS $$
DECLARE
  taken bigint;
BEGIN
  IF p_count < 1 THEN
    RAISE EXCEPTION 'expected to take at least one number of %', p_series
      USING ERRCODE = 'check_violation';
  END IF;
  UPDATE number_series SET next_no = next_no + p_count
   WHERE tenant_id = current_tenant() AND series = p_series
   RETURNING next_no - p_count INTO STRICT taken;
  RETURN taken;
END $$;
REVOKE ALL ON FUNCTION take_numbers(text, int) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION take_numbers(text, int) TO kennet_app;
CREATE OR REPLACE FUNCTION take_number(p_series text) RETURNS bigint
  LANGUAGE sql SECURITY DEFINER SET search_path = kennet, pg_temp
  AS $$ SELECT take_numbers(p_series, 1) $$;

-- The gate is a voucher that is sold, locked: who comes second finds another state, and so does who
-- comes second within one call. Says `redeemed` of the n-th, or the state that was in the way
-- (`sold`: its date is over), or nothing of a code that is not there.
DROP FUNCTION redeem_voucher(bytea, uuid, uuid, uuid, timestamptz, timestamptz);
CREATE FUNCTION redeem_vouchers(
  p_code_hashes bytea[], p_subscribers uuid[], p_entitlements uuid[], p_entries uuid[],
  p_untils timestamptz[], p_ats timestamptz[]
) RETURNS TABLE (n bigint, outcome text) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  t uuid := current_tenant();
  redeemed bigint[];
  entries uuid[];
  vouchers uuid[];
  ats timestamptz[];
  debits bigint[];
  credits bigint[];
  lines bigint[];
BEGIN
  WITH asked AS (
    SELECT DISTINCT ON (a.code_hash) a.*
      FROM unnest(p_code_hashes, p_subscribers, p_entitlements, p_entries, p_untils, p_ats)
             WITH ORDINALITY AS a (code_hash, subscriber, entitlement, entry, until, at, n)
     ORDER BY a.code_hash, a.n),
  free AS MATERIALIZED (
    SELECT v.id, b.plan_version_id, a.*
      FROM asked a
      JOIN voucher v ON v.tenant_id = t AND v.code_hash = a.code_hash
      JOIN voucher_batch b ON b.tenant_id = t AND b.id = v.batch_id
     WHERE v.state = 'sold' AND (b.redeem_by IS NULL OR b.redeem_by > a.at)
     ORDER BY v.id
       FOR NO KEY UPDATE OF v),
  taken AS (
    UPDATE voucher v SET state = 'active', redeemed_at = f.at, subscriber_id = f.subscriber
      FROM free f
     WHERE v.tenant_id = t AND v.id = f.id
    RETURNING f.*, v.net_cents),
  given AS (
    INSERT INTO entitlement (tenant_id, id, subscriber_id, source_kind, source_id, plan_version_id,
                             valid, bytes_granted, seconds_granted)
      SELECT t, v.entitlement, v.subscriber, 'voucher', v.id, p.id, tstzrange(v.at, v.until),
             p.data_bytes, p.online_seconds
        FROM taken v JOIN plan_version p ON p.tenant_id = t AND p.id = v.plan_version_id)
  SELECT coalesce(array_agg(v.n), '{}'),
         array_agg(v.entry ORDER BY v.n) FILTER (WHERE v.net_cents > 0),
         array_agg(v.id ORDER BY v.n) FILTER (WHERE v.net_cents > 0),
         array_agg(v.at ORDER BY v.n) FILTER (WHERE v.net_cents > 0),
         array_agg(v.net_cents ORDER BY v.n) FILTER (WHERE v.net_cents > 0),
         array_agg(-v.net_cents ORDER BY v.n) FILTER (WHERE v.net_cents > 0)
    INTO redeemed, entries, vouchers, ats, debits, credits
    FROM taken v;
  IF entries IS NOT NULL THEN
    lines := ARRAY(SELECT generate_series(1, cardinality(entries)));
    PERFORM post_entries(entries, array_fill('voucher.redeem'::text, ARRAY[cardinality(lines)]),
      array_fill('voucher'::text, ARRAY[cardinality(lines)]), vouchers, ats, lines || lines,
      array_fill('deferred:voucher'::text, ARRAY[cardinality(lines)])
        || array_fill('revenue:internet'::text, ARRAY[cardinality(lines)]),
      debits || credits);
  END IF;
  RETURN QUERY
    SELECT a.n, CASE WHEN a.n = ANY (redeemed) THEN 'redeemed' ELSE v.state END
      FROM unnest(p_code_hashes) WITH ORDINALITY AS a (code_hash, n)
      LEFT JOIN voucher v ON v.tenant_id = t AND v.code_hash = a.code_hash
     ORDER BY a.n;
END $$;

-- The one door: callback, confirmation, query, statement and staff all end here. The first of a
-- receipt credits; the others are told what it made.
DROP FUNCTION apply_payment(uuid, uuid, text, text, text, uuid, uuid, bigint, timestamptz,
                            timestamptz);
CREATE FUNCTION apply_payments(
  p_ids uuid[], p_entries uuid[], p_providers text[], p_receipts text[], p_shortcodes text[],
  p_subscribers uuid[], p_intents uuid[], p_cents bigint[], p_paid_ats timestamptz[],
  p_ats timestamptz[]
) RETURNS TABLE (n bigint, payment_id uuid, fresh boolean) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  t uuid := current_tenant();
  made uuid[];
  other record;
  lines bigint[];
BEGIN
  -- In one order, so that two who apply the same receipts do not wait for each other.
  WITH fresh AS (
    INSERT INTO payment (tenant_id, id, provider, receipt, shortcode, subscriber_id, intent_id,
                         amount_cents, paid_at, state, created_at)
      SELECT t, a.id, a.provider, a.receipt, a.shortcode, a.subscriber, a.intent, a.cents, a.paid_at,
             CASE WHEN a.subscriber IS NULL THEN 'unmatched' ELSE 'matched' END, a.at
        FROM unnest(p_ids, p_providers, p_receipts, p_shortcodes, p_subscribers, p_intents, p_cents,
                    p_paid_ats, p_ats) WITH ORDINALITY
               AS a (id, provider, receipt, shortcode, subscriber, intent, cents, paid_at, at, n)
       ORDER BY a.provider, a.receipt, a.n
      ON CONFLICT DO NOTHING
      RETURNING id)
  SELECT coalesce(array_agg(id), '{}') INTO made FROM fresh;
  IF cardinality(made) < cardinality(p_ids) THEN
    FOR other IN
      SELECT a.receipt, a.cents, p.id, p.amount_cents AS before
        FROM unnest(p_ids, p_providers, p_receipts, p_cents) AS a (id, provider, receipt, cents)
        LEFT JOIN payment p
          ON p.tenant_id = t AND p.provider = a.provider AND p.receipt = a.receipt
       WHERE a.id <> ALL (made)
    LOOP
      IF other.id IS NULL THEN
        RAISE EXCEPTION 'receipt % is credited elsewhere', other.receipt
          USING ERRCODE = 'unique_violation', CONSTRAINT = 'payment_receipt_elsewhere';
      END IF;
      IF other.before <> other.cents THEN
        RAISE EXCEPTION 'receipt %: the amount differs: % and %',
          other.receipt, other.before, other.cents
          USING ERRCODE = 'check_violation', CONSTRAINT = 'payment_receipt_amount';
      END IF;
    END LOOP;
  END IF;
  IF cardinality(made) > 0 THEN
    lines := ARRAY(SELECT generate_series(1, cardinality(made)));
    PERFORM post_entries(
        array_agg(a.entry ORDER BY a.n), array_agg('payment.in'::text), array_agg('payment'::text),
        array_agg(a.id ORDER BY a.n), array_agg(a.at ORDER BY a.n), lines || lines,
        array_agg('cash:' || CASE WHEN a.provider = 'cash' THEN '' ELSE a.provider || ':' END
                    || a.shortcode ORDER BY a.n)
          || array_agg(CASE WHEN a.subscriber IS NULL THEN 'suspense:unmatched'
                            ELSE 'wallet:' || a.subscriber END ORDER BY a.n),
        array_agg(a.cents ORDER BY a.n) || array_agg(-a.cents ORDER BY a.n))
      FROM unnest(p_ids, p_entries, p_providers, p_shortcodes, p_subscribers, p_cents, p_ats)
             WITH ORDINALITY AS a (id, entry, provider, shortcode, subscriber, cents, at, n)
     WHERE a.id = ANY (made);
  END IF;
  IF cardinality(array_remove(p_intents, NULL)) > 0 THEN
    UPDATE payment_intent SET state = 'succeeded'
      FROM unnest(p_ids, p_intents) AS a (id, intent)
     WHERE tenant_id = t AND payment_intent.id = a.intent AND a.id = ANY (made);
  END IF;
  RETURN QUERY
    SELECT a.n, p.id, p.id = a.id
      FROM unnest(p_ids, p_providers, p_receipts) WITH ORDINALITY AS a (id, provider, receipt, n)
      JOIN payment p ON p.tenant_id = t AND p.provider = a.provider AND p.receipt = a.receipt
     ORDER BY a.n;
END $$;

-- A plan is kept for whoever comes next, and knows only how many rows the first had: it goes by the
-- keys of each row, also if the first had many.
--
-- Balances follow their postings, of all that one statement has made. Accounts are locked in the
-- order of their ids, so that two who post do not wait for each other. Money that comes into a
-- wallet is said to billing.
CREATE OR REPLACE FUNCTION ledger_posting_apply() RETURNS trigger
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = kennet, pg_temp
  SET enable_hashjoin = off SET enable_mergejoin = off AS $$
BEGIN
  PERFORM FROM ledger_account a
    WHERE (a.tenant_id, a.id) IN (SELECT tenant_id, account_id FROM fresh) AND a.track
    ORDER BY a.id
      FOR NO KEY UPDATE;
  UPDATE ledger_account a
     SET balance_cents = a.balance_cents + CASE WHEN a.kind IN ('asset', 'expense')
                                                THEN f.cents ELSE -f.cents END
    FROM (SELECT tenant_id, account_id, sum(amount_cents)::bigint AS cents
            FROM fresh GROUP BY tenant_id, account_id) AS f
   WHERE a.tenant_id = f.tenant_id AND a.id = f.account_id AND a.track;
  INSERT INTO money_came (tenant_id, subscriber_id, at)
    SELECT a.tenant_id, split_part(a.code, ':', 2)::uuid, e.at
      FROM fresh f
      JOIN ledger_account a ON a.tenant_id = f.tenant_id AND a.id = f.account_id
      JOIN ledger_entry e ON e.tenant_id = f.tenant_id AND e.id = f.entry_id
     WHERE f.amount_cents < 0 AND a.code LIKE 'wallet:%';
  RETURN NULL;
END $$;
DROP TRIGGER ledger_posting_apply ON ledger_posting;
CREATE TRIGGER ledger_posting_apply AFTER INSERT ON ledger_posting
  REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION ledger_posting_apply();

-- What is allocated is matched, and pays an invoice that was issued to who paid.
CREATE OR REPLACE FUNCTION payment_allocation_apply() RETURNS trigger
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = kennet, pg_temp
  SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
  found_rows bigint;
BEGIN
  UPDATE payment p SET allocated_cents = p.allocated_cents + f.cents
    FROM (SELECT tenant_id, payment_id, sum(cents)::bigint AS cents
            FROM fresh GROUP BY tenant_id, payment_id) AS f
   WHERE p.tenant_id = f.tenant_id AND p.id = f.payment_id AND p.state = 'matched';
  GET DIAGNOSTICS found_rows = ROW_COUNT;
  IF found_rows <> (SELECT count(DISTINCT payment_id) FROM fresh) THEN
    RAISE EXCEPTION 'the payment is not matched'
      USING ERRCODE = 'check_violation', CONSTRAINT = 'payment_allocation_apply';
  END IF;
  UPDATE invoice i SET paid_cents = i.paid_cents + f.cents
    FROM (SELECT f.tenant_id, f.invoice_id, p.subscriber_id AS payer, sum(f.cents)::bigint AS cents
            FROM fresh f JOIN payment p ON p.tenant_id = f.tenant_id AND p.id = f.payment_id
           GROUP BY f.tenant_id, f.invoice_id, p.subscriber_id) AS f
   WHERE i.tenant_id = f.tenant_id AND i.id = f.invoice_id AND i.state = 'finalised'
     AND i.subscriber_id = f.payer;
  GET DIAGNOSTICS found_rows = ROW_COUNT;
  IF found_rows <> (SELECT count(DISTINCT (f.invoice_id, p.subscriber_id))
                      FROM fresh f
                      JOIN payment p ON p.tenant_id = f.tenant_id AND p.id = f.payment_id) THEN
    RAISE EXCEPTION 'the invoice is not issued, or not to who paid'
      USING ERRCODE = 'check_violation', CONSTRAINT = 'payment_allocation_apply';
  END IF;
  RETURN NULL;
END $$;
DROP TRIGGER payment_allocation_apply ON payment_allocation;
CREATE TRIGGER payment_allocation_apply AFTER INSERT ON payment_allocation
  REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION payment_allocation_apply();

-- Balanced, looked at when the transaction commits: as many lines as the entry says.
CREATE OR REPLACE FUNCTION ledger_entry_check() RETURNS trigger
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = kennet, pg_temp AS $$
DECLARE
  lines bigint;
  total numeric;
  debits numeric;
BEGIN
  SELECT count(*), coalesce(sum(amount_cents), 0),
         coalesce(sum(amount_cents) FILTER (WHERE amount_cents > 0), 0)
    INTO lines, total, debits
    FROM ledger_posting WHERE tenant_id = NEW.tenant_id AND entry_id = NEW.id;
  IF total <> 0 OR lines <> NEW.n_lines OR debits <> NEW.total_cents THEN
    RAISE EXCEPTION 'entry % is not balanced or sealed: sum %, lines % of %, debits % of %',
      NEW.id, total, lines, NEW.n_lines, debits, NEW.total_cents
      USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_entry_balanced';
  END IF;
  RETURN NULL;
END $$;
-- Sealed: its lines have the numbers up to how many they are, and each of these is taken when it is
-- balanced, so that a later one finds no number.
CREATE FUNCTION ledger_posting_sealed() RETURNS trigger
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = kennet, pg_temp
  SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
  other record;
BEGIN
  SELECT f.entry_id, f.line_no, e.n_lines INTO other
    FROM fresh f JOIN ledger_entry e ON e.tenant_id = f.tenant_id AND e.id = f.entry_id
   WHERE f.line_no > e.n_lines
   LIMIT 1;
  IF FOUND THEN
    RAISE EXCEPTION 'entry % is not balanced or sealed: line % of %',
      other.entry_id, other.line_no, other.n_lines
      USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_entry_balanced';
  END IF;
  RETURN NULL;
END $$;
DROP TRIGGER ledger_posting_balanced ON ledger_posting;
CREATE TRIGGER ledger_posting_sealed AFTER INSERT ON ledger_posting
  REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION ledger_posting_sealed();

CREATE OR REPLACE FUNCTION audit_log_pending() RETURNS trigger
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = kennet, pg_temp AS $$
BEGIN
  INSERT INTO audit_pending (tenant_id, audit_id) SELECT tenant_id, id FROM fresh;
  RETURN NULL;
END $$;
DROP TRIGGER audit_log_pending ON audit_log;
CREATE TRIGGER audit_log_pending AFTER INSERT ON audit_log
  REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION audit_log_pending();

CREATE OR REPLACE FUNCTION audit_log_tell() RETURNS trigger
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = kennet, pg_temp AS $$
BEGIN
  INSERT INTO webhook_delivery (tenant_id, webhook_id, audit_id, event, due_at)
    SELECT f.tenant_id, w.id, f.id, f.action, f.at
      FROM fresh f
      JOIN webhook w ON w.tenant_id = f.tenant_id AND w.active
       AND w.events && ARRAY[f.action, split_part(f.action, '.', 1) || '.*', '*'];
  RETURN NULL;
END $$;
DROP TRIGGER audit_log_tell ON audit_log;
CREATE TRIGGER audit_log_tell AFTER INSERT ON audit_log
  REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION audit_log_tell();
