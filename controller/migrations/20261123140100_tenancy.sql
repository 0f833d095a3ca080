-- Tenants, their staff, and what the staff did.

CREATE TABLE tenant (
  tenant_id   uuid PRIMARY KEY,
  slug        text NOT NULL CONSTRAINT tenant_slug UNIQUE
              CHECK (slug ~ '^[a-z0-9][a-z0-9-]{1,40}$'),
  name        text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
  tz          text NOT NULL DEFAULT 'Africa/Nairobi',
  currency    char(3) NOT NULL DEFAULT 'KES' CHECK (currency ~ '^[A-Z]{3}$'),
  status      text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'suspended')),
  version     bigint NOT NULL DEFAULT 1,
  created_at  timestamptz NOT NULL
);
SELECT protect('tenant');
CREATE POLICY every_tenant ON tenant TO kennet_auth USING (true) WITH CHECK (true);
CREATE POLICY every_tenant_read ON tenant FOR SELECT TO kennet_ingest USING (true);
GRANT SELECT, UPDATE (name, tz, version) ON tenant TO kennet_app;
GRANT SELECT ON tenant TO kennet_ingest;
GRANT SELECT, INSERT, UPDATE (name, tz, status, version) ON tenant TO kennet_auth;

-- Who runs the platform itself is staff of this tenant; it has nothing else.
SELECT set_config('kennet.tenant_id', '00000000-0000-0000-0000-000000000000', true);
INSERT INTO tenant (tenant_id, slug, name, created_at)
  VALUES ('00000000-0000-0000-0000-000000000000', 'platform', 'Platform', now());

CREATE TABLE operator (
  tenant_id     uuid NOT NULL REFERENCES tenant,
  id            uuid NOT NULL,
  email         text NOT NULL CHECK (email = lower(email) AND email ~ '^[^@\s]+@[^@\s]+$'),
  name          text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
  role          text NOT NULL CHECK (role IN
                ('platform', 'owner', 'finance', 'noc', 'support', 'reseller', 'auditor')),
  password_hash text NOT NULL CHECK (password_hash LIKE '$argon2id$%'),
  disabled      boolean NOT NULL DEFAULT false,
  failed_logins int NOT NULL DEFAULT 0 CHECK (failed_logins >= 0),
  locked_until  timestamptz,
  last_login_at timestamptz,
  version       bigint NOT NULL DEFAULT 1,
  created_at    timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, id),
  CHECK ((role = 'platform') = (tenant_id = '00000000-0000-0000-0000-000000000000'))
);
-- A login names no tenant, so an address is one person everywhere.
CREATE UNIQUE INDEX operator_email ON operator (email);
SELECT protect('operator');
CREATE POLICY every_operator ON operator TO kennet_auth USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE (email, name, role, password_hash, disabled, failed_logins,
  locked_until, version) ON operator TO kennet_app;
GRANT SELECT, UPDATE (password_hash, failed_logins, locked_until, last_login_at)
  ON operator TO kennet_auth;

-- A token is 256 random bits; only its SHA-256 is here.
CREATE TABLE operator_session (
  tenant_id   uuid NOT NULL,
  token_hash  bytea NOT NULL CHECK (octet_length(token_hash) = 32),
  operator_id uuid NOT NULL,
  created_at  timestamptz NOT NULL,
  expires_at  timestamptz NOT NULL CHECK (expires_at > created_at),
  remote_ip   inet,
  PRIMARY KEY (tenant_id, token_hash),
  FOREIGN KEY (tenant_id, operator_id) REFERENCES operator
);
CREATE UNIQUE INDEX operator_session_token ON operator_session (token_hash);
CREATE INDEX operator_session_operator ON operator_session (tenant_id, operator_id);
SELECT protect('operator_session');
CREATE POLICY every_session ON operator_session TO kennet_auth USING (true) WITH CHECK (true);
GRANT SELECT, DELETE ON operator_session TO kennet_app;
GRANT SELECT, INSERT, DELETE ON operator_session TO kennet_auth;

CREATE TABLE audit_log (
  tenant_id   uuid NOT NULL REFERENCES tenant,
  id          uuid NOT NULL,
  at          timestamptz NOT NULL,
  actor       text NOT NULL,
  actor_ip    inet,
  action      text NOT NULL,
  object_kind text NOT NULL,
  object_id   text NOT NULL,
  before      jsonb,
  after       jsonb,
  request_id  uuid,
  PRIMARY KEY (tenant_id, id)
);
CREATE INDEX audit_log_object ON audit_log (tenant_id, object_kind, object_id, id);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON audit_log
  FOR EACH ROW EXECUTE FUNCTION append_only();
CREATE TRIGGER append_only_t BEFORE TRUNCATE ON audit_log EXECUTE FUNCTION append_only();
SELECT protect('audit_log');
GRANT SELECT, INSERT ON audit_log TO kennet_app;
GRANT INSERT ON audit_log TO kennet_ingest;

-- A request that may be repeated, and what it made. Written in the transaction of the effect.
CREATE TABLE idempotency_key (
  tenant_id    uuid NOT NULL REFERENCES tenant,
  actor        text NOT NULL,
  key          text NOT NULL CHECK (length(key) BETWEEN 8 AND 128),
  request_hash bytea NOT NULL CHECK (octet_length(request_hash) = 32),
  object_id    uuid NOT NULL,
  -- What the answer says only once (a secret), sealed.
  once_sealed  bytea,
  created_at   timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, actor, key)
);
SELECT protect('idempotency_key');
GRANT SELECT, INSERT, DELETE ON idempotency_key TO kennet_app;

-- Numbers that people read are counted by tenant, without gaps.
CREATE TABLE tenant_counter (
  tenant_id uuid NOT NULL REFERENCES tenant,
  name      text NOT NULL,
  next_no   bigint NOT NULL CHECK (next_no > 0),
  PRIMARY KEY (tenant_id, name)
);
SELECT protect('tenant_counter');
GRANT SELECT, INSERT, UPDATE (next_no) ON tenant_counter TO kennet_app;
