-- Money that goes out to resellers, and what outages give back.

-- A closed statement. No sale is in two of them.
CREATE TABLE settlement (
  tenant_id        uuid NOT NULL,
  id               uuid NOT NULL,
  reseller_id      uuid NOT NULL,
  during           daterange NOT NULL CHECK (NOT isempty(during)),
  gross_cents      bigint NOT NULL,
  commission_cents bigint NOT NULL,
  net_cents        bigint NOT NULL CHECK (net_cents = gross_cents - commission_cents),
  created_at       timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, id),
  FOREIGN KEY (tenant_id, reseller_id) REFERENCES reseller,
  CONSTRAINT settlement_once EXCLUDE USING gist
    (tenant_id WITH =, reseller_id WITH =, during WITH &&)
);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON settlement
  FOR EACH ROW EXECUTE FUNCTION append_only();
SELECT protect('settlement');
SELECT protect_scope('settlement');
GRANT SELECT, INSERT ON settlement TO kennet_app;

-- Held, then paid or failed. Its id is what the provider is told, so that a retry cannot pay twice.
CREATE TABLE payout (
  tenant_id    uuid NOT NULL REFERENCES tenant,
  id           uuid NOT NULL,
  reseller_id  uuid NOT NULL,
  msisdn       text NOT NULL CHECK (msisdn ~ '^254[17][0-9]{8}$'),
  amount_cents bigint NOT NULL
               CHECK (amount_cents BETWEEN 1000 AND 25000000 AND amount_cents % 100 = 0),
  state        text NOT NULL DEFAULT 'held' CHECK (state IN
               ('held', 'approved', 'unknown', 'paid', 'failed')),
  requested_by text NOT NULL,
  approved_by  text,
  provider_txn text,
  version      bigint NOT NULL DEFAULT 1,
  created_at   timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, id),
  FOREIGN KEY (tenant_id, reseller_id) REFERENCES reseller,
  CONSTRAINT payout_two_people CHECK (approved_by IS NULL OR approved_by <> requested_by),
  CONSTRAINT payout_approved
    CHECK (state IN ('held', 'failed') OR approved_by IS NOT NULL),
  CHECK ((state = 'paid') = (provider_txn IS NOT NULL))
);
CREATE UNIQUE INDEX payout_provider_txn ON payout (provider_txn) WHERE provider_txn IS NOT NULL;
CREATE FUNCTION payout_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF NEW.state <> OLD.state AND (OLD.state, NEW.state) NOT IN (
      ('held', 'approved'), ('held', 'failed'), ('approved', 'unknown'), ('approved', 'paid'),
      ('approved', 'failed'), ('unknown', 'paid'), ('unknown', 'failed')) THEN
    RAISE EXCEPTION 'payout % -> % not allowed', OLD.state, NEW.state
      USING ERRCODE = 'check_violation', CONSTRAINT = 'payout_guard';
  END IF;
  IF (NEW.id, NEW.reseller_id, NEW.msisdn, NEW.amount_cents, NEW.requested_by)
     IS DISTINCT FROM (OLD.id, OLD.reseller_id, OLD.msisdn, OLD.amount_cents, OLD.requested_by)
     OR (OLD.approved_by IS NOT NULL AND NEW.approved_by IS DISTINCT FROM OLD.approved_by) THEN
    RAISE EXCEPTION 'what was asked for does not change'
      USING ERRCODE = 'check_violation', CONSTRAINT = 'payout_guard';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER payout_guard BEFORE UPDATE ON payout
  FOR EACH ROW EXECUTE FUNCTION payout_guard();
CREATE CONSTRAINT TRIGGER payout_hold_booked AFTER INSERT ON payout
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
  EXECUTE FUNCTION must_be_booked('payout.hold', 'payout', 'amount_cents');
-- Paid and failed are one kind of entry: it is one of them, never both.
CREATE CONSTRAINT TRIGGER payout_resolve_booked AFTER UPDATE ON payout
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
  WHEN (OLD.state NOT IN ('paid', 'failed') AND NEW.state IN ('paid', 'failed'))
  EXECUTE FUNCTION must_be_booked('payout.resolve', 'payout', 'amount_cents');
SELECT protect('payout');
SELECT protect_scope('payout');
GRANT SELECT, INSERT, UPDATE (state, approved_by, provider_txn, version) ON payout TO kennet_app;

-- When something was down, as it was measured.
CREATE TABLE outage (
  tenant_id     uuid NOT NULL REFERENCES tenant,
  id            uuid NOT NULL,
  scope_kind    text NOT NULL CHECK (scope_kind IN
                ('edge', 'nas', 'access_point', 'uplink', 'tenant')),
  scope_id      uuid NOT NULL,
  during        tstzrange NOT NULL CHECK (NOT isempty(during)),
  cause         text NOT NULL DEFAULT 'unknown',
  -- False: nobody is owed anything for it.
  attributable  boolean NOT NULL DEFAULT true,
  evidence_hash bytea NOT NULL CHECK (octet_length(evidence_hash) = 32),
  PRIMARY KEY (tenant_id, id),
  CONSTRAINT outage_once EXCLUDE USING gist
    (tenant_id WITH =, scope_kind WITH =, scope_id WITH =, during WITH &&)
);
SELECT protect('outage');
GRANT SELECT, INSERT ON outage TO kennet_app;

-- One lost minute is made good once, even if two outages cover it.
CREATE TABLE outage_credit (
  tenant_id       uuid NOT NULL,
  outage_id       uuid NOT NULL,
  subscription_id uuid NOT NULL,
  lost            tstzrange NOT NULL CHECK (NOT isempty(lost)),
  cents           bigint NOT NULL CHECK (cents >= 0),
  how             text NOT NULL CHECK (how IN
                  ('credit_note', 'wallet', 'extend_period', 'restore_quota')),
  at              timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, outage_id, subscription_id),
  FOREIGN KEY (tenant_id, outage_id) REFERENCES outage,
  FOREIGN KEY (tenant_id, subscription_id) REFERENCES subscription,
  CONSTRAINT outage_credit_once EXCLUDE USING gist
    (tenant_id WITH =, subscription_id WITH =, lost WITH &&)
);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON outage_credit
  FOR EACH ROW EXECUTE FUNCTION append_only();
SELECT protect('outage_credit');
GRANT SELECT, INSERT ON outage_credit TO kennet_app;
