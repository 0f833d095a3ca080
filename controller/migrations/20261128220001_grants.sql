-- A rate that was in force stays: books of that day could not be computed again without it.
CREATE FUNCTION rate_guard() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  zone    text;
  today   date;
  changes date;
  used    boolean := false;
BEGIN
  SELECT tz INTO STRICT zone FROM tenant WHERE tenant_id = OLD.tenant_id;
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
CREATE TRIGGER rate_guard BEFORE UPDATE OR DELETE ON tax_rate
  FOR EACH ROW EXECUTE FUNCTION rate_guard();
CREATE TRIGGER append_only_t BEFORE TRUNCATE ON tax_rate EXECUTE FUNCTION append_only();
CREATE TRIGGER rate_guard BEFORE UPDATE OR DELETE ON commission_rule
  FOR EACH ROW EXECUTE FUNCTION rate_guard();
CREATE TRIGGER append_only_t BEFORE TRUNCATE ON commission_rule EXECUTE FUNCTION append_only();
