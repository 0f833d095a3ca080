-- How staff gets in: logins that are renewed, second factors, tokens of programs, invitations.

-- What came with an import is checked as it is, and hashed anew at the next login.
ALTER TABLE operator
  DROP CONSTRAINT operator_password_hash_check,
  ADD CONSTRAINT operator_password_hash CHECK
    (password_hash ~ '^(\$argon2id\$.+|\$2[abxy]\$(0[4-9]|1[0-5])\$[./A-Za-z0-9]{53})$');

-- Whose logins need a second factor.
ALTER TABLE tenant ADD COLUMN second_factor_roles text[] NOT NULL DEFAULT '{}'
  CONSTRAINT tenant_second_factor_roles CHECK (second_factor_roles <@
    ARRAY['platform', 'owner', 'finance', 'noc', 'support', 'reseller', 'auditor']);
GRANT UPDATE (second_factor_roles) ON tenant TO kennet_app, kennet_auth;

-- One place where somebody is logged in. Its tokens follow each other; it ends with all of them.
CREATE TABLE login (
  tenant_id   uuid NOT NULL,
  id          uuid NOT NULL,
  operator_id uuid NOT NULL,
  created_at  timestamptz NOT NULL,
  used_at     timestamptz NOT NULL,
  ends_at     timestamptz NOT NULL CHECK (ends_at > created_at),
  -- When the second factor was shown last.
  proven_at   timestamptz,
  remote_ip   inet,
  program     text NOT NULL CHECK (length(program) <= 200),
  -- For a browser with cookies: what its scripts must know beside them.
  csrf_hash   bytea CHECK (octet_length(csrf_hash) = 32),
  PRIMARY KEY (tenant_id, id),
  FOREIGN KEY (tenant_id, operator_id) REFERENCES operator
);
CREATE INDEX login_operator ON login (tenant_id, operator_id);
SELECT protect('login');
CREATE POLICY every_login ON login TO kennet_auth USING (true) WITH CHECK (true);
GRANT SELECT, UPDATE (proven_at), DELETE ON login TO kennet_app;
GRANT SELECT, INSERT, UPDATE (used_at, proven_at), DELETE ON login TO kennet_auth;

-- Tokens of before belong to no login, and are good for nothing.
ALTER TABLE operator_session
  ADD COLUMN login_id uuid,
  ADD FOREIGN KEY (tenant_id, login_id) REFERENCES login ON DELETE CASCADE;
CREATE INDEX operator_session_login ON operator_session (tenant_id, login_id);

-- Each is good for one renewal. A used one stays: whoever shows it again has stolen it, or was
-- stolen from.
CREATE TABLE refresh_token (
  tenant_id  uuid NOT NULL,
  token_hash bytea NOT NULL CHECK (octet_length(token_hash) = 32),
  login_id   uuid NOT NULL,
  created_at timestamptz NOT NULL,
  expires_at timestamptz NOT NULL CHECK (expires_at > created_at),
  used_at    timestamptz,
  PRIMARY KEY (tenant_id, token_hash),
  FOREIGN KEY (tenant_id, login_id) REFERENCES login ON DELETE CASCADE
);
CREATE UNIQUE INDEX refresh_token_hash ON refresh_token (token_hash);
CREATE INDEX refresh_token_login ON refresh_token (tenant_id, login_id);
SELECT protect('refresh_token');
CREATE POLICY every_refresh_token ON refresh_token TO kennet_auth USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE (used_at) ON refresh_token TO kennet_auth;

CREATE TABLE second_factor (
  tenant_id     uuid NOT NULL,
  operator_id   uuid NOT NULL,
  secret_sealed bytea NOT NULL,
  created_at    timestamptz NOT NULL,
  confirmed_at  timestamptz,
  -- RFC 6238 section 5.2: a code is good once. Steps only go up.
  last_step     bigint NOT NULL DEFAULT 0 CHECK (last_step >= 0),
  PRIMARY KEY (tenant_id, operator_id),
  FOREIGN KEY (tenant_id, operator_id) REFERENCES operator
);
SELECT protect('second_factor');
CREATE POLICY every_second_factor ON second_factor TO kennet_auth USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE (secret_sealed, created_at, confirmed_at, last_step), DELETE
  ON second_factor TO kennet_app;
GRANT SELECT, UPDATE (last_step) ON second_factor TO kennet_auth;

CREATE TABLE recovery_code (
  tenant_id   uuid NOT NULL,
  operator_id uuid NOT NULL,
  code_mark   bytea NOT NULL CHECK (octet_length(code_mark) = 32),
  PRIMARY KEY (tenant_id, operator_id, code_mark),
  FOREIGN KEY (tenant_id, operator_id) REFERENCES second_factor ON DELETE CASCADE
);
SELECT protect('recovery_code');
CREATE POLICY every_recovery_code ON recovery_code TO kennet_auth USING (true);
GRANT SELECT, INSERT, DELETE ON recovery_code TO kennet_app;
GRANT SELECT, DELETE ON recovery_code TO kennet_auth;

-- A program that acts for an operator, and may do no more than its scopes say.
CREATE TABLE api_token (
  tenant_id   uuid NOT NULL,
  id          uuid NOT NULL,
  operator_id uuid NOT NULL,
  name        text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
  token_hash  bytea NOT NULL CHECK (octet_length(token_hash) = 32),
  scopes      text[] NOT NULL CHECK (cardinality(scopes) BETWEEN 1 AND 64),
  created_at  timestamptz NOT NULL,
  expires_at  timestamptz NOT NULL CHECK (expires_at > created_at),
  used_at     timestamptz,
  PRIMARY KEY (tenant_id, id),
  FOREIGN KEY (tenant_id, operator_id) REFERENCES operator
);
CREATE UNIQUE INDEX api_token_hash ON api_token (token_hash);
CREATE INDEX api_token_operator ON api_token (tenant_id, operator_id);
SELECT protect('api_token');
CREATE POLICY every_api_token ON api_token TO kennet_auth USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, DELETE ON api_token TO kennet_app;
GRANT SELECT, UPDATE (used_at) ON api_token TO kennet_auth;

-- A link that is good once: to join the staff, or, with an operator, to choose a new password.
CREATE TABLE invitation (
  tenant_id   uuid NOT NULL REFERENCES tenant,
  id          uuid NOT NULL,
  token_hash  bytea NOT NULL CHECK (octet_length(token_hash) = 32),
  email       text NOT NULL CHECK (email = lower(email) AND email ~ '^[^@\s]+@[^@\s]+$'),
  role        text NOT NULL CHECK (role IN
              ('platform', 'owner', 'finance', 'noc', 'support', 'reseller', 'auditor')),
  operator_id uuid,
  created_at  timestamptz NOT NULL,
  expires_at  timestamptz NOT NULL CHECK (expires_at > created_at),
  accepted_at timestamptz,
  PRIMARY KEY (tenant_id, id),
  FOREIGN KEY (tenant_id, operator_id) REFERENCES operator,
  CHECK ((role = 'platform') = (tenant_id = '00000000-0000-0000-0000-000000000000'))
);
CREATE UNIQUE INDEX invitation_token ON invitation (token_hash);
CREATE INDEX invitation_operator ON invitation (tenant_id, operator_id);
SELECT protect('invitation');
CREATE POLICY every_invitation ON invitation TO kennet_auth USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, DELETE ON invitation TO kennet_app;
GRANT SELECT, INSERT, UPDATE (accepted_at) ON invitation TO kennet_auth;
