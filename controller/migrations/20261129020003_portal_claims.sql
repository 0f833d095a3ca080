-- Who says at a portal that a number is theirs, and is to prove it by the code that was sent there.
-- Whether the number is somebody's already is told to nobody who cannot.
CREATE TABLE portal_claim (
  tenant_id       uuid NOT NULL REFERENCES tenant,
  id              uuid NOT NULL,
  code_mark       bytea NOT NULL CHECK (octet_length(code_mark) = 32),
  full_name       text NOT NULL CHECK (length(full_name) BETWEEN 1 AND 200),
  msisdn          text NOT NULL CHECK (msisdn ~ '^254[17][0-9]{8}$'),
  email           text CHECK (email ~ '^[^@\s]+@[^@\s]+$'),
  username        text,
  password_sealed bytea NOT NULL,
  tries           int NOT NULL DEFAULT 0 CHECK (tries BETWEEN 0 AND 5),
  created_at      timestamptz NOT NULL,
  expires_at      timestamptz NOT NULL CHECK (expires_at > created_at),
  PRIMARY KEY (tenant_id, id)
);
CREATE INDEX portal_claim_msisdn ON portal_claim (tenant_id, msisdn, created_at);
SELECT protect('portal_claim');
GRANT SELECT, INSERT, UPDATE (tries), DELETE ON portal_claim TO kennet_app;
