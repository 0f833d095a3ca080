-- Resellers, and who sees only what is theirs.
CREATE EXTENSION IF NOT EXISTS btree_gist;

-- 'tenant' is everything in the tenant, an id is what belongs to that reseller. Who forgets to say
-- sees nothing.
CREATE FUNCTION current_scope() RETURNS text LANGUAGE sql STABLE PARALLEL SAFE
  AS $$ SELECT nullif(current_setting('kennet.scope', true), '') $$;

-- For tables with a reseller_id.
CREATE FUNCTION protect_scope(p_table regclass) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format(
    'CREATE POLICY reseller_scope ON %s AS RESTRICTIVE TO kennet_app '
    'USING ((SELECT kennet.current_scope()) = ''tenant'' '
    'OR reseller_id::text = (SELECT kennet.current_scope()))', p_table);
END $$;
REVOKE ALL ON FUNCTION protect_scope(regclass) FROM PUBLIC;

CREATE TABLE reseller (
  tenant_id  uuid NOT NULL REFERENCES tenant,
  id         uuid NOT NULL,
  parent_id  uuid,
  name       text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
  msisdn     text CHECK (msisdn ~ '^254[17][0-9]{8}$'),
  active     boolean NOT NULL DEFAULT true,
  version    bigint NOT NULL DEFAULT 1,
  created_at timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, id),
  FOREIGN KEY (tenant_id, parent_id) REFERENCES reseller,
  CHECK (parent_id <> id)
);
SELECT protect('reseller');
CREATE POLICY reseller_scope ON reseller AS RESTRICTIVE TO kennet_app
  USING ((SELECT current_scope()) = 'tenant' OR id::text = (SELECT current_scope()));
GRANT SELECT, INSERT, UPDATE (name, msisdn, active, version) ON reseller TO kennet_app;

ALTER TABLE subscriber
  ADD COLUMN reseller_id uuid,
  ADD FOREIGN KEY (tenant_id, reseller_id) REFERENCES reseller;
SELECT protect_scope('subscriber');
GRANT UPDATE (reseller_id) ON subscriber TO kennet_app;

-- A reseller's own staff. Without a reseller it sees nothing.
ALTER TABLE operator
  ADD COLUMN reseller_id uuid,
  ADD FOREIGN KEY (tenant_id, reseller_id) REFERENCES reseller,
  ADD CONSTRAINT operator_reseller CHECK (reseller_id IS NULL OR role = 'reseller');
GRANT UPDATE (reseller_id) ON operator TO kennet_app;

-- What a reseller keeps of a sale: dated, so that what was earned stays earned.
CREATE TABLE commission_rule (
  tenant_id   uuid NOT NULL,
  id          uuid NOT NULL,
  reseller_id uuid NOT NULL,
  rate_bp     int NOT NULL CHECK (rate_bp BETWEEN 0 AND 10000),
  during      daterange NOT NULL CHECK (NOT isempty(during)),
  PRIMARY KEY (tenant_id, id),
  FOREIGN KEY (tenant_id, reseller_id) REFERENCES reseller,
  CONSTRAINT commission_rule_dates EXCLUDE USING gist
    (tenant_id WITH =, reseller_id WITH =, during WITH &&)
);
SELECT protect('commission_rule');
SELECT protect_scope('commission_rule');
GRANT SELECT, INSERT, UPDATE (during), DELETE ON commission_rule TO kennet_app;
