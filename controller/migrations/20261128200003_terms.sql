-- What edges are told of plans and sites besides rates: steps of fair use, quotas, the walled
-- garden, uplinks.

ALTER TABLE plan_version
  -- In which time the bytes of steps are counted.
  ADD COLUMN fup_window     text NOT NULL DEFAULT 'period'
                            CHECK (fup_window IN ('period', 'day', 'week')),
  -- With `throttle`: how fast it goes on when the quota is used up.
  ADD COLUMN slow_down_kbps int CHECK (slow_down_kbps > 0),
  ADD COLUMN slow_up_kbps   int CHECK (slow_up_kbps > 0),
  ADD CHECK ((slow_down_kbps IS NULL) = (slow_up_kbps IS NULL));

CREATE TABLE plan_fup_step (
  tenant_id       uuid NOT NULL,
  plan_version_id uuid NOT NULL,
  step            smallint NOT NULL CHECK (step BETWEEN 1 AND 16),
  after_bytes     bigint NOT NULL CHECK (after_bytes > 0),
  down_kbps       int NOT NULL CHECK (down_kbps > 0),
  up_kbps         int NOT NULL CHECK (up_kbps > 0),
  PRIMARY KEY (tenant_id, plan_version_id, step),
  FOREIGN KEY (tenant_id, plan_version_id) REFERENCES plan_version
);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON plan_fup_step
  FOR EACH ROW EXECUTE FUNCTION append_only();
CREATE TRIGGER append_only_t BEFORE TRUNCATE ON plan_fup_step EXECUTE FUNCTION append_only();
SELECT protect('plan_fup_step');
GRANT SELECT, INSERT ON plan_fup_step TO kennet_app;
GRANT SELECT ON plan_fup_step TO kennet_ingest;

-- What is open to everybody at a tenant's edges, without a session and without being charged.
CREATE TABLE garden (
  tenant_id uuid PRIMARY KEY REFERENCES tenant,
  open      cidr[] NOT NULL DEFAULT '{}',
  free      cidr[] NOT NULL DEFAULT '{}',
  names     text[] NOT NULL DEFAULT '{}',
  dns       cidr[] NOT NULL DEFAULT '{}',
  kbps      int CHECK (kbps > 0),
  dns_kbps  int CHECK (dns_kbps > 0),
  version   bigint NOT NULL DEFAULT 1
);
SELECT protect('garden');
GRANT SELECT, INSERT, UPDATE ON garden TO kennet_app;
GRANT SELECT ON garden TO kennet_ingest;

-- What all sessions of an edge together may move.
ALTER TABLE edge
  ADD COLUMN uplink_down_kbps int CHECK (uplink_down_kbps > 0),
  ADD COLUMN uplink_up_kbps   int CHECK (uplink_up_kbps > 0),
  ADD CHECK ((uplink_down_kbps IS NULL) = (uplink_up_kbps IS NULL));
GRANT UPDATE (uplink_down_kbps, uplink_up_kbps) ON edge TO kennet_app;

-- When the quota of who has a subscription began, edges are told of terms.
GRANT SELECT ON subscription_period TO kennet_ingest;
