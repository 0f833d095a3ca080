-- Subscribers, what is sold to them, and what they have.

CREATE TABLE subscriber (
  tenant_id       uuid NOT NULL REFERENCES tenant,
  id              uuid NOT NULL,
  -- What the payer types: digits, the last one checks the others.
  account_no      text NOT NULL CHECK (account_no ~ '^[0-9]{6,12}$'),
  username        text NOT NULL CHECK (length(username) BETWEEN 1 AND 128),
  -- The RADIUS password; none: only the devices below can log in.
  password_sealed bytea,
  full_name       text NOT NULL CHECK (length(full_name) BETWEEN 1 AND 200),
  msisdn          text CHECK (msisdn ~ '^254[17][0-9]{8}$'),
  email           text CHECK (email ~ '^[^@\s]+@[^@\s]+$'),
  static_ip       inet,
  status          text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'closed', 'anonymised')),
  version         bigint NOT NULL DEFAULT 1,
  created_at      timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, id),
  CONSTRAINT subscriber_account_no UNIQUE (tenant_id, account_no),
  CONSTRAINT subscriber_username UNIQUE (tenant_id, username)
);
CREATE UNIQUE INDEX subscriber_msisdn ON subscriber (tenant_id, msisdn)
  WHERE status = 'active' AND msisdn IS NOT NULL;
SELECT protect('subscriber');
GRANT SELECT, INSERT, UPDATE (username, password_sealed, full_name, msisdn, email, static_ip,
  status, version) ON subscriber TO kennet_app;
GRANT SELECT ON subscriber TO kennet_ingest;

-- Devices that log in by their MAC address.
CREATE TABLE subscriber_device (
  tenant_id     uuid NOT NULL,
  mac           text NOT NULL CHECK (mac ~ '^([0-9a-f]{2}:){5}[0-9a-f]{2}$'),
  subscriber_id uuid NOT NULL,
  CONSTRAINT subscriber_device_mac PRIMARY KEY (tenant_id, mac),
  FOREIGN KEY (tenant_id, subscriber_id) REFERENCES subscriber
);
CREATE INDEX subscriber_device_subscriber ON subscriber_device (tenant_id, subscriber_id);
SELECT protect('subscriber_device');
GRANT SELECT, INSERT, DELETE ON subscriber_device TO kennet_app;
GRANT SELECT ON subscriber_device TO kennet_ingest;

CREATE TABLE plan (
  tenant_id  uuid NOT NULL REFERENCES tenant,
  id         uuid NOT NULL,
  code       text NOT NULL CHECK (code ~ '^[a-z0-9][a-z0-9-]{0,40}$'),
  name       text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
  archived   boolean NOT NULL DEFAULT false,
  version    bigint NOT NULL DEFAULT 1,
  created_at timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, id),
  CONSTRAINT plan_code UNIQUE (tenant_id, code)
);
SELECT protect('plan');
GRANT SELECT, INSERT, UPDATE (name, archived, version) ON plan TO kennet_app;
GRANT SELECT ON plan TO kennet_ingest;

-- What was sold stays as it was sold: a change is a new version.
CREATE TABLE plan_version (
  tenant_id             uuid NOT NULL,
  id                    uuid NOT NULL,
  plan_id               uuid NOT NULL,
  version               int NOT NULL CHECK (version > 0),
  access                text NOT NULL CHECK (access IN ('hotspot', 'pppoe', 'ipoe', 'static')),
  billing               text NOT NULL CHECK (billing IN ('prepaid', 'postpaid')),
  kind                  text NOT NULL CHECK (kind IN ('time', 'data', 'hybrid', 'unlimited')),
  price_cents           bigint NOT NULL CHECK (price_cents >= 0),
  price_includes_tax    boolean NOT NULL DEFAULT true,
  validity_months       int NOT NULL DEFAULT 0 CHECK (validity_months >= 0),
  validity_seconds      bigint NOT NULL DEFAULT 0 CHECK (validity_seconds >= 0),
  online_seconds        bigint CHECK (online_seconds > 0),
  data_bytes            bigint CHECK (data_bytes > 0),
  down_kbps             int NOT NULL CHECK (down_kbps > 0),
  up_kbps               int NOT NULL CHECK (up_kbps > 0),
  max_devices           smallint NOT NULL DEFAULT 1 CHECK (max_devices BETWEEN 1 AND 64),
  idle_timeout_seconds  int CHECK (idle_timeout_seconds > 0),
  anchor                text NOT NULL CHECK (anchor IN ('first_use', 'purchase', 'calendar_day')),
  anchor_day            smallint CHECK (anchor_day BETWEEN 1 AND 31),
  grace_seconds         bigint NOT NULL DEFAULT 0 CHECK (grace_seconds >= 0),
  on_exhaust            text NOT NULL DEFAULT 'block' CHECK (on_exhaust IN ('block', 'throttle', 'overage')),
  overage_cents_per_mib bigint CHECK (overage_cents_per_mib > 0),
  effective_from        timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, id),
  CONSTRAINT plan_version_number UNIQUE (tenant_id, plan_id, version),
  FOREIGN KEY (tenant_id, plan_id) REFERENCES plan,
  CHECK ((validity_months > 0) <> (validity_seconds > 0)),
  CHECK ((kind IN ('time', 'hybrid')) = (online_seconds IS NOT NULL)),
  CHECK ((kind IN ('data', 'hybrid')) = (data_bytes IS NOT NULL)),
  CHECK ((anchor = 'calendar_day') = (anchor_day IS NOT NULL)),
  CHECK ((on_exhaust = 'overage') = (overage_cents_per_mib IS NOT NULL)),
  CHECK (NOT (on_exhaust = 'overage' AND billing = 'prepaid'))
);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON plan_version
  FOR EACH ROW EXECUTE FUNCTION append_only();
CREATE TRIGGER append_only_t BEFORE TRUNCATE ON plan_version EXECUTE FUNCTION append_only();
SELECT protect('plan_version');
GRANT SELECT, INSERT ON plan_version TO kennet_app;
GRANT SELECT ON plan_version TO kennet_ingest;

CREATE TABLE subscription (
  tenant_id       uuid NOT NULL REFERENCES tenant,
  id              uuid NOT NULL,
  subscriber_id   uuid NOT NULL,
  plan_version_id uuid NOT NULL,
  state           text NOT NULL DEFAULT 'pending' CHECK (state IN
                  ('pending', 'active', 'grace', 'suspended', 'expired', 'cancelled')),
  bill_anchor     timestamptz,
  auto_renew      boolean NOT NULL DEFAULT false,
  -- What the edges must converge on, and what they say they have.
  desired_rev     bigint NOT NULL DEFAULT 1,
  applied_rev     bigint NOT NULL DEFAULT 0,
  version         bigint NOT NULL DEFAULT 1,
  created_at      timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, id),
  FOREIGN KEY (tenant_id, subscriber_id) REFERENCES subscriber,
  FOREIGN KEY (tenant_id, plan_version_id) REFERENCES plan_version,
  CHECK (applied_rev <= desired_rev)
);
-- Which plan a login has must have one answer.
CREATE UNIQUE INDEX subscription_live ON subscription (tenant_id, subscriber_id)
  WHERE state IN ('active', 'grace');
CREATE INDEX subscription_subscriber ON subscription (tenant_id, subscriber_id);

CREATE TABLE subscription_transition (
  from_state text NOT NULL,
  to_state   text NOT NULL,
  PRIMARY KEY (from_state, to_state)
);
INSERT INTO subscription_transition VALUES
  ('pending', 'active'), ('pending', 'cancelled'),
  ('active', 'grace'), ('active', 'suspended'), ('active', 'expired'), ('active', 'cancelled'),
  ('grace', 'active'), ('grace', 'suspended'), ('grace', 'expired'), ('grace', 'cancelled'),
  ('suspended', 'active'), ('suspended', 'expired'), ('suspended', 'cancelled'),
  ('expired', 'active'), ('expired', 'cancelled');

CREATE TABLE subscription_event (
  tenant_id       uuid NOT NULL,
  subscription_id uuid NOT NULL,
  seq             bigint NOT NULL,
  at              timestamptz NOT NULL DEFAULT now(),
  from_state      text,
  to_state        text NOT NULL,
  reason          text NOT NULL DEFAULT '',
  PRIMARY KEY (tenant_id, subscription_id, seq),
  FOREIGN KEY (tenant_id, subscription_id) REFERENCES subscription
);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON subscription_event
  FOR EACH ROW EXECUTE FUNCTION append_only();
CREATE TRIGGER append_only_t BEFORE TRUNCATE ON subscription_event EXECUTE FUNCTION append_only();

CREATE FUNCTION subscription_guard() RETURNS trigger
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = kennet, pg_temp AS $$
BEGIN
  IF NEW.state IS DISTINCT FROM OLD.state THEN
    IF NOT EXISTS (SELECT FROM subscription_transition
                    WHERE from_state = OLD.state AND to_state = NEW.state) THEN
      RAISE EXCEPTION 'subscription % -> % not allowed', OLD.state, NEW.state
        USING ERRCODE = 'check_violation', CONSTRAINT = 'subscription_transition';
    END IF;
  END IF;
  IF (NEW.state, NEW.plan_version_id) IS DISTINCT FROM (OLD.state, OLD.plan_version_id) THEN
    NEW.desired_rev := OLD.desired_rev + 1;
    INSERT INTO subscription_event (tenant_id, subscription_id, seq, from_state, to_state, reason)
      VALUES (NEW.tenant_id, NEW.id, NEW.desired_rev, OLD.state, NEW.state,
              coalesce(current_setting('kennet.reason', true), ''));
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER subscription_guard BEFORE UPDATE ON subscription
  FOR EACH ROW EXECUTE FUNCTION subscription_guard();

SELECT protect('subscription');
SELECT protect('subscription_event');
GRANT SELECT, INSERT, UPDATE (plan_version_id, state, bill_anchor, auto_renew, version)
  ON subscription TO kennet_app;
GRANT SELECT, UPDATE (applied_rev) ON subscription TO kennet_ingest;
-- Events are written by the guard alone.
GRANT SELECT ON subscription_event, subscription_transition TO kennet_app;
