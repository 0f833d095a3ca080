-- The ledger: double entry, append only. What happened with money is an entry; its lines are
-- postings, a debit above zero and a credit below it.
--
-- The database itself sees to it that an entry balances, that nothing is added to it later, that
-- one event is booked once, and that a wallet does not go below its floor.

-- The kinds of accounts there are, the same for all tenants. The first word of an account's code
-- is one of these.
CREATE TABLE ledger_chart (
  prefix      text PRIMARY KEY CHECK (prefix ~ '^[a-z]+$'),
  kind        text NOT NULL CHECK (kind IN ('asset', 'liability', 'equity', 'revenue', 'expense')),
  -- Its balance is kept in step with every posting, and may have a floor. Where many post at once
  -- it is summed up when somebody asks.
  track       boolean NOT NULL,
  floor_cents bigint,
  CHECK (floor_cents IS NULL OR track)
);
INSERT INTO ledger_chart VALUES
  ('cash', 'asset', false, NULL),        -- cash:mpesa:600000, cash:till
  ('ar', 'asset', true, 0),              -- ar:SUBSCRIBER: invoices that are not paid
  ('wallet', 'liability', true, 0),      -- wallet:SUBSCRIBER
  ('agent', 'liability', true, 0),       -- agent:RESELLER: their float
  ('deposit', 'liability', true, 0),     -- deposit:SUBSCRIBER
  ('deferred', 'liability', false, NULL),-- deferred:voucher: sold and not given yet
  ('tax', 'liability', false, NULL),     -- tax:excise, tax:vat
  ('payout', 'liability', false, NULL),  -- payout:clearing
  ('suspense', 'liability', false, NULL),-- suspense:unmatched
  ('revenue', 'revenue', false, NULL),   -- revenue:internet, revenue:breakage
  ('expense', 'expense', false, NULL);   -- expense:commission
GRANT SELECT ON ledger_chart TO kennet_app;

CREATE TABLE ledger_account (
  tenant_id     uuid NOT NULL REFERENCES tenant,
  id            uuid NOT NULL,
  code          text NOT NULL CHECK (code ~ '^[a-z]+(:[A-Za-z0-9._-]+){1,2}$'),
  kind          text NOT NULL CHECK (kind IN
                ('asset', 'liability', 'equity', 'revenue', 'expense')),
  track         boolean NOT NULL,
  -- Of the account's own side: what a wallet holds is above zero.
  balance_cents bigint NOT NULL DEFAULT 0,
  floor_cents   bigint,
  PRIMARY KEY (tenant_id, id),
  CONSTRAINT ledger_account_code UNIQUE (tenant_id, code),
  CONSTRAINT ledger_account_floor CHECK (floor_cents IS NULL OR balance_cents >= floor_cents),
  CHECK (floor_cents IS NULL OR track),
  CHECK (track OR balance_cents = 0)
) WITH (fillfactor = 80);
SELECT protect('ledger_account');
-- Only `account()` makes accounts, and only postings move balances.
GRANT SELECT ON ledger_account TO kennet_app;

-- Finds the account, or opens it as the chart says.
CREATE FUNCTION account(p_code text) RETURNS uuid
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = kennet, pg_temp AS $$
DECLARE
  t uuid := current_tenant();
  found_id uuid;
BEGIN
  SELECT id INTO found_id FROM ledger_account WHERE tenant_id = t AND code = p_code;
  IF found_id IS NULL THEN
    INSERT INTO ledger_account (tenant_id, id, code, kind, track, floor_cents)
      SELECT t, gen_random_uuid(), p_code, kind, track, floor_cents
        FROM ledger_chart WHERE prefix = split_part(p_code, ':', 1)
      ON CONFLICT (tenant_id, code) DO NOTHING;
    SELECT id INTO found_id FROM ledger_account WHERE tenant_id = t AND code = p_code;
    IF found_id IS NULL THEN
      RAISE EXCEPTION 'the chart of accounts has no %', p_code USING ERRCODE = 'check_violation';
    END IF;
  END IF;
  RETURN found_id;
END $$;
REVOKE ALL ON FUNCTION account(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION account(text) TO kennet_app;

CREATE TABLE ledger_entry (
  tenant_id   uuid NOT NULL REFERENCES tenant,
  id          uuid NOT NULL,
  -- What happened: `payment.in`, `invoice.issue`.
  kind        text NOT NULL CHECK (kind <> ''),
  -- To what: `payment` and its id.
  source_kind text NOT NULL CHECK (source_kind <> ''),
  source_id   uuid NOT NULL,
  n_lines     smallint NOT NULL CHECK (n_lines >= 2),
  -- The sum of its debits.
  total_cents bigint NOT NULL CHECK (total_cents > 0),
  at          timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, id),
  CONSTRAINT ledger_entry_once UNIQUE (tenant_id, kind, source_kind, source_id)
);
SELECT protect('ledger_entry');
GRANT SELECT, INSERT ON ledger_entry TO kennet_app;

CREATE TABLE ledger_posting (
  tenant_id    uuid NOT NULL,
  entry_id     uuid NOT NULL,
  line_no      smallint NOT NULL CHECK (line_no > 0),
  account_id   uuid NOT NULL,
  amount_cents bigint NOT NULL CHECK (amount_cents <> 0),
  PRIMARY KEY (tenant_id, entry_id, line_no),
  FOREIGN KEY (tenant_id, entry_id) REFERENCES ledger_entry,
  FOREIGN KEY (tenant_id, account_id) REFERENCES ledger_account
);
CREATE INDEX ledger_posting_account ON ledger_posting (tenant_id, account_id, entry_id)
  INCLUDE (amount_cents);
SELECT protect('ledger_posting');
GRANT SELECT, INSERT ON ledger_posting TO kennet_app;

CREATE FUNCTION ledger_posting_apply() RETURNS trigger
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = kennet, pg_temp AS $$
BEGIN
  UPDATE ledger_account
     SET balance_cents = balance_cents + CASE WHEN kind IN ('asset', 'expense')
                                              THEN NEW.amount_cents ELSE -NEW.amount_cents END
   WHERE tenant_id = NEW.tenant_id AND id = NEW.account_id AND track;
  RETURN NULL;
END $$;
CREATE TRIGGER ledger_posting_apply AFTER INSERT ON ledger_posting
  FOR EACH ROW EXECUTE FUNCTION ledger_posting_apply();

-- Balanced and sealed, looked at when the transaction commits: a later one cannot add a line,
-- because the count would not fit any more.
CREATE FUNCTION ledger_entry_check() RETURNS trigger
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = kennet, pg_temp AS $$
DECLARE
  entry uuid := CASE WHEN TG_TABLE_NAME = 'ledger_entry'
                     THEN (to_jsonb(NEW) ->> 'id')::uuid
                     ELSE (to_jsonb(NEW) ->> 'entry_id')::uuid END;
  lines bigint;
  total numeric;
  debits numeric;
  want ledger_entry;
BEGIN
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
CREATE CONSTRAINT TRIGGER ledger_entry_balanced AFTER INSERT ON ledger_entry
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION ledger_entry_check();
CREATE CONSTRAINT TRIGGER ledger_posting_balanced AFTER INSERT ON ledger_posting
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION ledger_entry_check();

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON ledger_entry
  FOR EACH ROW EXECUTE FUNCTION append_only();
CREATE TRIGGER append_only_t BEFORE TRUNCATE ON ledger_entry EXECUTE FUNCTION append_only();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON ledger_posting
  FOR EACH ROW EXECUTE FUNCTION append_only();
CREATE TRIGGER append_only_t BEFORE TRUNCATE ON ledger_posting EXECUTE FUNCTION append_only();

-- Books what happened to a source, once: false if it is in the books already. Amounts of zero
-- are left out.
CREATE FUNCTION post_entry(
  p_id uuid, p_kind text, p_source_kind text, p_source uuid, p_at timestamptz,
  p_codes text[], p_cents bigint[]
) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
  t uuid := current_tenant();
  debits bigint;
  before bigint;
BEGIN
  SELECT sum(cents) FILTER (WHERE cents > 0) INTO debits FROM unnest(p_cents) cents;
  INSERT INTO ledger_entry (tenant_id, id, kind, source_kind, source_id, n_lines, total_cents, at)
    SELECT t, p_id, p_kind, p_source_kind, p_source, count(*), debits, p_at
      FROM unnest(p_cents) cents WHERE cents <> 0
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
  -- Accounts are opened in the order of their codes, and locked in the order of their ids, so
  -- that two entries do not wait for each other.
  PERFORM account(code) FROM (SELECT DISTINCT unnest(p_codes) AS code ORDER BY 1) codes;
  INSERT INTO ledger_posting (tenant_id, entry_id, line_no, account_id, amount_cents)
    SELECT t, p_id, row_number() OVER (ORDER BY a.id, line.n), a.id, line.cents
      FROM unnest(p_codes, p_cents) WITH ORDINALITY AS line (code, cents, n)
      JOIN ledger_account a ON a.tenant_id = t AND a.code = line.code
     WHERE line.cents <> 0
     ORDER BY a.id, line.n;
  RETURN true;
END $$;

-- A row that moved money must be in the books with its amount when the transaction commits.
-- Arguments: kind of the entry, of its source, and the column with the amount.
CREATE FUNCTION must_be_booked() RETURNS trigger
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = kennet, pg_temp AS $$
DECLARE
  cents bigint := (to_jsonb(NEW) ->> TG_ARGV[2])::bigint;
BEGIN
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
