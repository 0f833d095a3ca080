-- What each posting runs through, without work that is the same each time: a statement is not
-- planned anew for each array of codes, a row is not turned into JSON for one of its columns, and
-- what is asked for each row is a function whose plan is kept.

CREATE OR REPLACE FUNCTION post_entry(
  p_id uuid, p_kind text, p_source_kind text, p_source uuid, p_at timestamptz,
  p_codes text[], p_cents bigint[]
) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
  t uuid := current_tenant();
  lines bigint := 0;
  debits bigint := 0;
  before bigint;
  accounts uuid[];
  found_id uuid;
BEGIN
  FOR n IN 1 .. cardinality(p_cents) LOOP
    lines := lines + (p_cents[n] <> 0)::int;
    debits := debits + greatest(p_cents[n], 0);
  END LOOP;
  INSERT INTO ledger_entry (tenant_id, id, kind, source_kind, source_id, n_lines, total_cents, at)
    VALUES (t, p_id, p_kind, p_source_kind, p_source, lines, debits, p_at)
    ON CONFLICT ON CONSTRAINT ledger_entry_once DO NOTHING;
  IF NOT FOUND THEN
    SELECT total_cents INTO STRICT before FROM ledger_entry
     WHERE tenant_id = t AND kind = p_kind AND source_kind = p_source_kind AND source_id = p_source;
    IF before <> debits THEN
      RAISE EXCEPTION '% of % is in the books with % cents, not %', p_kind, p_source, before, debits
        USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_entry_same';
    END IF;
    RETURN false;
  END IF;
  FOR n IN 1 .. cardinality(p_codes) LOOP
    SELECT id INTO found_id FROM ledger_account WHERE tenant_id = t AND code = p_codes[n];
    IF NOT FOUND THEN
      -- Accounts are opened in the order of their codes, and locked in the order of their ids, so
      -- that two entries do not wait for each other.
      PERFORM account(code) FROM (SELECT DISTINCT unnest(p_codes) AS code ORDER BY 1) codes;
      found_id := account(p_codes[n]);
    END IF;
    accounts[n] := found_id;
  END LOOP;
  INSERT INTO ledger_posting (tenant_id, entry_id, line_no, account_id, amount_cents)
    SELECT t, p_id, row_number() OVER (ORDER BY line.account, line.n), line.account, line.cents
      FROM unnest(accounts, p_cents) WITH ORDINALITY AS line (account, cents, n)
     WHERE line.cents <> 0
     ORDER BY line.account, line.n;
  RETURN true;
END $$;

CREATE OR REPLACE FUNCTION ledger_entry_check() RETURNS trigger
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = kennet, pg_temp AS $$
DECLARE
  entry uuid;
  lines bigint;
  total numeric;
  debits numeric;
  want ledger_entry;
BEGIN
  IF TG_TABLE_NAME = 'ledger_entry' THEN
    entry := NEW.id;
  ELSE
    entry := NEW.entry_id;
  END IF;
  SELECT count(*), coalesce(sum(amount_cents), 0),
         coalesce(sum(amount_cents) FILTER (WHERE amount_cents > 0), 0)
    INTO lines, total, debits
    FROM ledger_posting WHERE tenant_id = NEW.tenant_id AND entry_id = entry;
  SELECT * INTO STRICT want FROM ledger_entry WHERE tenant_id = NEW.tenant_id AND id = entry;
  IF total <> 0 OR lines <> want.n_lines OR debits <> want.total_cents THEN
    RAISE EXCEPTION 'entry % is not balanced or sealed: sum %, lines % of %, debits % of %',
      entry, total, lines, want.n_lines, debits, want.total_cents
      USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_entry_balanced';
  END IF;
  RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION must_be_booked() RETURNS trigger
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = kennet, pg_temp AS $$
DECLARE
  cents bigint;
BEGIN
  CASE TG_ARGV[2]
    WHEN 'amount_cents' THEN cents := NEW.amount_cents;
    WHEN 'total_cents' THEN cents := NEW.total_cents;
    WHEN 'net_cents' THEN cents := NEW.net_cents;
    WHEN 'face_cents' THEN cents := NEW.face_cents;
    WHEN 'cents' THEN cents := NEW.cents;
  END CASE;
  IF cents <> 0 AND NOT EXISTS (
    SELECT FROM ledger_entry
     WHERE tenant_id = NEW.tenant_id AND kind = TG_ARGV[0] AND source_kind = TG_ARGV[1]
       AND source_id = NEW.id AND total_cents = cents
  ) THEN
    RAISE EXCEPTION '% % is not in the books as % of % cents', TG_ARGV[1], NEW.id, TG_ARGV[0], cents
      USING ERRCODE = 'check_violation', CONSTRAINT = TG_NAME;
  END IF;
  RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION tells(p_tenant uuid) RETURNS boolean
  LANGUAGE plpgsql STABLE SET search_path = kennet, pg_temp AS $$
BEGIN
  RETURN EXISTS (SELECT FROM message_provider WHERE tenant_id = p_tenant AND active);
END $$;
