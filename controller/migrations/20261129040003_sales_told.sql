-- Resellers are told of vouchers that were sold to them, as subscribers are told of what is theirs.

ALTER TABLE message_occasion
  ALTER COLUMN subscriber_id DROP NOT NULL,
  ADD COLUMN reseller_id uuid,
  ADD FOREIGN KEY (tenant_id, reseller_id) REFERENCES reseller,
  ADD CONSTRAINT message_occasion_reader CHECK (num_nonnulls(subscriber_id, reseller_id) = 1);

CREATE FUNCTION voucher_sale_tell() RETURNS trigger
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = kennet, pg_temp AS $$
BEGIN
  IF tells(NEW.tenant_id) THEN
    INSERT INTO message_occasion (tenant_id, kind, key, reseller_id, facts, subject_id, at)
      SELECT NEW.tenant_id, 'sale', NEW.id::text, NEW.reseller_id,
             jsonb_build_object('plan', p.name, 'count', NEW.qty::text,
                                'cents', NEW.face_cents - NEW.commission_cents, 'at', NEW.at),
             NEW.id, NEW.at
        FROM voucher_batch b
        JOIN plan_version v ON v.tenant_id = b.tenant_id AND v.id = b.plan_version_id
        JOIN plan p ON p.tenant_id = b.tenant_id AND p.id = v.plan_id
       WHERE b.tenant_id = NEW.tenant_id AND b.id = NEW.batch_id
    ON CONFLICT DO NOTHING;
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER voucher_sale_tell AFTER INSERT ON voucher_sale
  FOR EACH ROW WHEN (NEW.reseller_id IS NOT NULL) EXECUTE FUNCTION voucher_sale_tell();
