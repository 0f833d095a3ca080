-- What came of asking a NAS to end or to change a session (RFC 5176): what it said, and what the
-- edge saw afterwards. For people: it moves no session and no books, a stop does.
CREATE TABLE session_effect (
  tenant_id   uuid NOT NULL,
  edge_id     uuid NOT NULL,
  epoch       uuid NOT NULL,
  seq         bigint NOT NULL,
  -- As the edge says: it is shown only where the session is of the same edge.
  session_id  uuid NOT NULL,
  nas_name    text NOT NULL,
  asked       text NOT NULL CHECK (asked IN ('unknown', 'disconnect', 'change')),
  asked_at    timestamptz NOT NULL,
  answered    text NOT NULL CHECK (answered IN ('unknown', 'ack', 'nak', 'silence', 'not_asked')),
  -- Error-Cause, RFC 5176 §3.5.
  error_cause int CHECK (error_cause > 0),
  observed    text NOT NULL CHECK (observed IN ('unknown', 'ended', 'changed', 'still_there')),
  -- From asking to observing.
  after_ms    bigint NOT NULL CHECK (after_ms >= 0),
  PRIMARY KEY (tenant_id, edge_id, epoch, seq)
);
CREATE INDEX session_effect_session ON session_effect (tenant_id, session_id, asked_at);
SELECT protect('session_effect');
GRANT SELECT, INSERT ON session_effect TO kennet_ingest;
GRANT SELECT ON session_effect TO kennet_app;
