-- What was made by mistake can be deleted again, as long as nothing hangs on it. The foreign keys
-- decide: each of these says `done`, `unknown`, or the table that keeps it. The program has no right
-- of its own to delete any.

-- A plan takes its versions along; while it is there, they stay as they were.
CREATE FUNCTION plan_version_guard() RETURNS trigger
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = kennet, pg_temp AS $$
BEGIN
  IF TG_OP = 'DELETE' AND NOT EXISTS (SELECT FROM plan WHERE tenant_id = OLD.tenant_id
                                         AND id = OLD.plan_id) THEN
    RETURN OLD;
  END IF;
  RAISE EXCEPTION 'plan_version is append only' USING ERRCODE = 'insufficient_privilege';
END $$;
DROP TRIGGER append_only ON plan_version;
CREATE TRIGGER plan_version_guard BEFORE UPDATE OR DELETE ON plan_version
  FOR EACH ROW EXECUTE FUNCTION plan_version_guard();
ALTER TABLE plan_version
  DROP CONSTRAINT plan_version_tenant_id_plan_id_fkey,
  ADD FOREIGN KEY (tenant_id, plan_id) REFERENCES plan ON DELETE CASCADE;

CREATE FUNCTION plan_fup_step_guard() RETURNS trigger
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = kennet, pg_temp AS $$
BEGIN
  IF TG_OP = 'DELETE' AND NOT EXISTS (SELECT FROM plan_version WHERE tenant_id = OLD.tenant_id
                                         AND id = OLD.plan_version_id) THEN
    RETURN OLD;
  END IF;
  RAISE EXCEPTION 'plan_fup_step is append only' USING ERRCODE = 'insufficient_privilege';
END $$;
DROP TRIGGER append_only ON plan_fup_step;
CREATE TRIGGER plan_fup_step_guard BEFORE UPDATE OR DELETE ON plan_fup_step
  FOR EACH ROW EXECUTE FUNCTION plan_fup_step_guard();
ALTER TABLE plan_fup_step
  DROP CONSTRAINT plan_fup_step_tenant_id_plan_version_id_fkey,
  ADD FOREIGN KEY (tenant_id, plan_version_id) REFERENCES plan_version ON DELETE CASCADE;

CREATE FUNCTION delete_plan(p_plan uuid) RETURNS text
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = kennet, pg_temp AS $$
DECLARE
  holds text;
BEGIN
  DELETE FROM plan WHERE tenant_id = current_tenant() AND id = p_plan;
  RETURN CASE WHEN FOUND THEN 'done' ELSE 'unknown' END;
EXCEPTION WHEN foreign_key_violation THEN
  GET STACKED DIAGNOSTICS holds = TABLE_NAME;
  RETURN holds;
END $$;
REVOKE ALL ON FUNCTION delete_plan(uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION delete_plan(uuid) TO kennet_app;

-- What only says how a subscriber logs in and is written to goes along. Sessions and accounts of the
-- ledger name subscribers without a key.
CREATE FUNCTION delete_subscriber(p_subscriber uuid) RETURNS text
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = kennet, pg_temp AS $$
DECLARE
  t     uuid := current_tenant();
  holds text;
BEGIN
  PERFORM FROM subscriber WHERE tenant_id = t AND id = p_subscriber FOR UPDATE;
  IF NOT FOUND THEN
    RETURN 'unknown';
  ELSIF held(t, p_subscriber) THEN
    RETURN 'held';
  ELSIF EXISTS (SELECT FROM session WHERE tenant_id = t AND subscriber_id = p_subscriber) THEN
    RETURN 'session';
  ELSIF EXISTS (SELECT FROM ledger_account WHERE tenant_id = t
                   AND code IN ('wallet:' || p_subscriber, 'ar:' || p_subscriber,
                                'deposit:' || p_subscriber)) THEN
    RETURN 'ledger_account';
  END IF;
  DELETE FROM subscriber_device WHERE tenant_id = t AND subscriber_id = p_subscriber;
  DELETE FROM message_consent WHERE tenant_id = t AND subscriber_id = p_subscriber;
  DELETE FROM subscriber WHERE tenant_id = t AND id = p_subscriber;
  RETURN 'done';
EXCEPTION WHEN foreign_key_violation THEN
  GET STACKED DIAGNOSTICS holds = TABLE_NAME;
  RETURN holds;
END $$;
REVOKE ALL ON FUNCTION delete_subscriber(uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION delete_subscriber(uuid) TO kennet_app;

-- A tenant takes its rates along; while it is there, they stay as they were.
CREATE OR REPLACE FUNCTION rate_guard() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  zone    text;
  today   date;
  changes date;
  used    boolean := false;
BEGIN
  SELECT tz INTO zone FROM tenant WHERE tenant_id = OLD.tenant_id;
  IF NOT FOUND AND TG_OP = 'DELETE' THEN
    RETURN OLD;
  END IF;
  today := (now() AT TIME ZONE zone)::date;
  IF TG_OP = 'DELETE' THEN
    changes := lower(OLD.during);
  ELSIF NEW.rate_bp <> OLD.rate_bp OR lower(NEW.during) <> lower(OLD.during) THEN
    changes := least(lower(OLD.during), lower(NEW.during));
  ELSE
    changes := least(coalesce(upper(OLD.during), 'infinity'),
                     coalesce(upper(NEW.during), 'infinity'));
  END IF;
  IF changes = today THEN
    IF TG_TABLE_NAME = 'tax_rate' THEN
      SELECT EXISTS (SELECT FROM invoice
                      WHERE tenant_id = OLD.tenant_id
                        AND issued_at >= today::timestamp AT TIME ZONE zone) INTO used;
    ELSE
      SELECT EXISTS (SELECT FROM voucher_sale
                      WHERE tenant_id = OLD.tenant_id AND reseller_id = OLD.reseller_id
                        AND at >= today::timestamp AT TIME ZONE zone) INTO used;
    END IF;
  END IF;
  IF changes < today OR used THEN
    RAISE EXCEPTION 'a rate that was in force stays as it was'
      USING ERRCODE = 'check_violation', CONSTRAINT = 'rate_guard';
  END IF;
  IF TG_OP = 'DELETE' THEN
    RETURN OLD;
  END IF;
  RETURN NEW;
END $$;
ALTER TABLE tax_rate
  DROP CONSTRAINT tax_rate_tenant_id_fkey,
  ADD FOREIGN KEY (tenant_id) REFERENCES tenant ON DELETE CASCADE;

-- What a tenant begins with, and what runs by itself, goes along. As soon as anybody did anything
-- there, its audit log holds it.
CREATE FUNCTION delete_tenant(p_tenant uuid) RETURNS text
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = kennet, pg_temp AS $$
DECLARE
  before text := coalesce(current_setting('kennet.tenant_id', true), '');
  said   text;
BEGIN
  IF p_tenant = '00000000-0000-0000-0000-000000000000' THEN
    RETURN 'unknown';
  END IF;
  PERFORM set_config('kennet.tenant_id', p_tenant::text, true);
  BEGIN
    PERFORM FROM tenant WHERE tenant_id = p_tenant FOR UPDATE;
    DELETE FROM job WHERE tenant_id = p_tenant;
    DELETE FROM books WHERE tenant_id = p_tenant;
    DELETE FROM number_series WHERE tenant_id = p_tenant;
    DELETE FROM tenant WHERE tenant_id = p_tenant;
    said := CASE WHEN FOUND THEN 'done' ELSE 'unknown' END;
  EXCEPTION WHEN foreign_key_violation THEN
    GET STACKED DIAGNOSTICS said = TABLE_NAME;
  END;
  PERFORM set_config('kennet.tenant_id', before, true);
  RETURN said;
END $$;
REVOKE ALL ON FUNCTION delete_tenant(uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION delete_tenant(uuid) TO kennet_auth;
