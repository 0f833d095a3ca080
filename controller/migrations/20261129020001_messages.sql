-- Messages: what subscribers and staff are told by e-mail, SMS and WhatsApp.
--
-- What happens is an occasion, written in the transaction in which it happens. Of it messages are
-- made, once for each channel and recipient, and sent when it is their time.

-- Who carries messages for a tenant. One at a time for each channel.
CREATE TABLE message_provider (
  tenant_id      uuid NOT NULL REFERENCES tenant,
  id             uuid NOT NULL,
  channel        text NOT NULL CHECK (channel IN ('email', 'sms', 'whatsapp')),
  name           text NOT NULL CHECK (length(name) BETWEEN 1 AND 100),
  -- Where it is and who we are there; `kind`: smtp, africastalking, http, cloud.
  setup          jsonb NOT NULL,
  -- What opens it, and what is in the address that it reports to.
  secrets_sealed bytea NOT NULL,
  token_sealed   bytea NOT NULL,
  token_hash     bytea NOT NULL CHECK (octet_length(token_hash) = 32),
  active         boolean NOT NULL DEFAULT true,
  version        bigint NOT NULL DEFAULT 1,
  created_at     timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, id)
);
CREATE UNIQUE INDEX message_provider_active ON message_provider (tenant_id, channel) WHERE active;
-- A report names nothing but its address.
CREATE UNIQUE INDEX message_provider_token ON message_provider (token_hash);
SELECT protect('message_provider');
CREATE POLICY every_message_provider ON message_provider FOR SELECT TO kennet_callback USING (true);
GRANT SELECT, INSERT, UPDATE (name, setup, secrets_sealed, active, version) ON message_provider
  TO kennet_app;
GRANT SELECT (tenant_id, id, token_hash) ON message_provider TO kennet_callback;

-- When messages are not sent, and how they are written if nobody says otherwise.
CREATE TABLE message_policy (
  tenant_id   uuid PRIMARY KEY REFERENCES tenant,
  language    text NOT NULL DEFAULT 'en' CHECK (language IN ('en', 'sw')),
  -- In the tenant's time zone; the same: never.
  quiet_from  time NOT NULL DEFAULT '21:00',
  quiet_until time NOT NULL DEFAULT '07:00',
  version     bigint NOT NULL DEFAULT 1
);
SELECT protect('message_policy');
GRANT SELECT, INSERT, UPDATE ON message_policy TO kennet_app;

-- What a tenant has changed of a kind of message: how it goes, and its texts.
CREATE TABLE message_template (
  tenant_id uuid NOT NULL REFERENCES tenant,
  kind      text NOT NULL CHECK (kind ~ '^[a-z]{1,20}$'),
  channels  text[] NOT NULL CHECK (channels <@ ARRAY['email', 'sms', 'whatsapp']),
  texts     jsonb NOT NULL,
  version   bigint NOT NULL DEFAULT 1,
  PRIMARY KEY (tenant_id, kind)
);
SELECT protect('message_template');
GRANT SELECT, INSERT, UPDATE ON message_template TO kennet_app;

-- What a subscriber has said about being written to. None: e-mail and SMS about their account,
-- and nothing else.
CREATE TABLE message_consent (
  tenant_id     uuid NOT NULL,
  subscriber_id uuid NOT NULL,
  language      text CHECK (language IN ('en', 'sw')),
  transactional text[] NOT NULL CHECK (transactional <@ ARRAY['email', 'sms', 'whatsapp']),
  marketing     text[] NOT NULL CHECK (marketing <@ ARRAY['email', 'sms', 'whatsapp']),
  -- The proof of it: who wrote it down, and when.
  said_by       text NOT NULL,
  said_at       timestamptz NOT NULL,
  version       bigint NOT NULL DEFAULT 1,
  PRIMARY KEY (tenant_id, subscriber_id),
  FOREIGN KEY (tenant_id, subscriber_id) REFERENCES subscriber
);
SELECT protect('message_consent');
GRANT SELECT, INSERT, UPDATE ON message_consent TO kennet_app;

-- What happened that somebody is to be told. Written by triggers, and only where there is a
-- provider; told once.
CREATE TABLE message_occasion (
  tenant_id     uuid NOT NULL REFERENCES tenant,
  kind          text NOT NULL,
  key           text NOT NULL CHECK (length(key) BETWEEN 1 AND 128),
  subscriber_id uuid NOT NULL,
  -- What texts may name, and what it is about.
  facts         jsonb NOT NULL,
  subject_id    uuid NOT NULL,
  at            timestamptz NOT NULL,
  told_at       timestamptz,
  PRIMARY KEY (tenant_id, kind, key),
  FOREIGN KEY (tenant_id, subscriber_id) REFERENCES subscriber
) WITH (fillfactor = 80);
CREATE INDEX message_occasion_new ON message_occasion (tenant_id, at) WHERE told_at IS NULL;
SELECT protect('message_occasion');
GRANT SELECT, UPDATE (told_at) ON message_occasion TO kennet_app;

CREATE TABLE message (
  tenant_id     uuid NOT NULL REFERENCES tenant,
  id            uuid NOT NULL,
  kind          text NOT NULL,
  -- What it was made of; the same is not told to the same twice.
  key           text NOT NULL CHECK (length(key) BETWEEN 1 AND 128),
  class         text NOT NULL CHECK (class IN ('transactional', 'marketing')),
  channel       text NOT NULL CHECK (channel IN ('email', 'sms', 'whatsapp')),
  language      text NOT NULL CHECK (language IN ('en', 'sw')),
  recipient     text NOT NULL CHECK (length(recipient) BETWEEN 1 AND 254),
  subscriber_id uuid,
  subject       text NOT NULL,
  -- Without what only the recipient may know: that is sealed, and removed when it was sent.
  body          text NOT NULL,
  secret_sealed bytea,
  -- WhatsApp: what is put into the approved text.
  facts         text[] NOT NULL DEFAULT '{}',
  -- The invoice that is attached.
  attachment    uuid,
  -- SMS: in how many parts it is sent.
  segments      smallint CHECK (segments > 0),
  state         text NOT NULL CHECK (state IN
                ('waiting', 'sending', 'sent', 'delivered', 'dead', 'withheld')),
  attempts      int NOT NULL DEFAULT 0 CHECK (attempts >= 0),
  due_at        timestamptz NOT NULL,
  lease         uuid,
  leased_until  timestamptz,
  -- Who has it, and what it is called there.
  provider_id   uuid,
  reference     text CHECK (length(reference) <= 300),
  cost_micros   bigint CHECK (cost_micros >= 0),
  cost_currency char(3),
  -- Why it was not sent, or not delivered.
  said          text CHECK (length(said) <= 1000),
  created_at    timestamptz NOT NULL,
  sent_at       timestamptz,
  done_at       timestamptz,
  PRIMARY KEY (tenant_id, id),
  CONSTRAINT message_once UNIQUE (tenant_id, kind, key, channel, recipient),
  FOREIGN KEY (tenant_id, subscriber_id) REFERENCES subscriber,
  FOREIGN KEY (tenant_id, provider_id) REFERENCES message_provider,
  CHECK ((lease IS NULL) = (leased_until IS NULL)),
  CHECK ((state = 'sending') = (lease IS NOT NULL)),
  CHECK ((cost_micros IS NULL) = (cost_currency IS NULL)),
  CHECK (state NOT IN ('sent', 'delivered') OR (sent_at IS NOT NULL AND secret_sealed IS NULL))
) WITH (fillfactor = 70);
CREATE INDEX message_due ON message (tenant_id, due_at) WHERE state = 'waiting';
CREATE INDEX message_leased ON message (tenant_id, leased_until) WHERE state = 'sending';
CREATE INDEX message_reference ON message (tenant_id, provider_id, reference)
  WHERE reference IS NOT NULL;
CREATE INDEX message_subscriber ON message (tenant_id, subscriber_id, id)
  WHERE subscriber_id IS NOT NULL;
SELECT protect('message');
GRANT SELECT, INSERT, UPDATE (secret_sealed, state, attempts, due_at, lease, leased_until,
  provider_id, reference, cost_micros, cost_currency, said, sent_at, done_at) ON message
  TO kennet_app;

-- What providers report is kept as it came, answered at once, and applied later.
CREATE TABLE message_report (
  tenant_id   uuid NOT NULL,
  id          uuid NOT NULL,
  provider_id uuid NOT NULL,
  raw         bytea NOT NULL,
  headers     jsonb NOT NULL,
  received_at timestamptz NOT NULL,
  state       text NOT NULL DEFAULT 'new' CHECK (state IN ('new', 'applied', 'set_aside')),
  said        text CHECK (length(said) <= 1000),
  PRIMARY KEY (tenant_id, id),
  FOREIGN KEY (tenant_id, provider_id) REFERENCES message_provider
);
CREATE INDEX message_report_new ON message_report (tenant_id, id) WHERE state = 'new';
SELECT protect('message_report');
CREATE POLICY any_message_report ON message_report FOR INSERT TO kennet_callback WITH CHECK (true);
GRANT INSERT (tenant_id, id, provider_id, raw, headers, received_at) ON message_report
  TO kennet_callback;
GRANT SELECT, UPDATE (state, said) ON message_report TO kennet_app;

-- Nobody is told by a tenant without a provider.
CREATE FUNCTION tells(p_tenant uuid) RETURNS boolean
  LANGUAGE sql STABLE SET search_path = kennet, pg_temp
  AS $$ SELECT EXISTS (SELECT FROM message_provider WHERE tenant_id = p_tenant AND active) $$;

CREATE FUNCTION subscription_notice_tell() RETURNS trigger
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = kennet, pg_temp AS $$
BEGIN
  INSERT INTO message_occasion (tenant_id, kind, key, subscriber_id, facts, subject_id, at)
    SELECT n.tenant_id, split_part(n.step, ':', 1),
           format('%s:%s:%s', n.subscription_id, extract(epoch FROM n.about)::bigint, n.step),
           s.subscriber_id,
           jsonb_build_object('cents', n.cents, 'at', n.about, 'plan', p.name,
                              'days', split_part(n.step, ':', 2)),
           n.subscription_id, n.at
      FROM fresh n
      JOIN subscription s ON s.tenant_id = n.tenant_id AND s.id = n.subscription_id
      JOIN plan_version v ON v.tenant_id = n.tenant_id AND v.id = s.plan_version_id
      JOIN plan p ON p.tenant_id = n.tenant_id AND p.id = v.plan_id
     WHERE tells(n.tenant_id)
       AND split_part(n.step, ':', 1) IN
           ('remind', 'renewed', 'grace', 'walled', 'suspended', 'expired')
  ON CONFLICT DO NOTHING;
  RETURN NULL;
END $$;
CREATE TRIGGER subscription_notice_tell AFTER INSERT ON subscription_notice
  REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION subscription_notice_tell();

CREATE FUNCTION payment_tell() RETURNS trigger
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = kennet, pg_temp AS $$
BEGIN
  IF tells(NEW.tenant_id) THEN
    INSERT INTO message_occasion (tenant_id, kind, key, subscriber_id, facts, subject_id, at)
      VALUES (NEW.tenant_id, 'payment', NEW.id::text, NEW.subscriber_id,
              jsonb_build_object('cents', NEW.amount_cents, 'at', NEW.paid_at,
                                 'receipt', NEW.receipt), NEW.id, NEW.created_at)
    ON CONFLICT DO NOTHING;
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER payment_tell AFTER INSERT OR UPDATE OF subscriber_id ON payment
  FOR EACH ROW WHEN (NEW.subscriber_id IS NOT NULL) EXECUTE FUNCTION payment_tell();

CREATE FUNCTION invoice_tell() RETURNS trigger
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = kennet, pg_temp AS $$
BEGIN
  IF tells(NEW.tenant_id) THEN
    INSERT INTO message_occasion (tenant_id, kind, key, subscriber_id, facts, subject_id, at)
      VALUES (NEW.tenant_id, 'invoice', NEW.id::text, NEW.subscriber_id,
              jsonb_build_object('cents', NEW.total_cents, 'on', NEW.due_on, 'number',
                                 format('%s-%s', NEW.series, lpad(NEW.number::text,
                                        greatest(6, length(NEW.number::text)), '0'))),
              NEW.id, NEW.issued_at)
    ON CONFLICT DO NOTHING;
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER invoice_tell AFTER UPDATE OF state ON invoice
  FOR EACH ROW WHEN (OLD.state = 'draft' AND NEW.state = 'finalised')
  EXECUTE FUNCTION invoice_tell();

CREATE FUNCTION voucher_tell() RETURNS trigger
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = kennet, pg_temp AS $$
BEGIN
  IF tells(NEW.tenant_id) THEN
    INSERT INTO message_occasion (tenant_id, kind, key, subscriber_id, facts, subject_id, at)
      SELECT NEW.tenant_id, 'voucher', NEW.id::text, NEW.subscriber_id,
             jsonb_build_object('plan', p.name, 'serial', NEW.serial::text), NEW.id,
             NEW.redeemed_at
        FROM voucher_batch b
        JOIN plan_version v ON v.tenant_id = b.tenant_id AND v.id = b.plan_version_id
        JOIN plan p ON p.tenant_id = b.tenant_id AND p.id = v.plan_id
       WHERE b.tenant_id = NEW.tenant_id AND b.id = NEW.batch_id
    ON CONFLICT DO NOTHING;
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER voucher_tell AFTER UPDATE OF state ON voucher
  FOR EACH ROW WHEN (OLD.state = 'sold' AND NEW.state = 'active' AND NEW.subscriber_id IS NOT NULL)
  EXECUTE FUNCTION voucher_tell();

-- Notes are for staff: only that there is an answer is told, when it is the subscriber's turn.
CREATE FUNCTION ticket_tell() RETURNS trigger
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = kennet, pg_temp AS $$
BEGIN
  IF tells(NEW.tenant_id) THEN
    INSERT INTO message_occasion (tenant_id, kind, key, subscriber_id, facts, subject_id, at)
      VALUES (NEW.tenant_id, 'ticket', format('%s:%s', NEW.id, NEW.version), NEW.subscriber_id,
              jsonb_build_object('reference', NEW.reference, 'title', NEW.subject), NEW.id,
              coalesce(NEW.waiting_since, NEW.resolved_at, now()))
    ON CONFLICT DO NOTHING;
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER ticket_tell AFTER UPDATE OF state ON ticket
  FOR EACH ROW WHEN (NEW.subscriber_id IS NOT NULL AND NEW.state IS DISTINCT FROM OLD.state
                     AND NEW.state IN ('waiting', 'resolved'))
  EXECUTE FUNCTION ticket_tell();
