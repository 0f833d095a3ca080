-- Payouts leave the account that they are sent from, wait when they go to a new number, and what a
-- provider keeps for itself is booked.

-- How long money waits before it goes to a number at which a reseller was never paid, while it was
-- paid at another: whoever has taken over a login or a number is found out in the meantime.
CREATE TABLE payout_policy (
  tenant_id        uuid PRIMARY KEY REFERENCES tenant,
  new_number_hours int NOT NULL CHECK (new_number_hours BETWEEN 0 AND 720),
  version          bigint NOT NULL DEFAULT 1
);
SELECT protect('payout_policy');
GRANT SELECT, INSERT, UPDATE (new_number_hours, version) ON payout_policy TO kennet_app;

-- It is not paid before; nobody can change that later. None: at once.
ALTER TABLE payout ADD COLUMN not_before timestamptz;
CREATE INDEX payout_reseller ON payout (tenant_id, reseller_id, state);

-- Paid or failed. What was sent from an account leaves that account in the books, too.
CREATE FUNCTION resolve_payout(p_id uuid, p_entry uuid, p_paid boolean, p_now timestamptz)
  RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
  of payout;
  from_account text;
BEGIN
  SELECT * INTO STRICT of FROM payout WHERE tenant_id = current_tenant() AND id = p_id;
  SELECT 'cash:' || provider || ':' || shortcode INTO from_account FROM merchant
   WHERE tenant_id = of.tenant_id AND id = of.merchant_id;
  RETURN post_entry(p_entry, 'payout.resolve', 'payout', p_id, p_now,
    ARRAY['payout:clearing', CASE WHEN p_paid THEN coalesce(from_account, 'cash:paybill')
                                  ELSE 'agent:' || of.reseller_id END],
    ARRAY[of.amount_cents, -of.amount_cents]);
END $$;

-- What a provider has kept for moving money, as its statement says: each once.
CREATE TABLE provider_fee (
  tenant_id         uuid NOT NULL,
  id                uuid NOT NULL,
  reconciliation_id uuid NOT NULL,
  provider          text NOT NULL,
  shortcode         text NOT NULL,
  receipt           text NOT NULL CHECK (length(receipt) BETWEEN 1 AND 64),
  descr             text NOT NULL CHECK (length(descr) BETWEEN 1 AND 200),
  amount_cents      bigint NOT NULL CHECK (amount_cents > 0),
  at                timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, id),
  FOREIGN KEY (tenant_id, reconciliation_id) REFERENCES reconciliation,
  CONSTRAINT provider_fee_once UNIQUE (tenant_id, provider, shortcode, receipt, descr)
);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON provider_fee
  FOR EACH ROW EXECUTE FUNCTION append_only();
CREATE TRIGGER append_only_t BEFORE TRUNCATE ON provider_fee EXECUTE FUNCTION append_only();
CREATE CONSTRAINT TRIGGER provider_fee_booked AFTER INSERT ON provider_fee
  DEFERRABLE INITIALLY DEFERRED FOR EACH ROW
  EXECUTE FUNCTION must_be_booked('provider.fee', 'provider_fee', 'amount_cents');
SELECT protect('provider_fee');
GRANT SELECT, INSERT ON provider_fee TO kennet_app;
CREATE FUNCTION book_fee(p_id uuid, p_entry uuid, p_now timestamptz) RETURNS boolean
  LANGUAGE plpgsql AS $$
DECLARE
  fee provider_fee;
BEGIN
  SELECT * INTO STRICT fee FROM provider_fee WHERE tenant_id = current_tenant() AND id = p_id;
  RETURN post_entry(p_entry, 'provider.fee', 'provider_fee', p_id, p_now,
    ARRAY['expense:' || fee.provider || '_fees', 'cash:' || fee.provider || ':' || fee.shortcode],
    ARRAY[fee.amount_cents, -fee.amount_cents]);
END $$;

-- A confirmation that anybody could have sent is no money until the provider's own list or
-- statement has it.
ALTER TABLE payment_doubt DROP CONSTRAINT payment_doubt_kind_check;
ALTER TABLE payment_doubt ADD CONSTRAINT payment_doubt_kind_check CHECK (kind IN
  ('unreadable', 'forged', 'foreign', 'amount', 'elsewhere', 'contradiction', 'stuck', 'broken',
   'unconfirmed'));
