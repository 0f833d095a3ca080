-- Roles, the tenant of a transaction, and what every tenant table gets.
--
-- The program logs in once and then works as one of three roles, none of which owns a table or
-- passes by row level security:
--   kennet_app     staff at the API; one tenant per transaction
--   kennet_ingest  what edges report and are told; one tenant per transaction
--   kennet_auth    does not know the tenant yet: finds the operator behind a login or a token
DO $$
DECLARE
  role_name text;
BEGIN
  FOREACH role_name IN ARRAY ARRAY['kennet_app', 'kennet_ingest', 'kennet_auth'] LOOP
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role_name) THEN
      BEGIN
        EXECUTE format('CREATE ROLE %I NOLOGIN NOBYPASSRLS', role_name);
      EXCEPTION WHEN duplicate_object OR unique_violation THEN
        NULL; -- Roles belong to the cluster: another database's migration was faster.
      END;
    END IF;
    IF NOT pg_has_role(current_user, role_name, 'MEMBER') THEN
      EXECUTE format('GRANT %I TO CURRENT_USER', role_name);
    END IF;
  END LOOP;
END $$;

GRANT USAGE ON SCHEMA kennet TO kennet_app, kennet_ingest, kennet_auth;

-- A setting that was local to an earlier transaction of the same connection reads '' and not NULL,
-- hence nullif(). Without a tenant there are no rows: it fails closed.
CREATE FUNCTION current_tenant() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE
  AS $$ SELECT nullif(current_setting('kennet.tenant_id', true), '')::uuid $$;

-- Every table with a tenant_id is given to this function by the migration that makes it.
CREATE FUNCTION protect(p_table regclass) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', p_table);
  EXECUTE format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', p_table);
  -- The owner is named for the functions that run with its rights: they too see one tenant.
  EXECUTE format(
    'CREATE POLICY tenant_isolation ON %s TO kennet_app, kennet_ingest, CURRENT_USER '
    'USING (tenant_id = (SELECT kennet.current_tenant())) '
    'WITH CHECK (tenant_id = (SELECT kennet.current_tenant()))', p_table);
END $$;
REVOKE ALL ON FUNCTION protect(regclass) FROM PUBLIC;

CREATE FUNCTION append_only() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '% is append only', TG_TABLE_NAME USING ERRCODE = 'insufficient_privilege';
END $$;
