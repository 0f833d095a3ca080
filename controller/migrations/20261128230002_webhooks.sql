-- Programs of the tenant's own that are told what was changed: each change that is written to the
-- audit log is told, because its telling is written with it.

CREATE TABLE webhook (
  tenant_id     uuid NOT NULL REFERENCES tenant,
  id            uuid NOT NULL,
  url           text NOT NULL CHECK (length(url) <= 500 AND url ~ '^https?://'),
  -- Actions of the audit log: `invoice.finalise`, all of a noun as `invoice.*`, or all as `*`.
  events        text[] NOT NULL CHECK (cardinality(events) BETWEEN 1 AND 32),
  -- What it is signed with.
  secret_sealed bytea NOT NULL,
  active        boolean NOT NULL DEFAULT true,
  version       bigint NOT NULL DEFAULT 1,
  created_at    timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, id)
);
SELECT protect('webhook');
GRANT SELECT, INSERT, UPDATE (url, events, active, version) ON webhook TO kennet_app;

-- One change that one webhook is told of.
CREATE TABLE webhook_delivery (
  tenant_id    uuid NOT NULL,
  webhook_id   uuid NOT NULL,
  audit_id     uuid NOT NULL,
  event        text NOT NULL,
  state        text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'delivered', 'dead')),
  attempts     int NOT NULL DEFAULT 0 CHECK (attempts >= 0),
  -- When it is tried next.
  due_at       timestamptz NOT NULL,
  -- What was answered last; none: nothing was.
  status       int,
  error        text,
  delivered_at timestamptz,
  PRIMARY KEY (tenant_id, webhook_id, audit_id),
  FOREIGN KEY (tenant_id, webhook_id) REFERENCES webhook,
  FOREIGN KEY (tenant_id, audit_id) REFERENCES audit_log,
  CHECK ((state = 'delivered') = (delivered_at IS NOT NULL))
) WITH (fillfactor = 80);
CREATE INDEX webhook_delivery_due ON webhook_delivery (tenant_id, due_at) WHERE state = 'waiting';
SELECT protect('webhook_delivery');
GRANT SELECT, UPDATE (state, attempts, due_at, status, error, delivered_at)
  ON webhook_delivery TO kennet_app;

CREATE FUNCTION audit_log_tell() RETURNS trigger
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = kennet, pg_temp AS $$
BEGIN
  INSERT INTO webhook_delivery (tenant_id, webhook_id, audit_id, event, due_at)
    SELECT NEW.tenant_id, w.id, NEW.id, NEW.action, NEW.at
      FROM webhook w
     WHERE w.tenant_id = NEW.tenant_id AND w.active
       AND w.events && ARRAY[NEW.action, split_part(NEW.action, '.', 1) || '.*', '*'];
  RETURN NULL;
END $$;
CREATE TRIGGER audit_log_tell AFTER INSERT ON audit_log
  FOR EACH ROW EXECUTE FUNCTION audit_log_tell();
