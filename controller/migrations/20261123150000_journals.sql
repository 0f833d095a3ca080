-- What edges report: how far their journals are in the books, sessions, usage.
--
-- These tables are hot: no foreign keys and no triggers. Every id in them was looked up in the
-- tenant by whoever wrote it. They are written in runs of a thousand rows, sorted by key.

ALTER TABLE edge
  -- The journal that the edge writes now.
  ADD COLUMN epoch      uuid,
  -- The version that its program says it has, and when it started.
  ADD COLUMN program    text NOT NULL DEFAULT '',
  ADD COLUMN started_at timestamptz,
  -- Since when it sends a history that does not continue the one in the books: nothing of it is
  -- applied, and a person has to look. A new journal clears it.
  ADD COLUMN forked_at  timestamptz;
GRANT UPDATE (epoch, program, started_at, forked_at) ON edge TO kennet_ingest;

-- Compare and swap: a batch is applied together with the move of its cursor, or not at all.
CREATE TABLE journal_cursor (
  tenant_id  uuid NOT NULL,
  edge_id    uuid NOT NULL,
  epoch      uuid NOT NULL,
  next_seq   bigint NOT NULL CHECK (next_seq > 0),
  hash       bytea NOT NULL CHECK (octet_length(hash) = 32),
  updated_at timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, edge_id, epoch)
) WITH (fillfactor = 50);
SELECT protect('journal_cursor');
GRANT SELECT, INSERT, UPDATE (next_seq, hash, updated_at) ON journal_cursor TO kennet_ingest;
GRANT SELECT ON journal_cursor TO kennet_app;

-- One device on-line, live or past. Counters are cumulative and never go back.
CREATE TABLE session (
  tenant_id       uuid NOT NULL,
  id              uuid NOT NULL,
  edge_id         uuid NOT NULL,
  -- Whose it is, as far as the tenant knows them; the name is what the device said.
  subscriber_id   uuid,
  subscription_id uuid,
  nas_id          uuid,
  nas_name        text,
  username        text,
  mac             text,
  ip              inet,
  acct_session_id text,
  metering        text CHECK (metering IN ('unknown', 'kernel', 'nas', 'nobody')),
  down_kbps       int,
  up_kbps         int,
  -- Of the edge's desired state, when it was opened.
  revision        bigint,
  started_at      timestamptz NOT NULL,
  stopped_at      timestamptz,
  -- Acct-Terminate-Cause, RFC 2866.
  cause           int,
  -- Its edge lost the journal in which the end would stand. What the edge says of it later counts.
  lost            boolean NOT NULL DEFAULT false,
  down_bytes      bigint NOT NULL DEFAULT 0 CHECK (down_bytes >= 0),
  up_bytes        bigint NOT NULL DEFAULT 0 CHECK (up_bytes >= 0),
  down_packets    bigint NOT NULL DEFAULT 0 CHECK (down_packets >= 0),
  up_packets      bigint NOT NULL DEFAULT 0 CHECK (up_packets >= 0),
  updated_at      timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, id)
) WITH (fillfactor = 70);
-- No index holds a counter, so that usage updates stay in their page.
CREATE INDEX session_live ON session (tenant_id, id) WHERE stopped_at IS NULL;
CREATE INDEX session_subscriber ON session (tenant_id, subscriber_id, id)
  WHERE subscriber_id IS NOT NULL;
CREATE INDEX session_edge ON session (tenant_id, edge_id, id);
SELECT protect('session');
GRANT SELECT, INSERT, UPDATE ON session TO kennet_ingest;
GRANT SELECT ON session TO kennet_app;

-- What each report added, for rating. A month is dropped, never deleted row by row.
CREATE TABLE usage (
  tenant_id    uuid NOT NULL,
  -- When it was booked, by the controller's clock: an edge's clock chooses no partition.
  booked_on    date NOT NULL,
  session_id   uuid NOT NULL,
  edge_id      uuid NOT NULL,
  epoch        uuid NOT NULL,
  seq          bigint NOT NULL,
  -- When it was measured, by the edge's clock.
  at           timestamptz NOT NULL,
  down_bytes   bigint NOT NULL CHECK (down_bytes >= 0),
  up_bytes     bigint NOT NULL CHECK (up_bytes >= 0),
  down_packets bigint NOT NULL CHECK (down_packets >= 0),
  up_packets   bigint NOT NULL CHECK (up_packets >= 0)
) PARTITION BY RANGE (booked_on);
CREATE INDEX usage_session ON usage (tenant_id, session_id);
CREATE INDEX usage_at ON usage USING brin (at);
SELECT protect('usage');
GRANT SELECT, INSERT ON usage TO kennet_ingest;
GRANT SELECT ON usage TO kennet_app;

-- A clock that jumps must not stop the books.
CREATE TABLE usage_otherwise PARTITION OF usage DEFAULT;
SELECT protect('usage_otherwise');

-- Makes the partition of a month, if it is not there. The controller calls it ahead of time.
CREATE FUNCTION usage_month(p_day date) RETURNS void
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = kennet, pg_temp AS $$
DECLARE
  first date := date_trunc('month', p_day);
  part text := 'usage_' || to_char(first, 'YYYY_MM');
BEGIN
  IF to_regclass(part) IS NULL THEN
    EXECUTE format('CREATE TABLE %I PARTITION OF usage FOR VALUES FROM (%L) TO (%L)',
                   part, first, first + interval '1 month');
    PERFORM protect(part::regclass);
  END IF;
EXCEPTION WHEN duplicate_table OR unique_violation THEN
  NULL; -- Another controller was faster.
END $$;
REVOKE ALL ON FUNCTION usage_month(date) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION usage_month(date) TO kennet_ingest;

-- Records that this version does not understand, as they came.
CREATE TABLE journal_odd (
  tenant_id uuid NOT NULL,
  edge_id   uuid NOT NULL,
  epoch     uuid NOT NULL,
  seq       bigint NOT NULL,
  reason    text NOT NULL,
  record    bytea NOT NULL,
  booked_at timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, edge_id, epoch, seq)
);
SELECT protect('journal_odd');
GRANT SELECT, INSERT ON journal_odd TO kennet_ingest;
GRANT SELECT ON journal_odd TO kennet_app;

-- Why somebody cannot log in, by the hour: for the help desk.
CREATE TABLE auth_failure (
  tenant_id uuid NOT NULL,
  username  text NOT NULL,
  edge_id   uuid NOT NULL,
  nas_name  text NOT NULL,
  reason    text NOT NULL,
  hour      timestamptz NOT NULL,
  count     bigint NOT NULL CHECK (count > 0),
  last_at   timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, username, edge_id, nas_name, reason, hour)
) WITH (fillfactor = 80);
SELECT protect('auth_failure');
GRANT SELECT, INSERT, UPDATE (count, last_at) ON auth_failure TO kennet_ingest;
GRANT SELECT ON auth_failure TO kennet_app;
