-- What a NAS is told and asked, and what a plan and a subscriber are called inside a network.

ALTER TABLE nas
  DROP CONSTRAINT nas_vendor_check,
  ADD CONSTRAINT nas_vendor_check CHECK (vendor IN ('standard', 'mikrotik', 'chillispot', 'cisco',
    'ubiquiti', 'cambium', 'canopy', 'aruba', 'omada', 'huawei')),
  -- It is required once it was there.
  ADD COLUMN learn_message_authenticator boolean NOT NULL DEFAULT false,
  ADD CONSTRAINT nas_learns_what_it_requires
    CHECK (require_message_authenticator OR NOT learn_message_authenticator),
  ADD COLUMN requests_per_second int CHECK (requests_per_second > 0),
  -- 0: it takes no Disconnect- and CoA-Requests.
  ADD COLUMN dynauth_port int NOT NULL DEFAULT 3799 CHECK (dynauth_port BETWEEN 0 AND 65535),
  ADD COLUMN tls_name text CHECK (length(tls_name) BETWEEN 1 AND 253),
  ADD COLUMN reply text[] NOT NULL DEFAULT '{}' CHECK (cardinality(reply) <= 32);
GRANT UPDATE (learn_message_authenticator, requests_per_second, dynauth_port, tls_name, reply)
  ON nas TO kennet_app;

ALTER TABLE tenant
  ADD COLUMN realms text[] NOT NULL DEFAULT '{}' CHECK (cardinality(realms) <= 32);
GRANT UPDATE (realms) ON tenant TO kennet_app, kennet_auth;

ALTER TABLE plan_version
  ADD COLUMN pool   text CHECK (length(pool) BETWEEN 1 AND 200),
  ADD COLUMN filter text CHECK (length(filter) BETWEEN 1 AND 200),
  ADD COLUMN policy text CHECK (length(policy) BETWEEN 1 AND 200),
  ADD COLUMN vlan   smallint CHECK (vlan BETWEEN 1 AND 4094);

ALTER TABLE subscriber
  ADD COLUMN delegated_prefix cidr CHECK (family(delegated_prefix) = 6);
GRANT UPDATE (delegated_prefix) ON subscriber TO kennet_app;
