-- What stands in the field.

CREATE TABLE edge (
  tenant_id        uuid NOT NULL REFERENCES tenant,
  id               uuid NOT NULL,
  name             text NOT NULL CHECK (length(name) BETWEEN 1 AND 100),
  site             text NOT NULL DEFAULT '',
  -- SHA-256 of the secret that it logs in with: 256 random bits, so a slow hash adds nothing.
  secret_hash      bytea NOT NULL CHECK (octet_length(secret_hash) = 32),
  revoked          boolean NOT NULL DEFAULT false,
  version          bigint NOT NULL DEFAULT 1,
  created_at       timestamptz NOT NULL,
  -- The link's part: what it should have, what it says it has, and when it was heard.
  desired_revision bigint NOT NULL DEFAULT 0 CHECK (desired_revision >= 0),
  desired_hash     text,
  applied_revision bigint NOT NULL DEFAULT 0 CHECK (applied_revision >= 0),
  birth            bigint NOT NULL DEFAULT 0 CHECK (birth >= 0),
  online           boolean NOT NULL DEFAULT false,
  last_seen        timestamptz,
  state            jsonb,
  PRIMARY KEY (tenant_id, id),
  CONSTRAINT edge_name UNIQUE (tenant_id, name)
);
-- An edge names itself and never its tenant: this is how the tenant is found.
CREATE UNIQUE INDEX edge_id ON edge (id);
SELECT protect('edge');
CREATE POLICY every_edge ON edge FOR SELECT TO kennet_ingest USING (true);
GRANT SELECT, INSERT, UPDATE (name, site, secret_hash, revoked, version) ON edge TO kennet_app;
GRANT SELECT, UPDATE (desired_revision, desired_hash, applied_revision, birth, online, last_seen,
  state) ON edge TO kennet_ingest;

CREATE TABLE nas (
  tenant_id                     uuid NOT NULL REFERENCES tenant,
  id                            uuid NOT NULL,
  edge_id                       uuid NOT NULL,
  name                          text NOT NULL CHECK (length(name) BETWEEN 1 AND 100),
  address                       cidr NOT NULL,
  secret_sealed                 bytea NOT NULL,
  enforce                       text NOT NULL CHECK (enforce IN ('edge', 'nas')),
  vendor                        text NOT NULL CHECK (vendor IN ('standard', 'mikrotik')),
  require_message_authenticator boolean NOT NULL DEFAULT true,
  disabled                      boolean NOT NULL DEFAULT false,
  version                       bigint NOT NULL DEFAULT 1,
  created_at                    timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, id),
  CONSTRAINT nas_name UNIQUE (tenant_id, name),
  CONSTRAINT nas_address UNIQUE (tenant_id, edge_id, address),
  FOREIGN KEY (tenant_id, edge_id) REFERENCES edge
);
SELECT protect('nas');
GRANT SELECT, INSERT, UPDATE (edge_id, name, address, secret_sealed, enforce, vendor,
  require_message_authenticator, disabled, version) ON nas TO kennet_app;
GRANT SELECT ON nas TO kennet_ingest;

CREATE TABLE access_point (
  tenant_id  uuid NOT NULL REFERENCES tenant,
  id         uuid NOT NULL,
  nas_id     uuid,
  name       text NOT NULL CHECK (length(name) BETWEEN 1 AND 100),
  mac        text NOT NULL CHECK (mac ~ '^([0-9a-f]{2}:){5}[0-9a-f]{2}$'),
  model      text NOT NULL DEFAULT '',
  site       text NOT NULL DEFAULT '',
  disabled   boolean NOT NULL DEFAULT false,
  version    bigint NOT NULL DEFAULT 1,
  created_at timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, id),
  CONSTRAINT access_point_mac UNIQUE (tenant_id, mac),
  FOREIGN KEY (tenant_id, nas_id) REFERENCES nas
);
SELECT protect('access_point');
GRANT SELECT, INSERT, UPDATE (nas_id, name, mac, model, site, disabled, version)
  ON access_point TO kennet_app;
