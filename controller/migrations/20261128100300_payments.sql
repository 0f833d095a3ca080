-- Money that comes in: one receipt is credited once, in one tenant, with one amount.

-- What we asked somebody to pay; its id is in the address that the provider calls back.
CREATE TABLE payment_intent (
  tenant_id            uuid NOT NULL REFERENCES tenant,
  id                   uuid NOT NULL,
  subscriber_id        uuid NOT NULL,
  provider             text NOT NULL,
  shortcode            text NOT NULL,
  amount_cents         bigint NOT NULL CHECK (amount_cents > 0),
  state                text NOT NULL DEFAULT 'created' CHECK (state IN
                       ('created', 'submitted', 'unknown', 'succeeded', 'failed', 'expired')),
  checkout_id          text,
  callback_secret_hash bytea NOT NULL CHECK (octet_length(callback_secret_hash) = 32),
  created_at           timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, id),
  FOREIGN KEY (tenant_id, subscriber_id) REFERENCES subscriber,
  -- M-Pesa moves whole shillings.
  CHECK (provider <> 'mpesa' OR amount_cents % 100 = 0)
);
CREATE UNIQUE INDEX payment_intent_checkout ON payment_intent (provider, checkout_id)
  WHERE checkout_id IS NOT NULL;
SELECT protect('payment_intent');
GRANT SELECT, INSERT, UPDATE (state, checkout_id) ON payment_intent TO kennet_app;

CREATE TABLE payment (
  tenant_id       uuid NOT NULL REFERENCES tenant,
  id              uuid NOT NULL,
  -- `cash` and `bank` are entered by staff, with receipts of the tenant's own.
  provider        text NOT NULL CHECK (provider ~ '^[a-z]{2,20}$'),
  receipt         text NOT NULL CHECK (length(receipt) BETWEEN 1 AND 64),
  -- Where it came in: a paybill, a till, an account.
  shortcode       text NOT NULL CHECK (shortcode ~ '^[A-Za-z0-9._-]{1,40}$'),
  subscriber_id   uuid,
  intent_id       uuid,
  amount_cents    bigint NOT NULL CHECK (amount_cents > 0),
  paid_at         timestamptz NOT NULL,
  allocated_cents bigint NOT NULL DEFAULT 0 CHECK (allocated_cents >= 0),
  state           text NOT NULL CHECK (state IN ('matched', 'unmatched')),
  created_at      timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, id),
  CONSTRAINT payment_receipt UNIQUE (tenant_id, provider, receipt),
  FOREIGN KEY (tenant_id, subscriber_id) REFERENCES subscriber,
  FOREIGN KEY (tenant_id, intent_id) REFERENCES payment_intent,
  CONSTRAINT payment_not_overspent CHECK (allocated_cents <= amount_cents),
  CHECK ((state = 'unmatched') = (subscriber_id IS NULL)),
  CHECK (state = 'matched' OR allocated_cents = 0)
);
-- A provider's receipt is one payment everywhere.
CREATE UNIQUE INDEX payment_receipt_everywhere ON payment (provider, receipt)
  WHERE provider NOT IN ('cash', 'bank');
CREATE UNIQUE INDEX payment_per_intent ON payment (tenant_id, intent_id)
  WHERE intent_id IS NOT NULL;
CREATE INDEX payment_subscriber ON payment (tenant_id, subscriber_id, id)
  WHERE subscriber_id IS NOT NULL;

CREATE FUNCTION payment_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'DELETE' THEN
    RAISE EXCEPTION 'a payment stays'
      USING ERRCODE = 'check_violation', CONSTRAINT = 'payment_guard';
  END IF;
  IF (NEW.id, NEW.provider, NEW.receipt, NEW.shortcode, NEW.intent_id, NEW.amount_cents, NEW.paid_at)
     IS DISTINCT FROM
     (OLD.id, OLD.provider, OLD.receipt, OLD.shortcode, OLD.intent_id, OLD.amount_cents, OLD.paid_at)
     OR (OLD.subscriber_id IS NOT NULL AND NEW.subscriber_id IS DISTINCT FROM OLD.subscriber_id)
  THEN
    RAISE EXCEPTION 'what was paid, and by whom, does not change'
      USING ERRCODE = 'check_violation', CONSTRAINT = 'payment_guard';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER payment_guard BEFORE UPDATE OR DELETE ON payment
  FOR EACH ROW EXECUTE FUNCTION payment_guard();
CREATE TRIGGER append_only_t BEFORE TRUNCATE ON payment EXECUTE FUNCTION append_only();
CREATE CONSTRAINT TRIGGER payment_booked AFTER INSERT ON payment
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
  EXECUTE FUNCTION must_be_booked('payment.in', 'payment', 'amount_cents');
CREATE CONSTRAINT TRIGGER payment_match_booked AFTER UPDATE ON payment
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
  WHEN (OLD.state = 'unmatched' AND NEW.state = 'matched')
  EXECUTE FUNCTION must_be_booked('payment.match', 'payment', 'amount_cents');
SELECT protect('payment');
GRANT SELECT, INSERT (tenant_id, id, provider, receipt, shortcode, subscriber_id, intent_id,
  amount_cents, paid_at, state, created_at), UPDATE (subscriber_id, state) ON payment TO kennet_app;

CREATE TABLE payment_allocation (
  tenant_id  uuid NOT NULL,
  id         uuid NOT NULL,
  payment_id uuid NOT NULL,
  invoice_id uuid NOT NULL,
  cents      bigint NOT NULL CHECK (cents > 0),
  at         timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, id),
  FOREIGN KEY (tenant_id, payment_id) REFERENCES payment,
  FOREIGN KEY (tenant_id, invoice_id) REFERENCES invoice
);
CREATE INDEX payment_allocation_payment ON payment_allocation (tenant_id, payment_id);
CREATE INDEX payment_allocation_invoice ON payment_allocation (tenant_id, invoice_id);
CREATE FUNCTION payment_allocation_apply() RETURNS trigger
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = kennet, pg_temp AS $$
DECLARE
  payer uuid;
BEGIN
  UPDATE payment SET allocated_cents = allocated_cents + NEW.cents
   WHERE tenant_id = NEW.tenant_id AND id = NEW.payment_id AND state = 'matched'
   RETURNING subscriber_id INTO payer;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'the payment is not matched'
      USING ERRCODE = 'check_violation', CONSTRAINT = 'payment_allocation_apply';
  END IF;
  UPDATE invoice SET paid_cents = paid_cents + NEW.cents
   WHERE tenant_id = NEW.tenant_id AND id = NEW.invoice_id AND state = 'finalised'
     AND subscriber_id = payer;
  IF NOT FOUND THEN
    RAISE EXCEPTION 'the invoice is not issued, or not to who paid'
      USING ERRCODE = 'check_violation', CONSTRAINT = 'payment_allocation_apply';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER payment_allocation_apply BEFORE INSERT ON payment_allocation
  FOR EACH ROW EXECUTE FUNCTION payment_allocation_apply();
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON payment_allocation
  FOR EACH ROW EXECUTE FUNCTION append_only();
CREATE TRIGGER append_only_t BEFORE TRUNCATE ON payment_allocation EXECUTE FUNCTION append_only();
CREATE CONSTRAINT TRIGGER payment_allocation_booked AFTER INSERT ON payment_allocation
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
  EXECUTE FUNCTION must_be_booked('payment.allocate', 'payment_allocation', 'cents');
SELECT protect('payment_allocation');
GRANT SELECT, INSERT ON payment_allocation TO kennet_app;

-- The one door: callback, confirmation, query, statement and staff all end here. The first one
-- credits; the others are told what it made.
CREATE FUNCTION apply_payment(
  p_id uuid, p_entry uuid, p_provider text, p_receipt text, p_shortcode text, p_subscriber uuid,
  p_intent uuid, p_cents bigint, p_paid_at timestamptz, p_now timestamptz
) RETURNS TABLE (payment_id uuid, fresh boolean) LANGUAGE plpgsql AS $$
DECLARE
  t uuid := current_tenant();
  before payment;
BEGIN
  INSERT INTO payment (tenant_id, id, provider, receipt, shortcode, subscriber_id, intent_id,
                       amount_cents, paid_at, state, created_at)
    VALUES (t, p_id, p_provider, p_receipt, p_shortcode, p_subscriber, p_intent, p_cents, p_paid_at,
            CASE WHEN p_subscriber IS NULL THEN 'unmatched' ELSE 'matched' END, p_now)
    ON CONFLICT DO NOTHING;
  IF NOT FOUND THEN
    SELECT * INTO before FROM payment p
     WHERE p.tenant_id = t AND p.provider = p_provider AND p.receipt = p_receipt;
    IF before.id IS NULL THEN
      RAISE EXCEPTION 'receipt % is credited elsewhere', p_receipt
        USING ERRCODE = 'unique_violation', CONSTRAINT = 'payment_receipt_elsewhere';
    END IF;
    IF before.amount_cents <> p_cents THEN
      RAISE EXCEPTION 'receipt %: the amount differs: % and %', p_receipt, before.amount_cents, p_cents
        USING ERRCODE = 'check_violation', CONSTRAINT = 'payment_receipt_amount';
    END IF;
    RETURN QUERY SELECT before.id, false;
    RETURN;
  END IF;
  PERFORM post_entry(p_entry, 'payment.in', 'payment', p_id, p_now,
    ARRAY['cash:' || CASE WHEN p_provider = 'cash' THEN '' ELSE p_provider || ':' END || p_shortcode,
          CASE WHEN p_subscriber IS NULL THEN 'suspense:unmatched'
               ELSE 'wallet:' || p_subscriber END],
    ARRAY[p_cents, -p_cents]);
  IF p_intent IS NOT NULL THEN
    UPDATE payment_intent SET state = 'succeeded' WHERE tenant_id = t AND id = p_intent;
  END IF;
  RETURN QUERY SELECT p_id, true;
END $$;

-- What providers call back comes in before its tenant is known, in a role that can store it and do
-- nothing else.
DO $$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'kennet_callback') THEN
    BEGIN
      CREATE ROLE kennet_callback NOLOGIN NOBYPASSRLS;
    EXCEPTION WHEN duplicate_object OR unique_violation THEN
      NULL; -- Roles belong to the cluster: another database's migration was faster.
    END;
  END IF;
  IF NOT pg_has_role(current_user, 'kennet_callback', 'MEMBER') THEN
    GRANT kennet_callback TO CURRENT_USER;
  END IF;
END $$;
GRANT USAGE ON SCHEMA kennet TO kennet_callback;

-- A paybill of one tenant, or of many.
CREATE TABLE merchant_account (
  id                  uuid PRIMARY KEY,
  provider            text NOT NULL,
  shortcode           text NOT NULL,
  callback_token_hash bytea NOT NULL UNIQUE CHECK (octet_length(callback_token_hash) = 32),
  UNIQUE (provider, shortcode)
);
CREATE TABLE inbox_event (
  id          uuid PRIMARY KEY,
  merchant_id uuid NOT NULL REFERENCES merchant_account,
  channel     text NOT NULL,
  raw         bytea NOT NULL,
  headers     jsonb NOT NULL DEFAULT '{}',
  source_ip   inet,
  received_at timestamptz NOT NULL
);
GRANT SELECT (id, provider, shortcode, callback_token_hash) ON merchant_account TO kennet_callback;
GRANT INSERT ON inbox_event TO kennet_callback;
