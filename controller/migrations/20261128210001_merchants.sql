-- Accounts at payment providers, what providers call back, and what payers are asked for.
--
-- kennet_inbox applies what was called back: it finds the tenant of an event, and goes on as
-- staff of that tenant.
DO $$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'kennet_inbox') THEN
    BEGIN
      CREATE ROLE kennet_inbox NOLOGIN NOBYPASSRLS;
    EXCEPTION WHEN duplicate_object OR unique_violation THEN
      NULL; -- Roles belong to the cluster: another database's migration was faster.
    END;
  END IF;
  IF NOT pg_has_role(current_user, 'kennet_inbox', 'MEMBER') THEN
    GRANT kennet_inbox TO CURRENT_USER;
  END IF;
END $$;
GRANT USAGE ON SCHEMA kennet TO kennet_inbox;

-- An account of a tenant at a provider. Its id is that of the row in `merchant_account`, by which
-- callbacks are let in before anybody knows the tenant.
CREATE TABLE merchant (
  tenant_id      uuid NOT NULL REFERENCES tenant,
  id             uuid NOT NULL REFERENCES merchant_account,
  provider       text NOT NULL CHECK (provider IN ('mpesa', 'airtel', 'paystack', 'stripe')),
  -- Where the money is, as it stands in the books and on statements.
  shortcode      text NOT NULL CHECK (shortcode ~ '^[A-Za-z0-9._-]{1,40}$'),
  -- M-Pesa: a till below the shortcode; payments by its number are no paybill's.
  till           text CHECK (till ~ '^[0-9]{5,10}$'),
  name           text NOT NULL CHECK (length(name) BETWEEN 1 AND 100),
  environment    text NOT NULL CHECK (environment IN ('production', 'sandbox', 'simulator')),
  -- What the provider gave us to log in with, and what is in the addresses that it calls.
  secrets_sealed bytea NOT NULL,
  token_sealed   bytea NOT NULL,
  -- Where its callbacks come from; empty: nobody knows.
  sources        inet[] NOT NULL DEFAULT '{}',
  disabled       boolean NOT NULL DEFAULT false,
  -- What came in until then was fetched; when to fetch next; none: this one is not asked.
  pulled_until   timestamptz,
  pull_at        timestamptz,
  version        bigint NOT NULL DEFAULT 1,
  created_at     timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, id)
);
-- A callback names its account and never its tenant: this is how the tenant is found.
CREATE UNIQUE INDEX merchant_id ON merchant (id);
CREATE INDEX merchant_pull ON merchant (pull_at) WHERE pull_at IS NOT NULL;
SELECT protect('merchant');
CREATE POLICY every_merchant ON merchant FOR SELECT TO kennet_inbox USING (true);
GRANT SELECT, INSERT, UPDATE (till, name, environment, secrets_sealed, sources, disabled,
  pulled_until, pull_at, version) ON merchant TO kennet_app;
GRANT SELECT (tenant_id, id, provider, shortcode, disabled, pull_at, version) ON merchant
  TO kennet_inbox;
GRANT INSERT ON merchant_account TO kennet_app;

-- What was called back is kept as it came. It is applied once, and set aside if it cannot be.
ALTER TABLE inbox_event
  -- Of whose intent or payout the address says it is, and the hash of the mark beside it.
  ADD COLUMN subject  uuid,
  ADD COLUMN proof    bytea CHECK (octet_length(proof) = 32),
  ADD COLUMN state    text NOT NULL DEFAULT 'new' CHECK (state IN ('new', 'applied', 'set_aside')),
  ADD COLUMN attempts int NOT NULL DEFAULT 0 CHECK (attempts >= 0),
  -- Not before.
  ADD COLUMN next_at  timestamptz NOT NULL DEFAULT '-infinity',
  ADD COLUMN done_at  timestamptz,
  ADD COLUMN said     text;
CREATE INDEX inbox_event_new ON inbox_event (next_at, id) WHERE state = 'new';
GRANT SELECT, UPDATE (state, attempts, next_at, done_at, said) ON inbox_event TO kennet_inbox;

ALTER TABLE payment_intent
  ADD COLUMN merchant_id     uuid,
  -- What stands in the payer's message, and what a payer may type.
  ADD COLUMN reference       text CHECK (length(reference) BETWEEN 4 AND 12),
  ADD COLUMN msisdn          text CHECK (msisdn ~ '^254[17][0-9]{8}$'),
  ADD COLUMN email           text CHECK (email ~ '^[^@\s]+@[^@\s]+$'),
  -- Where the payer goes, if not asked on the phone.
  ADD COLUMN pay_url         text,
  -- What the provider said last, in its own code.
  ADD COLUMN code            text,
  ADD COLUMN asked_by        text NOT NULL DEFAULT '',
  -- The provider said for certain that it did not take it: it may be sent again.
  ADD COLUMN send_again      boolean NOT NULL DEFAULT false,
  ADD COLUMN sent            smallint NOT NULL DEFAULT 0 CHECK (sent >= 0),
  ADD COLUMN checks          int NOT NULL DEFAULT 0 CHECK (checks >= 0),
  -- When to ask the provider; none: there is nothing more to ask.
  ADD COLUMN next_check_at   timestamptz,
  -- What an unsigned callback said. It is no money until the provider says so itself.
  ADD COLUMN claimed_receipt text CHECK (length(claimed_receipt) BETWEEN 1 AND 64),
  ADD COLUMN claimed_cents   bigint CHECK (claimed_cents > 0),
  ADD COLUMN claimed_at      timestamptz,
  ADD FOREIGN KEY (tenant_id, merchant_id) REFERENCES merchant;
CREATE UNIQUE INDEX payment_intent_reference ON payment_intent (tenant_id, reference)
  WHERE reference IS NOT NULL;
CREATE INDEX payment_intent_claim ON payment_intent (tenant_id, provider, claimed_receipt)
  WHERE claimed_receipt IS NOT NULL;
CREATE INDEX payment_intent_due ON payment_intent (next_check_at)
  WHERE next_check_at IS NOT NULL;
CREATE INDEX payment_intent_subscriber ON payment_intent (tenant_id, subscriber_id, id);
CREATE POLICY every_intent ON payment_intent FOR SELECT TO kennet_inbox USING (true);
GRANT SELECT (tenant_id, id, next_check_at) ON payment_intent TO kennet_inbox;
GRANT UPDATE (pay_url, code, send_again, sent, checks, next_check_at, claimed_receipt,
  claimed_cents, claimed_at) ON payment_intent TO kennet_app;
-- Two tenants' accounts at one provider may be told the same id: only receipts are global.
DROP INDEX payment_intent_checkout;
CREATE UNIQUE INDEX payment_intent_checkout ON payment_intent (tenant_id, provider, checkout_id)
  WHERE checkout_id IS NOT NULL;
DROP INDEX payout_provider_txn;
CREATE UNIQUE INDEX payout_provider_txn ON payout (tenant_id, provider_txn)
  WHERE provider_txn IS NOT NULL;

-- Of money of nobody known: what the payer typed, and what the provider says of the payer.
ALTER TABLE payment
  ADD COLUMN reference text CHECK (length(reference) <= 64),
  ADD COLUMN payer     text CHECK (length(payer) <= 128);
GRANT UPDATE (reference, payer) ON payment TO kennet_app;

-- What does not fit, for people to look at. The money is where it is in any case.
CREATE TABLE payment_doubt (
  tenant_id   uuid NOT NULL REFERENCES tenant,
  id          uuid NOT NULL,
  kind        text NOT NULL CHECK (kind IN
              ('unreadable', 'forged', 'foreign', 'amount', 'elsewhere', 'contradiction', 'stuck',
               'broken')),
  -- An event, a receipt or an intent: the same doubt about it is one doubt.
  about       text NOT NULL CHECK (length(about) BETWEEN 1 AND 100),
  merchant_id uuid,
  intent_id   uuid,
  said        text NOT NULL CHECK (length(said) BETWEEN 1 AND 1000),
  state       text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'closed')),
  note        text NOT NULL DEFAULT '' CHECK (length(note) <= 4000),
  closed_by   text,
  closed_at   timestamptz,
  created_at  timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, id),
  CONSTRAINT payment_doubt_once UNIQUE (tenant_id, kind, about),
  FOREIGN KEY (tenant_id, merchant_id) REFERENCES merchant,
  FOREIGN KEY (tenant_id, intent_id) REFERENCES payment_intent,
  CHECK ((state = 'closed') = (closed_at IS NOT NULL)),
  CHECK ((closed_at IS NULL) = (closed_by IS NULL))
);
SELECT protect('payment_doubt');
GRANT SELECT, INSERT, UPDATE (state, note, closed_by, closed_at) ON payment_doubt TO kennet_app;
