-- How long what names people is kept, and what is kept although somebody asks that it is not.
-- Books and the audit log are kept: the law wants them.

-- Days by class; no row: the defaults.
CREATE TABLE retention_policy (
  tenant_id     uuid PRIMARY KEY REFERENCES tenant,
  -- Who was on-line when, with which device and address.
  session_days  int NOT NULL DEFAULT 365 CHECK (session_days BETWEEN 90 AND 3650),
  -- Logins that failed.
  auth_days     int NOT NULL DEFAULT 90 CHECK (auth_days BETWEEN 7 AND 3650),
  -- What was told to whom, and what providers reported of it.
  message_days  int NOT NULL DEFAULT 365 CHECK (message_days BETWEEN 7 AND 3650),
  -- What webhooks were told.
  webhook_days  int NOT NULL DEFAULT 30 CHECK (webhook_days BETWEEN 7 AND 3650),
  -- What payment providers called back, as it came; that it came is kept.
  callback_days int NOT NULL DEFAULT 90 CHECK (callback_days BETWEEN 30 AND 3650),
  version       bigint NOT NULL DEFAULT 1
);
SELECT protect('retention_policy');
GRANT SELECT, INSERT, UPDATE ON retention_policy TO kennet_app;

-- Nothing of whom it is about is deleted until it is lifted.
CREATE TABLE legal_hold (
  tenant_id     uuid NOT NULL REFERENCES tenant,
  id            uuid NOT NULL,
  -- None: everybody.
  subscriber_id uuid,
  reason        text NOT NULL CHECK (length(reason) BETWEEN 1 AND 200),
  placed_by     text NOT NULL,
  placed_at     timestamptz NOT NULL,
  lifted_by     text,
  lifted_at     timestamptz,
  PRIMARY KEY (tenant_id, id),
  FOREIGN KEY (tenant_id, subscriber_id) REFERENCES subscriber,
  CHECK ((lifted_at IS NULL) = (lifted_by IS NULL))
);
SELECT protect('legal_hold');
GRANT SELECT, INSERT, UPDATE (lifted_by, lifted_at) ON legal_hold TO kennet_app;

-- Of what nobody knows whose it is, every hold may be about.
CREATE FUNCTION held(p_tenant uuid, p_subscriber uuid) RETURNS boolean
  LANGUAGE sql STABLE SET search_path = kennet, pg_temp AS $$
  SELECT EXISTS (SELECT FROM legal_hold
                  WHERE tenant_id = p_tenant AND lifted_at IS NULL
                    AND (subscriber_id IS NULL OR p_subscriber IS NULL
                         OR subscriber_id = p_subscriber))
$$;

-- Deletes at most so many rows of a class that are older, or only counts them. The program has no
-- right of its own to delete any: what is young, held, or not done stays, whoever asks.
CREATE FUNCTION retain(p_class text, p_before timestamptz, p_limit int, p_dry boolean)
  RETURNS bigint LANGUAGE plpgsql SECURITY DEFINER SET search_path = kennet, pg_temp AS $$
DECLARE
  one   record;
  found bigint;
  total bigint := 0;
BEGIN
  IF current_tenant() IS NULL OR p_before > now() - interval '7 days' THEN
    RAISE EXCEPTION 'what is younger than a week is kept' USING ERRCODE = 'check_violation';
  END IF;
  FOR one IN SELECT * FROM (VALUES
    ('sessions', 'session',
     'x.stopped_at < $1 AND NOT held(x.tenant_id, x.subscriber_id)'),
    ('sessions', 'session_effect', 'x.asked_at < $1 AND NOT held(x.tenant_id, NULL)'),
    ('sessions', 'journal_odd', 'x.booked_at < $1 AND NOT held(x.tenant_id, NULL)'),
    ('auth', 'auth_failure',
     'x.last_at < $1 AND NOT held(x.tenant_id, (SELECT s.id FROM subscriber s
        WHERE s.tenant_id = x.tenant_id AND s.username = x.username))'),
    ('messages', 'message_report',
     'x.received_at < $1 AND x.state <> ''new'' AND NOT held(x.tenant_id, NULL)'),
    ('messages', 'message',
     'x.created_at < $1 AND x.state NOT IN (''waiting'', ''sending'')
        AND NOT held(x.tenant_id, x.subscriber_id)'),
    ('messages', 'message_occasion',
     'x.told_at < $1 AND NOT held(x.tenant_id, x.subscriber_id)'),
    ('webhooks', 'webhook_delivery',
     'x.due_at < $1 AND x.state <> ''waiting'' AND NOT held(x.tenant_id, NULL)'),
    ('keys', 'idempotency_key', 'x.created_at < $1')
  ) AS all_of (class, name, old) WHERE class = p_class
  LOOP
    IF p_dry THEN
      EXECUTE format('SELECT count(*) FROM %I x WHERE x.tenant_id = $2 AND %s', one.name, one.old)
        INTO found USING p_before, current_tenant();
    ELSE
      EXECUTE format(
        'WITH old AS (SELECT x.ctid FROM %1$I x WHERE x.tenant_id = $2 AND %2$s LIMIT $3)
         DELETE FROM %1$I x USING old WHERE x.ctid = old.ctid AND x.tenant_id = $2 AND %2$s',
        one.name, one.old) USING p_before, current_tenant(), p_limit - total;
      GET DIAGNOSTICS found = ROW_COUNT;
    END IF;
    total := total + found;
    IF total >= p_limit AND NOT p_dry THEN
      RETURN total;
    END IF;
  END LOOP;
  IF p_class = 'callbacks' AND NOT held(current_tenant(), NULL) THEN
    IF p_dry THEN
      SELECT count(*) INTO found FROM inbox_event e
        JOIN merchant m ON m.id = e.merchant_id AND m.tenant_id = current_tenant()
       WHERE e.done_at < p_before AND e.state <> 'new' AND e.raw <> '';
    ELSE
      UPDATE inbox_event SET raw = '', headers = '{}', source_ip = NULL
       WHERE id IN (SELECT e.id FROM inbox_event e
                      JOIN merchant m ON m.id = e.merchant_id AND m.tenant_id = current_tenant()
                     WHERE e.done_at < p_before AND e.state <> 'new' AND e.raw <> ''
                     LIMIT p_limit);
      GET DIAGNOSTICS found = ROW_COUNT;
    END IF;
    total := total + found;
  END IF;
  RETURN total;
END $$;
REVOKE ALL ON FUNCTION retain(text, timestamptz, int, boolean) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION retain(text, timestamptz, int, boolean) TO kennet_app;

-- Notes stay as they were written, until who they are about is forgotten.
CREATE FUNCTION ticket_note_guard() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'UPDATE' AND NEW.body = 'anonymised'
     AND (NEW.tenant_id, NEW.id, NEW.ticket_id, NEW.at, NEW.author)
         = (OLD.tenant_id, OLD.id, OLD.ticket_id, OLD.at, OLD.author) THEN
    RETURN NEW;
  END IF;
  RAISE EXCEPTION 'ticket_note is append only' USING ERRCODE = 'insufficient_privilege';
END $$;
DROP TRIGGER append_only ON ticket_note;
CREATE TRIGGER ticket_note_guard BEFORE UPDATE OR DELETE ON ticket_note
  FOR EACH ROW EXECUTE FUNCTION ticket_note_guard();

-- Takes away what names a subscriber, wherever it stands but in the books and the audit log. Who is
-- served, owes or is owed something, or is held, is not forgotten: says why not.
CREATE FUNCTION forget_subscriber(p_subscriber uuid) RETURNS text
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = kennet, pg_temp AS $$
DECLARE
  t   uuid := current_tenant();
  who subscriber%ROWTYPE;
BEGIN
  SELECT * INTO who FROM subscriber WHERE tenant_id = t AND id = p_subscriber FOR UPDATE;
  IF NOT FOUND THEN
    RETURN 'unknown';
  ELSIF who.status = 'anonymised' THEN
    RETURN 'done';
  ELSIF held(t, p_subscriber) THEN
    RETURN 'held';
  ELSIF EXISTS (SELECT FROM subscription WHERE tenant_id = t AND subscriber_id = p_subscriber
                   AND state NOT IN ('expired', 'cancelled')) THEN
    RETURN 'served';
  ELSIF EXISTS (SELECT FROM ledger_account WHERE tenant_id = t AND balance_cents <> 0
                   AND code IN ('wallet:' || p_subscriber, 'ar:' || p_subscriber,
                                'deposit:' || p_subscriber)) THEN
    RETURN 'money';
  END IF;
  UPDATE subscriber
     SET username = 'gone-' || account_no, password_sealed = NULL, full_name = 'Anonymised',
         msisdn = NULL, email = NULL, static_ip = NULL, delegated_prefix = NULL,
         status = 'anonymised', version = version + 1
   WHERE tenant_id = t AND id = p_subscriber;
  DELETE FROM subscriber_device WHERE tenant_id = t AND subscriber_id = p_subscriber;
  DELETE FROM message WHERE tenant_id = t AND subscriber_id = p_subscriber;
  DELETE FROM message_occasion WHERE tenant_id = t AND subscriber_id = p_subscriber;
  DELETE FROM message_consent WHERE tenant_id = t AND subscriber_id = p_subscriber;
  DELETE FROM auth_failure WHERE tenant_id = t AND username = who.username;
  UPDATE session SET username = NULL, mac = NULL, ip = NULL, acct_session_id = NULL
   WHERE tenant_id = t AND subscriber_id = p_subscriber;
  UPDATE payment_intent SET msisdn = NULL, email = NULL, pay_url = NULL
   WHERE tenant_id = t AND subscriber_id = p_subscriber;
  UPDATE payment SET payer = NULL, reference = NULL
   WHERE tenant_id = t AND subscriber_id = p_subscriber;
  UPDATE ticket_note SET body = 'anonymised'
   WHERE tenant_id = t AND ticket_id IN (SELECT id FROM ticket WHERE tenant_id = t
                                            AND subscriber_id = p_subscriber);
  UPDATE ticket SET subject = 'anonymised' WHERE tenant_id = t AND subscriber_id = p_subscriber;
  RETURN 'done';
END $$;
REVOKE ALL ON FUNCTION forget_subscriber(uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION forget_subscriber(uuid) TO kennet_app;
