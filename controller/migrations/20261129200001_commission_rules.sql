-- What a reseller keeps, as it is agreed on: a percentage of the face value or of the price without
-- taxes, or so many cents; for one plan or for all; and no more than so much of each voucher.
ALTER TABLE commission_rule
  ALTER COLUMN rate_bp DROP NOT NULL,
  -- Of what the percentage is. There is no margin: nothing says what a plan costs the provider.
  ADD basis       text NOT NULL DEFAULT 'face' CHECK (basis IN ('face', 'net')),
  ADD fixed_cents bigint CHECK (fixed_cents >= 0),
  -- None: vouchers of all plans that have no rule of their own on that day.
  ADD plan_id     uuid,
  -- Of one voucher.
  ADD cap_cents   bigint CHECK (cap_cents > 0),
  ADD FOREIGN KEY (tenant_id, plan_id) REFERENCES plan,
  ADD CONSTRAINT commission_rule_amount CHECK (num_nonnulls(rate_bp, fixed_cents) = 1),
  DROP CONSTRAINT commission_rule_dates,
  -- Nothing is not equal to nothing, so that what is for all plans needs a name that no plan has.
  ADD CONSTRAINT commission_rule_dates EXCLUDE USING gist
    (tenant_id WITH =, reseller_id WITH =,
     coalesce(plan_id::text, '') WITH =, during WITH &&);

-- As before, but whatever else a rule says stays like its rate.
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
  ELSIF to_jsonb(NEW) - 'during' <> to_jsonb(OLD) - 'during'
        OR lower(NEW.during) <> lower(OLD.during) THEN
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
