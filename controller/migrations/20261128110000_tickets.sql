-- What somebody complains about or asks for, and how long it has been waiting for us.

CREATE TABLE ticket (
  tenant_id       uuid NOT NULL REFERENCES tenant,
  id              uuid NOT NULL,
  -- What the subscriber is told to name it by.
  reference       text NOT NULL CHECK (reference ~ '^TKT-[0-9]{6,}$'),
  subscriber_id   uuid,
  subject         text NOT NULL CHECK (length(subject) BETWEEN 1 AND 100),
  channel         text NOT NULL CHECK (channel IN
                  ('phone', 'counter', 'email', 'sms', 'whatsapp', 'portal')),
  priority        text NOT NULL CHECK (priority IN ('urgent', 'high', 'normal', 'low')),
  state           text NOT NULL DEFAULT 'open' CHECK (state IN
                  ('open', 'working', 'waiting', 'resolved', 'closed')),
  assigned_to     uuid,
  opened_at       timestamptz NOT NULL,
  acknowledged_at timestamptz,
  resolved_at     timestamptz,
  -- The clock stands still while we wait for the subscriber.
  waiting_since   timestamptz,
  waited_seconds  bigint NOT NULL DEFAULT 0 CHECK (waited_seconds >= 0),
  version         bigint NOT NULL DEFAULT 1,
  PRIMARY KEY (tenant_id, id),
  CONSTRAINT ticket_reference UNIQUE (tenant_id, reference),
  FOREIGN KEY (tenant_id, subscriber_id) REFERENCES subscriber,
  FOREIGN KEY (tenant_id, assigned_to) REFERENCES operator,
  CHECK ((state = 'waiting') = (waiting_since IS NOT NULL)),
  CHECK ((state IN ('resolved', 'closed')) = (resolved_at IS NOT NULL)),
  CHECK (state = 'open' OR acknowledged_at IS NOT NULL)
);
CREATE INDEX ticket_subscriber ON ticket (tenant_id, subscriber_id, id)
  WHERE subscriber_id IS NOT NULL;
CREATE INDEX ticket_open ON ticket (tenant_id, id) WHERE state NOT IN ('resolved', 'closed');
SELECT protect('ticket');
GRANT SELECT, INSERT, UPDATE (subject, priority, state, assigned_to, acknowledged_at, resolved_at,
  waiting_since, waited_seconds, version) ON ticket TO kennet_app;

-- What was said and done about it; stays as it was written.
CREATE TABLE ticket_note (
  tenant_id uuid NOT NULL,
  id        uuid NOT NULL,
  ticket_id uuid NOT NULL,
  at        timestamptz NOT NULL,
  author    text NOT NULL,
  body      text NOT NULL CHECK (length(body) BETWEEN 1 AND 4000),
  PRIMARY KEY (tenant_id, id),
  FOREIGN KEY (tenant_id, ticket_id) REFERENCES ticket
);
CREATE INDEX ticket_note_ticket ON ticket_note (tenant_id, ticket_id, id);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON ticket_note
  FOR EACH ROW EXECUTE FUNCTION append_only();
CREATE TRIGGER append_only_t BEFORE TRUNCATE ON ticket_note EXECUTE FUNCTION append_only();
SELECT protect('ticket_note');
GRANT SELECT, INSERT ON ticket_note TO kennet_app;
