-- Tax rates, periods, invoices and credit notes.

-- Excise is on the price, VAT on both. Rates are data with dates: a change of the law is a row.
CREATE TABLE tax_rate (
  tenant_id uuid NOT NULL REFERENCES tenant,
  code      text NOT NULL CHECK (code IN ('excise', 'vat')),
  rate_bp   int NOT NULL CHECK (rate_bp BETWEEN 0 AND 10000),
  during    daterange NOT NULL CHECK (NOT isempty(during)),
  PRIMARY KEY (tenant_id, code, during),
  CONSTRAINT tax_rate_dates EXCLUDE USING gist (tenant_id WITH =, code WITH =, during WITH &&)
);
SELECT protect('tax_rate');
GRANT SELECT, INSERT, UPDATE (during), DELETE ON tax_rate TO kennet_app;

-- What a subscription was billed for. No moment of it twice.
CREATE TABLE subscription_period (
  tenant_id       uuid NOT NULL,
  id              uuid NOT NULL,
  subscription_id uuid NOT NULL,
  plan_version_id uuid NOT NULL,
  during          tstzrange NOT NULL
                  CHECK (NOT isempty(during) AND lower_inc(during) AND NOT upper_inc(during)),
  PRIMARY KEY (tenant_id, id),
  FOREIGN KEY (tenant_id, subscription_id) REFERENCES subscription,
  FOREIGN KEY (tenant_id, plan_version_id) REFERENCES plan_version,
  CONSTRAINT subscription_period_once EXCLUDE USING gist
    (tenant_id WITH =, subscription_id WITH =, during WITH &&)
);
SELECT protect('subscription_period');
GRANT SELECT, INSERT ON subscription_period TO kennet_app;

-- INV: invoices, CRN: credit notes, RCT: receipts for cash. The row is locked until the
-- transaction that takes a number ends: one that is undone gives it back.
CREATE TABLE number_series (
  tenant_id uuid NOT NULL REFERENCES tenant,
  series    text NOT NULL CHECK (series ~ '^[A-Z]{2,6}$'),
  next_no   bigint NOT NULL DEFAULT 1 CHECK (next_no > 0),
  PRIMARY KEY (tenant_id, series)
) WITH (fillfactor = 50);
SELECT protect('number_series');
GRANT SELECT ON number_series TO kennet_app;

CREATE FUNCTION take_number(p_series text) RETURNS bigint
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = kennet, pg_temp AS $$
DECLARE
  taken bigint;
BEGIN
  UPDATE number_series SET next_no = next_no + 1
   WHERE tenant_id = current_tenant() AND series = p_series
   RETURNING next_no - 1 INTO STRICT taken;
  RETURN taken;
END $$;
REVOKE ALL ON FUNCTION take_number(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION take_number(text) TO kennet_app;

-- Every tenant begins with its series and with the taxes of Kenya on what an ISP sells.
CREATE FUNCTION open_books(p_tenant uuid) RETURNS void
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = kennet, pg_temp AS $$
DECLARE
  before text := coalesce(current_setting('kennet.tenant_id', true), '');
BEGIN
  PERFORM set_config('kennet.tenant_id', p_tenant::text, true);
  INSERT INTO number_series (tenant_id, series)
    VALUES (p_tenant, 'INV'), (p_tenant, 'CRN'), (p_tenant, 'RCT');
  INSERT INTO tax_rate (tenant_id, code, rate_bp, during)
    VALUES (p_tenant, 'excise', 1500, '[2023-07-01,)'), (p_tenant, 'vat', 1600, '[2023-07-01,)');
  PERFORM set_config('kennet.tenant_id', before, true);
END $$;
REVOKE ALL ON FUNCTION open_books(uuid) FROM PUBLIC;
CREATE FUNCTION tenant_opens_books() RETURNS trigger
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = kennet, pg_temp AS $$
BEGIN
  PERFORM open_books(NEW.tenant_id);
  RETURN NULL;
END $$;
CREATE TRIGGER tenant_opens_books AFTER INSERT ON tenant
  FOR EACH ROW EXECUTE FUNCTION tenant_opens_books();
-- The owner sees one tenant at a time; `every_owner` is gone with this migration.
CREATE POLICY every_owner ON tenant FOR SELECT TO CURRENT_USER USING (true);
SELECT open_books(tenant_id) FROM tenant WHERE slug <> 'platform';
DROP POLICY every_owner ON tenant;

CREATE TABLE invoice (
  tenant_id      uuid NOT NULL REFERENCES tenant,
  id             uuid NOT NULL,
  subscriber_id  uuid NOT NULL,
  series         text NOT NULL DEFAULT 'INV',
  state          text NOT NULL DEFAULT 'draft' CHECK (state IN ('draft', 'finalised', 'void')),
  number         bigint,
  issued_at      timestamptz,
  due_on         date,
  net_cents      bigint NOT NULL DEFAULT 0 CHECK (net_cents >= 0),
  excise_cents   bigint NOT NULL DEFAULT 0 CHECK (excise_cents >= 0),
  vat_cents      bigint NOT NULL DEFAULT 0 CHECK (vat_cents >= 0),
  total_cents    bigint NOT NULL GENERATED ALWAYS AS (net_cents + excise_cents + vat_cents) STORED,
  paid_cents     bigint NOT NULL DEFAULT 0 CHECK (paid_cents >= 0),
  credited_cents bigint NOT NULL DEFAULT 0 CHECK (credited_cents >= 0),
  created_at     timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, id),
  CONSTRAINT invoice_number UNIQUE (tenant_id, series, number),
  FOREIGN KEY (tenant_id, subscriber_id) REFERENCES subscriber,
  FOREIGN KEY (tenant_id, series) REFERENCES number_series,
  CHECK ((state = 'draft') = (number IS NULL)),
  CHECK ((state = 'draft') = (issued_at IS NULL)),
  CHECK (state = 'draft' OR due_on IS NOT NULL),
  CONSTRAINT invoice_not_overpaid
    CHECK (paid_cents + credited_cents <= net_cents + excise_cents + vat_cents),
  CHECK (state <> 'draft' OR (paid_cents = 0 AND credited_cents = 0)),
  CONSTRAINT invoice_void_is_unpaid
    CHECK (state <> 'void' OR (paid_cents = 0 AND credited_cents = 0))
);
CREATE INDEX invoice_subscriber ON invoice (tenant_id, subscriber_id, id);
CREATE INDEX invoice_open ON invoice (tenant_id, subscriber_id, due_on, id)
  WHERE state = 'finalised' AND paid_cents + credited_cents < net_cents + excise_cents + vat_cents;

CREATE TABLE invoice_line (
  tenant_id       uuid NOT NULL,
  invoice_id      uuid NOT NULL,
  line_no         smallint NOT NULL CHECK (line_no > 0),
  kind            text NOT NULL CHECK (kind IN ('recurring', 'one_off', 'usage',
                  'proration_credit', 'proration_charge', 'sla_credit', 'discount')),
  subscription_id uuid,
  period_id       uuid,
  descr           text NOT NULL CHECK (length(descr) BETWEEN 1 AND 200),
  net_cents       bigint NOT NULL,
  excise_cents    bigint NOT NULL,
  vat_cents       bigint NOT NULL,
  PRIMARY KEY (tenant_id, invoice_id, line_no),
  FOREIGN KEY (tenant_id, invoice_id) REFERENCES invoice ON DELETE CASCADE,
  FOREIGN KEY (tenant_id, subscription_id) REFERENCES subscription,
  FOREIGN KEY (tenant_id, period_id) REFERENCES subscription_period,
  CHECK ((kind = 'recurring') <= (period_id IS NOT NULL AND subscription_id IS NOT NULL))
);
-- Nothing is billed twice for one period.
CREATE UNIQUE INDEX invoice_line_once ON invoice_line (tenant_id, period_id, kind)
  WHERE kind IN ('recurring', 'proration_credit', 'proration_charge');

CREATE FUNCTION invoice_guard() RETURNS trigger
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = kennet, pg_temp AS $$
BEGIN
  IF TG_OP = 'DELETE' THEN
    IF OLD.state <> 'draft' THEN
      RAISE EXCEPTION 'an issued invoice cannot be deleted'
        USING ERRCODE = 'check_violation', CONSTRAINT = 'invoice_guard';
    END IF;
    RETURN OLD;
  END IF;
  IF TG_OP = 'INSERT' THEN
    IF NEW.state <> 'draft' THEN
      RAISE EXCEPTION 'an invoice starts as a draft'
        USING ERRCODE = 'check_violation', CONSTRAINT = 'invoice_guard';
    END IF;
    RETURN NEW;
  END IF;
  IF OLD.state = 'draft' AND NEW.state = 'finalised' THEN
    SELECT sum(net_cents), sum(excise_cents), sum(vat_cents)
      INTO NEW.net_cents, NEW.excise_cents, NEW.vat_cents
      FROM invoice_line WHERE tenant_id = NEW.tenant_id AND invoice_id = NEW.id;
    IF NEW.net_cents IS NULL THEN
      RAISE EXCEPTION 'an invoice needs a line'
        USING ERRCODE = 'check_violation', CONSTRAINT = 'invoice_needs_a_line';
    END IF;
    NEW.number := take_number(NEW.series);
  ELSIF OLD.state = 'draft' THEN
    IF NEW.number IS NOT NULL OR NEW.state = 'void' THEN
      RAISE EXCEPTION 'a draft has no number and is deleted, not voided'
        USING ERRCODE = 'check_violation', CONSTRAINT = 'invoice_guard';
    END IF;
  ELSIF (NEW.number, NEW.series, NEW.subscriber_id, NEW.issued_at, NEW.due_on,
         NEW.net_cents, NEW.excise_cents, NEW.vat_cents)
        IS DISTINCT FROM
        (OLD.number, OLD.series, OLD.subscriber_id, OLD.issued_at, OLD.due_on,
         OLD.net_cents, OLD.excise_cents, OLD.vat_cents)
     OR (NEW.state <> OLD.state AND NOT (OLD.state = 'finalised' AND NEW.state = 'void')) THEN
    RAISE EXCEPTION 'an issued invoice is immutable'
      USING ERRCODE = 'check_violation', CONSTRAINT = 'invoice_guard';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER invoice_guard BEFORE INSERT OR UPDATE OR DELETE ON invoice
  FOR EACH ROW EXECUTE FUNCTION invoice_guard();
CREATE TRIGGER append_only_t BEFORE TRUNCATE ON invoice EXECUTE FUNCTION append_only();

CREATE FUNCTION invoice_line_guard() RETURNS trigger
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = kennet, pg_temp AS $$
DECLARE
  of_line invoice_line := CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
  has text;
BEGIN
  IF TG_OP = 'UPDATE'
     AND (OLD.tenant_id, OLD.invoice_id) <> (NEW.tenant_id, NEW.invoice_id) THEN
    RAISE EXCEPTION 'a line cannot move'
      USING ERRCODE = 'check_violation', CONSTRAINT = 'invoice_line_guard';
  END IF;
  -- Waits for one that finalises it now.
  SELECT state INTO has FROM invoice
   WHERE tenant_id = of_line.tenant_id AND id = of_line.invoice_id FOR SHARE;
  -- A draft that is deleted takes its lines along and is gone already.
  IF has <> 'draft' OR (has IS NULL AND TG_OP <> 'DELETE') THEN
    RAISE EXCEPTION 'lines of an issued invoice are immutable'
      USING ERRCODE = 'check_violation', CONSTRAINT = 'invoice_line_guard';
  END IF;
  RETURN of_line;
END $$;
CREATE TRIGGER invoice_line_guard BEFORE INSERT OR UPDATE OR DELETE ON invoice_line
  FOR EACH ROW EXECUTE FUNCTION invoice_line_guard();
CREATE TRIGGER append_only_t BEFORE TRUNCATE ON invoice_line EXECUTE FUNCTION append_only();

CREATE CONSTRAINT TRIGGER invoice_issue_booked AFTER UPDATE ON invoice
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
  WHEN (OLD.state = 'draft' AND NEW.state = 'finalised')
  EXECUTE FUNCTION must_be_booked('invoice.issue', 'invoice', 'total_cents');
CREATE CONSTRAINT TRIGGER invoice_void_booked AFTER UPDATE ON invoice
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
  WHEN (OLD.state = 'finalised' AND NEW.state = 'void')
  EXECUTE FUNCTION must_be_booked('invoice.void', 'invoice', 'total_cents');

SELECT protect('invoice');
SELECT protect('invoice_line');
GRANT SELECT, INSERT (tenant_id, id, subscriber_id, due_on, created_at),
  UPDATE (state, issued_at, due_on), DELETE ON invoice TO kennet_app;
GRANT SELECT, INSERT, DELETE ON invoice_line TO kennet_app;

-- Takes back a part of an issued invoice, or all of it.
CREATE TABLE credit_note (
  tenant_id    uuid NOT NULL,
  id           uuid NOT NULL,
  invoice_id   uuid NOT NULL,
  number       bigint NOT NULL,
  net_cents    bigint NOT NULL CHECK (net_cents >= 0),
  excise_cents bigint NOT NULL CHECK (excise_cents >= 0),
  vat_cents    bigint NOT NULL CHECK (vat_cents >= 0),
  total_cents  bigint NOT NULL GENERATED ALWAYS AS (net_cents + excise_cents + vat_cents) STORED
               CHECK (total_cents > 0),
  reason       text NOT NULL CHECK (length(reason) BETWEEN 1 AND 200),
  at           timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, id),
  CONSTRAINT credit_note_number UNIQUE (tenant_id, number),
  FOREIGN KEY (tenant_id, invoice_id) REFERENCES invoice
);
CREATE INDEX credit_note_invoice ON credit_note (tenant_id, invoice_id);
CREATE FUNCTION credit_note_apply() RETURNS trigger
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = kennet, pg_temp AS $$
BEGIN
  UPDATE invoice
     SET credited_cents = credited_cents + NEW.net_cents + NEW.excise_cents + NEW.vat_cents
   WHERE tenant_id = NEW.tenant_id AND id = NEW.invoice_id AND state = 'finalised';
  IF NOT FOUND THEN
    RAISE EXCEPTION 'only an issued invoice is credited'
      USING ERRCODE = 'check_violation', CONSTRAINT = 'credit_note_apply';
  END IF;
  NEW.number := take_number('CRN');
  RETURN NEW;
END $$;
CREATE TRIGGER credit_note_apply BEFORE INSERT ON credit_note
  FOR EACH ROW EXECUTE FUNCTION credit_note_apply();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON credit_note
  FOR EACH ROW EXECUTE FUNCTION append_only();
CREATE TRIGGER append_only_t BEFORE TRUNCATE ON credit_note EXECUTE FUNCTION append_only();
CREATE CONSTRAINT TRIGGER credit_note_booked AFTER INSERT ON credit_note
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
  EXECUTE FUNCTION must_be_booked('invoice.credit', 'credit_note', 'total_cents');
SELECT protect('credit_note');
GRANT SELECT, INSERT (tenant_id, id, invoice_id, net_cents, excise_cents, vat_cents, reason, at)
  ON credit_note TO kennet_app;
