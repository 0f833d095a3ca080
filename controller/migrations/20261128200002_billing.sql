-- The billing life of a subscription: terms, renewal, dunning, revenue that is earned day by day,
-- months that are closed.

-- What happens when somebody does not pay, and when. One row by tenant; none: the defaults.
CREATE TABLE billing_policy (
  tenant_id     uuid PRIMARY KEY REFERENCES tenant,
  -- Days before the end, or before the due date, when who has to pay is reminded.
  remind_days   smallint[] NOT NULL DEFAULT '{7,3,1,0}'
                CHECK (array_length(remind_days, 1) <= 8 AND 0 <= ALL (remind_days)
                       AND 60 >= ALL (remind_days)),
  -- After the plan's grace: days in the walled garden, where paying is possible.
  garden_days   smallint NOT NULL DEFAULT 7 CHECK (garden_days BETWEEN 0 AND 90),
  -- After that it is off, and so many days after the end it is over.
  expire_days   smallint NOT NULL DEFAULT 90 CHECK (expire_days BETWEEN 1 AND 730),
  -- From the day of an invoice to the day on which it is due.
  due_days      smallint NOT NULL DEFAULT 14 CHECK (due_days BETWEEN 0 AND 90),
  -- How far a promise to pay may reach.
  promise_days  smallint NOT NULL DEFAULT 7 CHECK (promise_days BETWEEN 0 AND 60),
  -- Who pays after a suspension is served from now; or, with this, from when it was suspended.
  back_date     boolean NOT NULL DEFAULT false,
  -- How many terms may be paid ahead.
  stack_max     smallint NOT NULL DEFAULT 3 CHECK (stack_max BETWEEN 1 AND 24),
  -- Days after the last day of a voucher until what was paid for it is earned.
  breakage_days smallint NOT NULL DEFAULT 30 CHECK (breakage_days BETWEEN 0 AND 730),
  version       bigint NOT NULL DEFAULT 1
);
SELECT protect('billing_policy');
GRANT SELECT, INSERT, UPDATE ON billing_policy TO kennet_app;

-- Until when the books of a tenant are done.
CREATE TABLE books (
  tenant_id        uuid PRIMARY KEY REFERENCES tenant,
  -- What was sold for a time is earned until here.
  recognised_until timestamptz NOT NULL,
  -- Nothing is posted before this.
  closed_until     timestamptz
);
SELECT protect('books');
GRANT SELECT, INSERT, UPDATE (recognised_until, closed_until) ON books TO kennet_app;

ALTER TABLE subscription
  -- What is paid for, or what the next invoice will be about: [term_start, term_end).
  ADD COLUMN term_start           timestamptz,
  ADD COLUMN term_end             timestamptz,
  -- Terms since the anchor.
  ADD COLUMN term_no              int NOT NULL DEFAULT 0 CHECK (term_no >= 0),
  -- When billing looks at it next; none: when something happens to it.
  ADD COLUMN due_at               timestamptz,
  -- From the end of the term on.
  ADD COLUMN next_plan_version_id uuid,
  -- Suspended because it is not paid: since when, and if paying is still possible on-line.
  ADD COLUMN lapsed_at            timestamptz,
  ADD COLUMN walled               boolean NOT NULL DEFAULT false,
  ADD COLUMN promise_until        timestamptz,
  -- The end of the term that the promise was made for: one for each.
  ADD COLUMN promised_term        timestamptz,
  -- When money came in last.
  ADD COLUMN money_at             timestamptz,
  ADD FOREIGN KEY (tenant_id, next_plan_version_id) REFERENCES plan_version,
  ADD CONSTRAINT subscription_term CHECK ((term_start IS NULL) = (term_end IS NULL)
                                          AND term_start < term_end),
  ADD CONSTRAINT subscription_walled CHECK (NOT walled OR state = 'suspended');
CREATE INDEX subscription_due ON subscription (tenant_id, due_at, id) WHERE due_at IS NOT NULL;
GRANT UPDATE (term_start, term_end, term_no, due_at, next_plan_version_id, lapsed_at, walled,
  promise_until, promised_term, money_at) ON subscription TO kennet_app;

-- What edges should have depends on the wall, too.
CREATE OR REPLACE FUNCTION subscription_guard() RETURNS trigger
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = kennet, pg_temp AS $$
BEGIN
  IF NEW.state IS DISTINCT FROM OLD.state THEN
    IF NOT EXISTS (SELECT FROM subscription_transition
                    WHERE from_state = OLD.state AND to_state = NEW.state) THEN
      RAISE EXCEPTION 'subscription % -> % not allowed', OLD.state, NEW.state
        USING ERRCODE = 'check_violation', CONSTRAINT = 'subscription_transition';
    END IF;
  END IF;
  IF (NEW.state, NEW.plan_version_id, NEW.walled)
     IS DISTINCT FROM (OLD.state, OLD.plan_version_id, OLD.walled) THEN
    NEW.desired_rev := OLD.desired_rev + 1;
    INSERT INTO subscription_event (tenant_id, subscription_id, seq, from_state, to_state, reason)
      VALUES (NEW.tenant_id, NEW.id, NEW.desired_rev, OLD.state, NEW.state,
              coalesce(current_setting('kennet.reason', true), ''));
  END IF;
  RETURN NEW;
END $$;

-- Money came in for somebody: billing looks at what it may pay for. A queue without a key, so that
-- who pays waits for nobody.
CREATE TABLE money_came (
  tenant_id     uuid NOT NULL REFERENCES tenant,
  id            bigint GENERATED ALWAYS AS IDENTITY,
  subscriber_id uuid NOT NULL,
  at            timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, id)
);
SELECT protect('money_came');
CREATE POLICY every_money_came ON money_came FOR SELECT TO kennet_jobs USING (true);
GRANT SELECT, DELETE ON money_came TO kennet_app;
GRANT SELECT ON money_came TO kennet_jobs;

CREATE OR REPLACE FUNCTION ledger_posting_apply() RETURNS trigger
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = kennet, pg_temp AS $$
DECLARE
  moved text;
BEGIN
  UPDATE ledger_account
     SET balance_cents = balance_cents + CASE WHEN kind IN ('asset', 'expense')
                                              THEN NEW.amount_cents ELSE -NEW.amount_cents END
   WHERE tenant_id = NEW.tenant_id AND id = NEW.account_id AND track
   RETURNING code INTO moved;
  IF NEW.amount_cents < 0 AND moved LIKE 'wallet:%' THEN
    INSERT INTO money_came (tenant_id, subscriber_id, at)
      SELECT NEW.tenant_id, split_part(moved, ':', 2)::uuid, at
        FROM ledger_entry WHERE tenant_id = NEW.tenant_id AND id = NEW.entry_id;
  END IF;
  RETURN NULL;
END $$;

-- An invoice that was paid from money which came in long ago.
CREATE FUNCTION invoice_was_paid() RETURNS trigger
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = kennet, pg_temp AS $$
BEGIN
  INSERT INTO money_came (tenant_id, subscriber_id, at)
    VALUES (NEW.tenant_id, NEW.subscriber_id, now());
  RETURN NULL;
END $$;

-- An invoice that was paid from the wallet in the moment in which it was issued. The id is the
-- invoice's.
CREATE TABLE invoice_from_wallet (
  tenant_id uuid NOT NULL,
  id        uuid NOT NULL,
  cents     bigint NOT NULL CHECK (cents > 0),
  at        timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, id),
  FOREIGN KEY (tenant_id, id) REFERENCES invoice
);
CREATE FUNCTION invoice_from_wallet_apply() RETURNS trigger
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = kennet, pg_temp AS $$
BEGIN
  UPDATE invoice SET paid_cents = paid_cents + NEW.cents
   WHERE tenant_id = NEW.tenant_id AND id = NEW.id AND state = 'finalised';
  IF NOT FOUND THEN
    RAISE EXCEPTION 'only an issued invoice is paid'
      USING ERRCODE = 'check_violation', CONSTRAINT = 'invoice_from_wallet_apply';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER invoice_from_wallet_apply BEFORE INSERT ON invoice_from_wallet
  FOR EACH ROW EXECUTE FUNCTION invoice_from_wallet_apply();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON invoice_from_wallet
  FOR EACH ROW EXECUTE FUNCTION append_only();
CREATE TRIGGER append_only_t BEFORE TRUNCATE ON invoice_from_wallet
  EXECUTE FUNCTION append_only();
-- The invoice's own entry must have taken it out of the wallet of who owes it.
CREATE FUNCTION invoice_from_wallet_booked() RETURNS trigger
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = kennet, pg_temp AS $$
BEGIN
  IF NOT EXISTS (
    SELECT FROM invoice i
      JOIN ledger_entry e ON e.tenant_id = i.tenant_id AND e.kind = 'invoice.issue'
                         AND e.source_kind = 'invoice' AND e.source_id = i.id
      JOIN ledger_account a ON a.tenant_id = i.tenant_id
                           AND a.code = 'wallet:' || i.subscriber_id
      JOIN ledger_posting p ON p.tenant_id = e.tenant_id AND p.entry_id = e.id
                           AND p.account_id = a.id
     WHERE i.tenant_id = NEW.tenant_id AND i.id = NEW.id AND p.amount_cents = NEW.cents
  ) THEN
    RAISE EXCEPTION 'invoice %: % cents were not taken out of the wallet', NEW.id, NEW.cents
      USING ERRCODE = 'check_violation', CONSTRAINT = 'invoice_from_wallet_booked';
  END IF;
  RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER invoice_from_wallet_booked AFTER INSERT ON invoice_from_wallet
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION invoice_from_wallet_booked();
SELECT protect('invoice_from_wallet');
GRANT SELECT, INSERT ON invoice_from_wallet TO kennet_app;

CREATE TRIGGER invoice_was_paid AFTER UPDATE OF paid_cents, credited_cents ON invoice
  FOR EACH ROW
  WHEN (NEW.issued_at IS NOT NULL
        AND NEW.paid_cents + NEW.credited_cents = NEW.net_cents + NEW.excise_cents + NEW.vat_cents
        AND NEW.due_on > (NEW.issued_at AT TIME ZONE 'UTC')::date)
  EXECUTE FUNCTION invoice_was_paid();

-- What one term cost, so that a part of it can be credited. A term gets shorter when another plan
-- begins in it, and longer when it makes up for an outage.
ALTER TABLE subscription_period
  ADD COLUMN net_cents bigint NOT NULL DEFAULT 0 CHECK (net_cents >= 0),
  -- Given, not sold: staff activated it before it was paid.
  ADD COLUMN given     boolean NOT NULL DEFAULT false,
  -- What of its usage is on an invoice.
  ADD COLUMN rated_bytes bigint NOT NULL DEFAULT 0 CHECK (rated_bytes >= 0);
CREATE FUNCTION subscription_period_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF lower(NEW.during) <> lower(OLD.during)
     OR (NEW.subscription_id, NEW.plan_version_id, NEW.given)
        IS DISTINCT FROM (OLD.subscription_id, OLD.plan_version_id, OLD.given)
     OR NEW.rated_bytes < OLD.rated_bytes THEN
    RAISE EXCEPTION 'what a period was does not change'
      USING ERRCODE = 'check_violation', CONSTRAINT = 'subscription_period_guard';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER subscription_period_guard BEFORE UPDATE ON subscription_period
  FOR EACH ROW EXECUTE FUNCTION subscription_period_guard();
GRANT UPDATE (during, net_cents, rated_bytes) ON subscription_period TO kennet_app;

-- What was sold for a time is earned evenly over it. `earning` begins where the books are: who
-- books late earns it over what is left.
CREATE TABLE deferral (
  tenant_id uuid NOT NULL REFERENCES tenant,
  -- Of the period or the entitlement that was sold.
  id        uuid NOT NULL,
  cents     bigint NOT NULL,
  earning   tstzrange NOT NULL
            CHECK (NOT isempty(earning) AND lower_inc(earning) AND NOT upper_inc(earning)),
  PRIMARY KEY (tenant_id, id)
);
CREATE INDEX deferral_until ON deferral (tenant_id, upper(earning));
SELECT protect('deferral');
GRANT SELECT, INSERT, UPDATE (cents, earning) ON deferral TO kennet_app;

-- How much of `cents` is earned at that moment, rounded half away from zero.
CREATE FUNCTION earned(p_cents bigint, p_from timestamptz, p_to timestamptz, p_at timestamptz)
  RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT CASE WHEN p_at >= p_to THEN p_cents
              WHEN p_at <= p_from THEN 0
              ELSE round(p_cents * extract(epoch FROM p_at - p_from)
                         / extract(epoch FROM p_to - p_from))::bigint END
$$;

CREATE TABLE recognition (
  tenant_id uuid NOT NULL REFERENCES tenant,
  id        uuid NOT NULL,
  during    tstzrange NOT NULL CHECK (NOT isempty(during)),
  cents     bigint NOT NULL CHECK (cents >= 0),
  PRIMARY KEY (tenant_id, id),
  CONSTRAINT recognition_once EXCLUDE USING gist (tenant_id WITH =, during WITH &&)
);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON recognition
  FOR EACH ROW EXECUTE FUNCTION append_only();
CREATE CONSTRAINT TRIGGER recognition_booked AFTER INSERT ON recognition
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
  EXECUTE FUNCTION must_be_booked('revenue.earn', 'recognition', 'cents');
SELECT protect('recognition');
GRANT SELECT, INSERT ON recognition TO kennet_app;

-- A month that is closed, with the trial balance as it was.
CREATE TABLE closing (
  tenant_id    uuid NOT NULL REFERENCES tenant,
  month        date NOT NULL CHECK (extract(day FROM month) = 1),
  until        timestamptz NOT NULL,
  entries      bigint NOT NULL,
  debit_cents  bigint NOT NULL,
  credit_cents bigint NOT NULL CHECK (credit_cents = debit_cents),
  closed_at    timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, month)
);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON closing
  FOR EACH ROW EXECUTE FUNCTION append_only();
SELECT protect('closing');
GRANT SELECT, INSERT ON closing TO kennet_app;

-- Nothing is posted into a month that is closed. Who posts for long ago waits for one that closes.
CREATE FUNCTION ledger_entry_open() RETURNS trigger
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = kennet, pg_temp AS $$
DECLARE
  closed timestamptz;
BEGIN
  IF NEW.at < now() - interval '1 day' THEN
    SELECT closed_until INTO closed FROM books WHERE tenant_id = NEW.tenant_id FOR SHARE;
  ELSE
    SELECT closed_until INTO closed FROM books WHERE tenant_id = NEW.tenant_id;
  END IF;
  IF NEW.at < closed THEN
    RAISE EXCEPTION 'the books are closed until %', closed
      USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_entry_open';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER ledger_entry_open BEFORE INSERT ON ledger_entry
  FOR EACH ROW EXECUTE FUNCTION ledger_entry_open();

-- Who was told, or is to be told, what about a subscription. Once for each term and step.
CREATE TABLE subscription_notice (
  tenant_id       uuid NOT NULL,
  subscription_id uuid NOT NULL,
  -- The end of the term, or the due date, that it is about.
  about           timestamptz NOT NULL,
  -- `remind:7`: so many days before; `renewed`, `grace`, `walled`, `suspended`, `expired`.
  step            text NOT NULL CHECK (step ~ '^[a-z]+(:[0-9]+)?$'),
  at              timestamptz NOT NULL,
  -- What is to be paid.
  cents           bigint NOT NULL DEFAULT 0 CHECK (cents >= 0),
  PRIMARY KEY (tenant_id, subscription_id, about, step),
  FOREIGN KEY (tenant_id, subscription_id) REFERENCES subscription
);
SELECT protect('subscription_notice');
GRANT SELECT, INSERT ON subscription_notice TO kennet_app;
