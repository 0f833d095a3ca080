-- Payouts that a provider makes: sent after the second person has approved, under an id that the
-- provider takes once.
ALTER TABLE payout
  -- The account that it is paid from; none: by hand.
  ADD COLUMN merchant_id uuid,
  -- When there is something to send or to ask; none: nothing.
  ADD COLUMN next_at     timestamptz,
  ADD COLUMN sent_at     timestamptz,
  ADD COLUMN asks        int NOT NULL DEFAULT 0 CHECK (asks >= 0),
  -- What the provider said last, in its own code.
  ADD COLUMN code        text,
  ADD FOREIGN KEY (tenant_id, merchant_id) REFERENCES merchant,
  ADD CONSTRAINT payout_next CHECK (next_at IS NULL OR state IN ('approved', 'unknown'));
CREATE INDEX payout_due ON payout (next_at) WHERE next_at IS NOT NULL;
CREATE POLICY every_payout ON payout FOR SELECT TO kennet_inbox USING (true);
GRANT SELECT (tenant_id, id, next_at) ON payout TO kennet_inbox;
GRANT UPDATE (next_at, sent_at, asks, code) ON payout TO kennet_app;
