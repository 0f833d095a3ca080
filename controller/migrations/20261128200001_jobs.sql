-- Work that is done at a time, once, by whichever controller comes first.
--
-- A row is one thing to do, known by its key: who asks for it twice has asked once. A controller
-- takes a row for a while (a lease); one that dies with it loses it to the next.

DO $$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'kennet_jobs') THEN
    BEGIN
      CREATE ROLE kennet_jobs NOLOGIN NOBYPASSRLS;
    EXCEPTION WHEN duplicate_object OR unique_violation THEN
      NULL; -- Roles belong to the cluster: another database's migration was faster.
    END;
  END IF;
  IF NOT pg_has_role(current_user, 'kennet_jobs', 'MEMBER') THEN
    GRANT kennet_jobs TO CURRENT_USER;
  END IF;
END $$;
GRANT USAGE ON SCHEMA kennet TO kennet_jobs;

CREATE TABLE job (
  tenant_id    uuid NOT NULL REFERENCES tenant,
  kind         text NOT NULL CHECK (kind ~ '^[a-z]+(\.[a-z]+)*$'),
  key          text NOT NULL CHECK (length(key) BETWEEN 1 AND 128),
  -- The time that it is about: a night's job is about that midnight, whenever it is done.
  due_at       timestamptz NOT NULL,
  -- Not before. Later than `due_at` after an attempt that failed.
  try_at       timestamptz NOT NULL,
  attempts     int NOT NULL DEFAULT 0 CHECK (attempts >= 0),
  last_error   text CHECK (length(last_error) <= 1000),
  lease        uuid,
  leased_until timestamptz,
  done_at      timestamptz,
  PRIMARY KEY (tenant_id, kind, key),
  CHECK ((lease IS NULL) = (leased_until IS NULL)),
  CHECK (done_at IS NULL OR lease IS NULL)
) WITH (fillfactor = 70);
CREATE INDEX job_due ON job (try_at) WHERE done_at IS NULL;
SELECT protect('job');
CREATE POLICY every_job ON job TO kennet_jobs USING (true) WITH CHECK (true);
GRANT SELECT, INSERT (tenant_id, kind, key, due_at, try_at) ON job TO kennet_app;
GRANT SELECT, INSERT, UPDATE ON job TO kennet_jobs;
CREATE POLICY every_tenant_jobs ON tenant FOR SELECT TO kennet_jobs USING (true);
GRANT SELECT ON tenant TO kennet_jobs;
