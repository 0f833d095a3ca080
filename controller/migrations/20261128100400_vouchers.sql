-- Vouchers, and what they and purchases give.

CREATE TABLE voucher_batch (
  tenant_id       uuid NOT NULL REFERENCES tenant,
  id              uuid NOT NULL,
  plan_version_id uuid NOT NULL,
  -- Whose vouchers they are; none: the tenant's own.
  reseller_id     uuid,
  qty             int NOT NULL CHECK (qty BETWEEN 1 AND 10000),
  -- What one costs, and what of it is tax, as the rates were when it was issued.
  face_cents      bigint NOT NULL CHECK (face_cents >= 0),
  net_cents       bigint NOT NULL CHECK (net_cents >= 0),
  excise_cents    bigint NOT NULL CHECK (excise_cents >= 0),
  vat_cents       bigint NOT NULL CHECK (vat_cents >= 0),
  -- Until when one can be redeemed. One that was redeemed lives as long as its plan says.
  redeem_by       timestamptz,
  -- Which key its codes are hashed with.
  code_key_id     int NOT NULL,
  created_at      timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, id),
  FOREIGN KEY (tenant_id, plan_version_id) REFERENCES plan_version,
  FOREIGN KEY (tenant_id, reseller_id) REFERENCES reseller,
  CHECK (net_cents + excise_cents + vat_cents = face_cents)
);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON voucher_batch
  FOR EACH ROW EXECUTE FUNCTION append_only();
SELECT protect('voucher_batch');
SELECT protect_scope('voucher_batch');
GRANT SELECT, INSERT ON voucher_batch TO kennet_app;

-- Some vouchers of a batch changed hands for money.
CREATE TABLE voucher_sale (
  tenant_id        uuid NOT NULL,
  id               uuid NOT NULL,
  batch_id         uuid NOT NULL,
  reseller_id      uuid,
  qty              int NOT NULL CHECK (qty > 0),
  face_cents       bigint NOT NULL CHECK (face_cents >= 0),
  commission_cents bigint NOT NULL DEFAULT 0 CHECK (commission_cents BETWEEN 0 AND face_cents),
  at               timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, id),
  FOREIGN KEY (tenant_id, batch_id) REFERENCES voucher_batch,
  FOREIGN KEY (tenant_id, reseller_id) REFERENCES reseller,
  CHECK (commission_cents = 0 OR reseller_id IS NOT NULL)
);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON voucher_sale
  FOR EACH ROW EXECUTE FUNCTION append_only();
CREATE CONSTRAINT TRIGGER voucher_sale_booked AFTER INSERT ON voucher_sale
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
  EXECUTE FUNCTION must_be_booked('voucher.sale', 'voucher_sale', 'face_cents');
SELECT protect('voucher_sale');
SELECT protect_scope('voucher_sale');
GRANT SELECT, INSERT ON voucher_sale TO kennet_app;

-- The code itself is nowhere: a stolen database opens no voucher.
CREATE TABLE voucher (
  tenant_id     uuid NOT NULL,
  id            uuid NOT NULL,
  batch_id      uuid NOT NULL,
  serial        int NOT NULL CHECK (serial > 0),
  reseller_id   uuid,
  code_hash     bytea NOT NULL CHECK (octet_length(code_hash) = 32),
  net_cents     bigint NOT NULL CHECK (net_cents >= 0),
  state         text NOT NULL DEFAULT 'generated' CHECK (state IN
                ('generated', 'sold', 'active', 'exhausted', 'expired', 'void')),
  sale_id       uuid,
  redeemed_at   timestamptz,
  subscriber_id uuid,
  PRIMARY KEY (tenant_id, id),
  CONSTRAINT voucher_code UNIQUE (tenant_id, code_hash),
  CONSTRAINT voucher_serial UNIQUE (tenant_id, batch_id, serial),
  FOREIGN KEY (tenant_id, batch_id) REFERENCES voucher_batch,
  FOREIGN KEY (tenant_id, sale_id) REFERENCES voucher_sale,
  FOREIGN KEY (tenant_id, subscriber_id) REFERENCES subscriber,
  CHECK ((redeemed_at IS NULL) = (subscriber_id IS NULL)),
  CHECK (state NOT IN ('active', 'exhausted') OR redeemed_at IS NOT NULL),
  CHECK (state NOT IN ('sold', 'active', 'exhausted') OR sale_id IS NOT NULL),
  CHECK (state <> 'generated' OR (sale_id IS NULL AND redeemed_at IS NULL))
) WITH (fillfactor = 80);
CREATE FUNCTION voucher_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'INSERT' THEN
    IF NEW.state <> 'generated' THEN
      RAISE EXCEPTION 'a voucher starts as generated'
        USING ERRCODE = 'check_violation', CONSTRAINT = 'voucher_guard';
    END IF;
    RETURN NEW;
  END IF;
  IF NEW.state <> OLD.state AND (OLD.state, NEW.state) NOT IN (
      ('generated', 'sold'), ('generated', 'void'), ('generated', 'expired'),
      ('sold', 'active'), ('sold', 'void'), ('sold', 'expired'),
      ('active', 'exhausted'), ('active', 'expired'), ('active', 'void')) THEN
    RAISE EXCEPTION 'voucher % -> % not allowed', OLD.state, NEW.state
      USING ERRCODE = 'check_violation', CONSTRAINT = 'voucher_guard';
  END IF;
  IF (NEW.id, NEW.code_hash, NEW.batch_id, NEW.serial, NEW.net_cents, NEW.reseller_id)
     IS DISTINCT FROM
     (OLD.id, OLD.code_hash, OLD.batch_id, OLD.serial, OLD.net_cents, OLD.reseller_id)
     OR (OLD.sale_id IS NOT NULL AND NEW.sale_id IS DISTINCT FROM OLD.sale_id)
     OR (OLD.redeemed_at IS NOT NULL AND
         (NEW.redeemed_at, NEW.subscriber_id) IS DISTINCT FROM (OLD.redeemed_at, OLD.subscriber_id))
  THEN
    RAISE EXCEPTION 'what a voucher is does not change'
      USING ERRCODE = 'check_violation', CONSTRAINT = 'voucher_guard';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER voucher_guard BEFORE INSERT OR UPDATE ON voucher
  FOR EACH ROW EXECUTE FUNCTION voucher_guard();
-- Money that was taken for it becomes revenue when it is used, or when it no longer can be.
CREATE CONSTRAINT TRIGGER voucher_redeem_booked AFTER UPDATE ON voucher
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
  WHEN (OLD.state = 'sold' AND NEW.state = 'active')
  EXECUTE FUNCTION must_be_booked('voucher.redeem', 'voucher', 'net_cents');
CREATE CONSTRAINT TRIGGER voucher_breakage_booked AFTER UPDATE ON voucher
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
  WHEN (OLD.state = 'sold' AND NEW.state IN ('expired', 'void'))
  EXECUTE FUNCTION must_be_booked('voucher.breakage', 'voucher', 'net_cents');
SELECT protect('voucher');
SELECT protect_scope('voucher');
GRANT SELECT, INSERT (tenant_id, id, batch_id, serial, reseller_id, code_hash, net_cents),
  UPDATE (state, sale_id, redeemed_at, subscriber_id) ON voucher TO kennet_app;

-- Bytes, time and a term that somebody has been given, once by what gave it.
CREATE TABLE entitlement (
  tenant_id       uuid NOT NULL REFERENCES tenant,
  id              uuid NOT NULL,
  subscriber_id   uuid NOT NULL,
  source_kind     text NOT NULL CHECK (source_kind IN ('voucher', 'period', 'topup', 'goodwill')),
  source_id       uuid NOT NULL,
  plan_version_id uuid NOT NULL,
  valid           tstzrange NOT NULL
                  CHECK (NOT isempty(valid) AND lower_inc(valid) AND NOT upper_inc(valid)),
  -- None: not limited.
  bytes_granted   bigint CHECK (bytes_granted > 0),
  bytes_consumed  bigint NOT NULL DEFAULT 0 CHECK (bytes_consumed >= 0),
  bytes_leased    bigint NOT NULL DEFAULT 0 CHECK (bytes_leased >= 0),
  seconds_granted bigint CHECK (seconds_granted > 0),
  PRIMARY KEY (tenant_id, id),
  CONSTRAINT entitlement_once UNIQUE (tenant_id, source_kind, source_id),
  FOREIGN KEY (tenant_id, subscriber_id) REFERENCES subscriber,
  FOREIGN KEY (tenant_id, plan_version_id) REFERENCES plan_version,
  -- The quota cannot be overspent, whoever asks first.
  CONSTRAINT entitlement_not_overspent
    CHECK (bytes_granted IS NULL OR bytes_consumed + bytes_leased <= bytes_granted)
) WITH (fillfactor = 80);
CREATE INDEX entitlement_subscriber ON entitlement (tenant_id, subscriber_id, id);
SELECT protect('entitlement');
GRANT SELECT, INSERT (tenant_id, id, subscriber_id, source_kind, source_id, plan_version_id, valid,
  bytes_granted, seconds_granted) ON entitlement TO kennet_app;
GRANT SELECT ON entitlement TO kennet_ingest;

-- A part of a quota that one edge may spend on its own.
CREATE TABLE quota_lease (
  tenant_id      uuid NOT NULL,
  id             uuid NOT NULL,
  entitlement_id uuid NOT NULL,
  edge_id        uuid NOT NULL,
  -- Counted by the edge: the same question is the same lease.
  fence          bigint NOT NULL,
  bytes          bigint NOT NULL CHECK (bytes > 0),
  used           bigint NOT NULL DEFAULT 0 CHECK (used >= 0),
  state          text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'settled')),
  granted_at     timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, id),
  CONSTRAINT quota_lease_once UNIQUE (tenant_id, entitlement_id, edge_id, fence),
  FOREIGN KEY (tenant_id, entitlement_id) REFERENCES entitlement,
  FOREIGN KEY (tenant_id, edge_id) REFERENCES edge,
  CONSTRAINT quota_lease_not_overspent CHECK (used <= bytes)
);
SELECT protect('quota_lease');
GRANT SELECT ON quota_lease TO kennet_app, kennet_ingest;

-- At most `p_want` bytes of what is left; no row: nothing is.
CREATE FUNCTION lease_quota(
  p_id uuid, p_entitlement uuid, p_edge uuid, p_fence bigint, p_want bigint, p_now timestamptz
) RETURNS TABLE (lease_id uuid, bytes bigint)
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = kennet, pg_temp AS $$
DECLARE
  t uuid := current_tenant();
  e entitlement;
  granted bigint;
BEGIN
  SELECT * INTO e FROM entitlement x WHERE x.tenant_id = t AND x.id = p_entitlement FOR UPDATE;
  RETURN QUERY SELECT l.id, l.bytes FROM quota_lease l
    WHERE l.tenant_id = t AND l.entitlement_id = p_entitlement AND l.edge_id = p_edge
      AND l.fence = p_fence;
  IF FOUND OR e.id IS NULL OR NOT e.valid @> p_now THEN
    RETURN;
  END IF;
  granted := least(p_want, e.bytes_granted - e.bytes_consumed - e.bytes_leased);
  IF granted IS NULL OR granted <= 0 THEN
    RETURN;
  END IF;
  UPDATE entitlement x SET bytes_leased = x.bytes_leased + granted
   WHERE x.tenant_id = t AND x.id = p_entitlement;
  INSERT INTO quota_lease (tenant_id, id, entitlement_id, edge_id, fence, bytes, granted_at)
    VALUES (t, p_id, p_entitlement, p_edge, p_fence, granted, p_now);
  RETURN QUERY SELECT p_id, granted;
END $$;
-- Gives back what was not used. A second time changes nothing.
CREATE FUNCTION settle_lease(p_lease uuid, p_used bigint) RETURNS boolean
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = kennet, pg_temp AS $$
DECLARE
  t uuid := current_tenant();
  l quota_lease;
BEGIN
  UPDATE quota_lease SET used = p_used, state = 'settled'
   WHERE tenant_id = t AND id = p_lease AND state = 'open' RETURNING * INTO l;
  IF l.id IS NULL THEN
    RETURN false;
  END IF;
  UPDATE entitlement
     SET bytes_leased = bytes_leased - l.bytes, bytes_consumed = bytes_consumed + p_used
   WHERE tenant_id = t AND id = l.entitlement_id;
  RETURN true;
END $$;
REVOKE ALL ON FUNCTION lease_quota(uuid, uuid, uuid, bigint, bigint, timestamptz) FROM PUBLIC;
REVOKE ALL ON FUNCTION settle_lease(uuid, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION lease_quota(uuid, uuid, uuid, bigint, bigint, timestamptz),
  settle_lease(uuid, bigint) TO kennet_ingest;

-- One compare-and-set is the gate: who comes second finds another state. Says `redeemed`, or the
-- state that was in the way (`sold`: its date is over), or nothing for a code that is not there.
CREATE FUNCTION redeem_voucher(
  p_code_hash bytea, p_subscriber uuid, p_entitlement uuid, p_entry uuid, p_until timestamptz,
  p_now timestamptz
) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
  t uuid := current_tenant();
  v voucher;
  p plan_version;
  outcome text;
BEGIN
  UPDATE voucher x SET state = 'active', redeemed_at = p_now, subscriber_id = p_subscriber
    FROM voucher_batch b
   WHERE x.tenant_id = t AND x.code_hash = p_code_hash AND x.state = 'sold'
     AND b.tenant_id = t AND b.id = x.batch_id AND (b.redeem_by IS NULL OR b.redeem_by > p_now)
   RETURNING x.* INTO v;
  IF v.id IS NULL THEN
    SELECT x.state INTO outcome FROM voucher x WHERE x.tenant_id = t AND x.code_hash = p_code_hash;
    RETURN outcome;
  END IF;
  SELECT pv.* INTO STRICT p FROM plan_version pv
    JOIN voucher_batch b ON b.tenant_id = t AND b.plan_version_id = pv.id
   WHERE pv.tenant_id = t AND b.id = v.batch_id;
  INSERT INTO entitlement (tenant_id, id, subscriber_id, source_kind, source_id, plan_version_id,
                           valid, bytes_granted, seconds_granted)
    VALUES (t, p_entitlement, p_subscriber, 'voucher', v.id, p.id, tstzrange(p_now, p_until),
            p.data_bytes, p.online_seconds);
  IF v.net_cents > 0 THEN
    PERFORM post_entry(p_entry, 'voucher.redeem', 'voucher', v.id, p_now,
      ARRAY['deferred:voucher', 'revenue:internet'], ARRAY[v.net_cents, -v.net_cents]);
  END IF;
  RETURN 'redeemed';
END $$;
