-- Money that goes back to who paid: asked for by one person, agreed to by another, made by the
-- provider; and money that the provider took back on its own. And a day of ours beside the
-- provider's statement.

CREATE TABLE payment_refund (
  tenant_id    uuid NOT NULL REFERENCES tenant,
  id           uuid NOT NULL,
  payment_id   uuid NOT NULL,
  amount_cents bigint NOT NULL CHECK (amount_cents > 0),
  -- By us, or by the provider without us.
  kind         text NOT NULL CHECK (kind IN ('given_back', 'taken_back')),
  state        text NOT NULL DEFAULT 'held' CHECK (state IN
               ('held', 'approved', 'unknown', 'done', 'failed')),
  -- Of what was taken back: what was not in the wallet any more, and is owed now.
  owed_cents   bigint NOT NULL DEFAULT 0 CHECK (owed_cents BETWEEN 0 AND amount_cents),
  reason       text NOT NULL CHECK (length(reason) BETWEEN 1 AND 200),
  requested_by text NOT NULL,
  approved_by  text,
  provider_txn text CHECK (length(provider_txn) BETWEEN 1 AND 64),
  code         text,
  sent_at      timestamptz,
  next_at      timestamptz,
  version      bigint NOT NULL DEFAULT 1,
  created_at   timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, id),
  FOREIGN KEY (tenant_id, payment_id) REFERENCES payment,
  CONSTRAINT payment_refund_two_people CHECK (approved_by IS NULL OR approved_by <> requested_by),
  CONSTRAINT payment_refund_approved
    CHECK (kind = 'taken_back' OR state IN ('held', 'failed') OR approved_by IS NOT NULL),
  CHECK (kind = 'given_back' OR state = 'done'),
  CHECK (kind = 'taken_back' OR owed_cents = 0),
  CHECK (next_at IS NULL OR state IN ('approved', 'unknown'))
);
-- A payment goes back once.
CREATE UNIQUE INDEX payment_refund_once ON payment_refund (tenant_id, payment_id)
  WHERE state <> 'failed';
CREATE INDEX payment_refund_due ON payment_refund (next_at) WHERE next_at IS NOT NULL;
CREATE FUNCTION payment_refund_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'DELETE' THEN
    RAISE EXCEPTION 'a refund stays'
      USING ERRCODE = 'check_violation', CONSTRAINT = 'payment_refund_guard';
  END IF;
  IF NEW.state <> OLD.state AND (OLD.state, NEW.state) NOT IN (
      ('held', 'approved'), ('held', 'failed'), ('approved', 'unknown'), ('approved', 'done'),
      ('approved', 'failed'), ('unknown', 'done'), ('unknown', 'failed')) THEN
    RAISE EXCEPTION 'refund % -> % not allowed', OLD.state, NEW.state
      USING ERRCODE = 'check_violation', CONSTRAINT = 'payment_refund_guard';
  END IF;
  IF (NEW.id, NEW.payment_id, NEW.amount_cents, NEW.kind, NEW.owed_cents, NEW.requested_by)
     IS DISTINCT FROM
     (OLD.id, OLD.payment_id, OLD.amount_cents, OLD.kind, OLD.owed_cents, OLD.requested_by)
     OR (OLD.approved_by IS NOT NULL AND NEW.approved_by IS DISTINCT FROM OLD.approved_by) THEN
    RAISE EXCEPTION 'what was asked for does not change'
      USING ERRCODE = 'check_violation', CONSTRAINT = 'payment_refund_guard';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER payment_refund_guard BEFORE UPDATE OR DELETE ON payment_refund
  FOR EACH ROW EXECUTE FUNCTION payment_refund_guard();
CREATE TRIGGER append_only_t BEFORE TRUNCATE ON payment_refund EXECUTE FUNCTION append_only();
CREATE CONSTRAINT TRIGGER payment_refund_held AFTER INSERT ON payment_refund
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.kind = 'given_back')
  EXECUTE FUNCTION must_be_booked('refund.hold', 'payment_refund', 'amount_cents');
CREATE CONSTRAINT TRIGGER payment_refund_taken AFTER INSERT ON payment_refund
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.kind = 'taken_back')
  EXECUTE FUNCTION must_be_booked('refund.resolve', 'payment_refund', 'amount_cents');
-- Done and failed are one kind of entry: it is one of them, never both.
CREATE CONSTRAINT TRIGGER payment_refund_resolved AFTER UPDATE ON payment_refund
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
  WHEN (OLD.state NOT IN ('done', 'failed') AND NEW.state IN ('done', 'failed'))
  EXECUTE FUNCTION must_be_booked('refund.resolve', 'payment_refund', 'amount_cents');
SELECT protect('payment_refund');
CREATE POLICY every_refund ON payment_refund FOR SELECT TO kennet_inbox USING (true);
GRANT SELECT (tenant_id, id, next_at) ON payment_refund TO kennet_inbox;
GRANT SELECT, INSERT, UPDATE (state, approved_by, provider_txn, code, sent_at, next_at, version)
  ON payment_refund TO kennet_app;

-- Where the money of a payment is: with its owner, or with nobody known.
CREATE FUNCTION payment_home(p payment) RETURNS text LANGUAGE sql STABLE AS $$
  SELECT CASE WHEN p.subscriber_id IS NULL THEN 'suspense:unmatched'
              ELSE 'wallet:' || p.subscriber_id END $$;
CREATE FUNCTION payment_cash(p payment) RETURNS text LANGUAGE sql STABLE AS $$
  SELECT 'cash:' || CASE WHEN p.provider = 'cash' THEN '' ELSE p.provider || ':' END
         || p.shortcode $$;

-- Sets the money aside.
CREATE FUNCTION hold_refund(p_id uuid, p_entry uuid, p_payment uuid, p_now timestamptz)
  RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
  of payment;
BEGIN
  SELECT * INTO STRICT of FROM payment WHERE tenant_id = current_tenant() AND id = p_payment;
  RETURN post_entry(p_entry, 'refund.hold', 'payment_refund', p_id, p_now,
    ARRAY[payment_home(of), 'payout:clearing'], ARRAY[of.amount_cents, -of.amount_cents]);
END $$;

-- It went back, or it stays.
CREATE FUNCTION resolve_refund(p_id uuid, p_entry uuid, p_done boolean, p_now timestamptz)
  RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
  of payment;
BEGIN
  SELECT p.* INTO STRICT of FROM payment_refund r
    JOIN payment p ON p.tenant_id = r.tenant_id AND p.id = r.payment_id
   WHERE r.tenant_id = current_tenant() AND r.id = p_id;
  RETURN post_entry(p_entry, 'refund.resolve', 'payment_refund', p_id, p_now,
    ARRAY['payout:clearing', CASE WHEN p_done THEN payment_cash(of) ELSE payment_home(of) END],
    ARRAY[of.amount_cents, -of.amount_cents]);
END $$;

-- The provider has taken it back: what is not in the wallet any more is owed.
CREATE FUNCTION take_back(p_id uuid, p_entry uuid, p_payment uuid, p_owed bigint,
  p_now timestamptz) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
  of payment;
BEGIN
  SELECT * INTO STRICT of FROM payment WHERE tenant_id = current_tenant() AND id = p_payment;
  RETURN post_entry(p_entry, 'refund.resolve', 'payment_refund', p_id, p_now,
    ARRAY[payment_home(of), coalesce('ar:chargeback:' || of.subscriber_id, payment_home(of)),
          payment_cash(of)],
    ARRAY[of.amount_cents - p_owed, p_owed, -of.amount_cents]);
END $$;

CREATE INDEX payment_day ON payment (tenant_id, provider, shortcode, paid_at);
CREATE TABLE reconciliation (
  tenant_id    uuid NOT NULL REFERENCES tenant,
  id           uuid NOT NULL,
  merchant_id  uuid NOT NULL,
  day          date NOT NULL,
  source       text NOT NULL CHECK (source IN ('list', 'statement')),
  ours_count   bigint NOT NULL CHECK (ours_count >= 0),
  ours_cents   bigint NOT NULL,
  theirs_count bigint NOT NULL CHECK (theirs_count >= 0),
  theirs_cents bigint NOT NULL,
  made_by      text NOT NULL,
  created_at   timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, id),
  FOREIGN KEY (tenant_id, merchant_id) REFERENCES merchant
);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON reconciliation
  FOR EACH ROW EXECUTE FUNCTION append_only();
CREATE TRIGGER append_only_t BEFORE TRUNCATE ON reconciliation EXECUTE FUNCTION append_only();
SELECT protect('reconciliation');
GRANT SELECT, INSERT ON reconciliation TO kennet_app;

CREATE TABLE reconciliation_difference (
  tenant_id         uuid NOT NULL,
  reconciliation_id uuid NOT NULL,
  line_no           int NOT NULL CHECK (line_no > 0),
  kind              text NOT NULL CHECK (kind IN ('missing', 'extra', 'amount')),
  receipt           text NOT NULL,
  ours_cents        bigint,
  theirs_cents      bigint,
  -- It was credited because of this.
  recovered         boolean NOT NULL DEFAULT false,
  PRIMARY KEY (tenant_id, reconciliation_id, line_no),
  FOREIGN KEY (tenant_id, reconciliation_id) REFERENCES reconciliation
);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON reconciliation_difference
  FOR EACH ROW EXECUTE FUNCTION append_only();
CREATE TRIGGER append_only_t BEFORE TRUNCATE ON reconciliation_difference
  EXECUTE FUNCTION append_only();
SELECT protect('reconciliation_difference');
GRANT SELECT, INSERT ON reconciliation_difference TO kennet_app;
