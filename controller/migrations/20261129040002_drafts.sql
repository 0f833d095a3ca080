-- A draft of an invoice can be worked on: its lines, until when it is to be paid, and what is written
-- under it. Every change is a version, so that two who work on it do not overwrite each other.

ALTER TABLE invoice
  ADD COLUMN notes   text CHECK (length(notes) BETWEEN 1 AND 4000),
  ADD COLUMN version bigint NOT NULL DEFAULT 1;
GRANT INSERT (notes), UPDATE (notes) ON invoice TO kennet_app;

CREATE OR REPLACE FUNCTION invoice_guard() RETURNS trigger
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = kennet, pg_temp AS $$
BEGIN
  IF TG_OP = 'DELETE' THEN
    IF OLD.state <> 'draft' THEN
      RAISE EXCEPTION 'an issued invoice cannot be deleted'
        USING ERRCODE = 'check_violation', CONSTRAINT = 'invoice_guard';
    END IF;
    RETURN OLD;
  END IF;
  IF TG_OP = 'INSERT' THEN
    IF NEW.state <> 'draft' THEN
      RAISE EXCEPTION 'an invoice starts as a draft'
        USING ERRCODE = 'check_violation', CONSTRAINT = 'invoice_guard';
    END IF;
    RETURN NEW;
  END IF;
  NEW.version := OLD.version + 1;
  IF OLD.state = 'draft' AND NEW.state = 'finalised' THEN
    SELECT sum(net_cents), sum(excise_cents), sum(vat_cents)
      INTO NEW.net_cents, NEW.excise_cents, NEW.vat_cents
      FROM invoice_line WHERE tenant_id = NEW.tenant_id AND invoice_id = NEW.id;
    IF NEW.net_cents IS NULL THEN
      RAISE EXCEPTION 'an invoice needs a line'
        USING ERRCODE = 'check_violation', CONSTRAINT = 'invoice_needs_a_line';
    END IF;
    NEW.number := take_number(NEW.series);
  ELSIF OLD.state = 'draft' THEN
    IF NEW.number IS NOT NULL OR NEW.state = 'void' THEN
      RAISE EXCEPTION 'a draft has no number and is deleted, not voided'
        USING ERRCODE = 'check_violation', CONSTRAINT = 'invoice_guard';
    END IF;
  ELSIF (NEW.number, NEW.series, NEW.subscriber_id, NEW.issued_at, NEW.due_on, NEW.notes,
         NEW.net_cents, NEW.excise_cents, NEW.vat_cents)
        IS DISTINCT FROM
        (OLD.number, OLD.series, OLD.subscriber_id, OLD.issued_at, OLD.due_on, OLD.notes,
         OLD.net_cents, OLD.excise_cents, OLD.vat_cents)
     OR (NEW.state <> OLD.state AND NOT (OLD.state = 'finalised' AND NEW.state = 'void')) THEN
    RAISE EXCEPTION 'an issued invoice is immutable'
      USING ERRCODE = 'check_violation', CONSTRAINT = 'invoice_guard';
  END IF;
  RETURN NEW;
END $$;
