-- M-Pesa asks before it takes somebody's money, if it was told to.
ALTER TABLE merchant
  -- What names neither an intent nor an account is not taken: the payer hears of it at once.
  ADD refuse_unknown boolean NOT NULL DEFAULT false;
GRANT UPDATE (refuse_unknown) ON merchant TO kennet_app;
