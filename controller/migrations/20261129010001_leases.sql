-- Parts of a quota that edges spend on their own, over their whole connection with the office.
--
-- An edge counts what a subscriber uses since a moment that it is told, and may go up to a bound:
-- what it used by leases that are settled, and all of those that are open. It asks for more before
-- it is there, and gives back what it does not need.

-- The last question of an edge about a subscriber.
CREATE TABLE edge_quota (
  tenant_id     uuid NOT NULL,
  edge_id       uuid NOT NULL,
  subscriber_id uuid NOT NULL,
  -- Of the edge's journal, and from when it counts: with another one it counts from nothing.
  epoch         uuid NOT NULL,
  counted_from  timestamptz NOT NULL,
  -- The first question of that count, and the last. Who asks late, or twice, changes nothing.
  since         bigint NOT NULL,
  fence         bigint NOT NULL,
  PRIMARY KEY (tenant_id, edge_id, subscriber_id),
  FOREIGN KEY (tenant_id, edge_id) REFERENCES edge,
  FOREIGN KEY (tenant_id, subscriber_id) REFERENCES subscriber,
  CHECK (fence >= since)
) WITH (fillfactor = 80);
SELECT protect('edge_quota');
-- Only the functions below write it.
GRANT SELECT ON edge_quota TO kennet_app;

CREATE INDEX quota_lease_open ON quota_lease (tenant_id, edge_id) WHERE state = 'open';

-- What a subscriber's data comes out of at a moment: the term's quota and what was bought for it,
-- or else the voucher that ends first. As the desired state says it.
CREATE FUNCTION quota_of(p_subscriber uuid, p_now timestamptz) RETURNS SETOF uuid
  LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = kennet, pg_temp AS $$
DECLARE
  t uuid := current_tenant();
  what subscription;
  given uuid;
BEGIN
  SELECT * INTO what FROM subscription s
   WHERE s.tenant_id = t AND s.subscriber_id = p_subscriber
     AND (s.state IN ('active', 'grace') OR s.walled)
   ORDER BY s.walled, s.id LIMIT 1;
  IF what.id IS NULL OR what.walled THEN
    SELECT e.id INTO given FROM entitlement e
     WHERE e.tenant_id = t AND e.subscriber_id = p_subscriber AND e.valid @> p_now
       AND e.source_kind NOT IN ('period', 'topup')
     ORDER BY upper(e.valid), e.id LIMIT 1;
    IF given IS NOT NULL THEN
      RETURN QUERY SELECT given;
      RETURN;
    END IF;
  END IF;
  -- In its grace a subscription lives on what is left of its last term.
  RETURN QUERY
    SELECT e.id FROM entitlement e
     WHERE e.tenant_id = t AND e.subscriber_id = p_subscriber AND e.bytes_granted IS NOT NULL
       AND ((e.source_kind = 'topup' AND e.valid @> p_now)
            OR (e.source_kind = 'period' AND e.source_id = (
                 SELECT p.id FROM subscription_period p
                  WHERE p.tenant_id = t AND p.subscription_id = what.id
                    AND lower(p.during) <= p_now
                    AND upper(p.during) > least(what.term_start, p_now)
                  ORDER BY lower(p.during) DESC LIMIT 1)));
END $$;
REVOKE ALL ON FUNCTION quota_of(uuid, timestamptz) FROM PUBLIC;

-- An edge says what a subscriber used there since `p_counted_from`, and how much more it wants to
-- have in hand; 0: nothing, and what is left of its leases goes back. Answers how far it may go in
-- all, what nobody has leased, what other edges have, and the newest question.
--
-- The edge lowers its own bound before it gives back, and raises it after the answer: what it may
-- pass is at no time more than what is settled and leased to it here.
CREATE FUNCTION lease_to_edge(
  p_subscriber uuid, p_edge uuid, p_epoch uuid, p_counted_from timestamptz, p_fence bigint,
  p_used bigint, p_more bigint, p_now timestamptz
) RETURNS TABLE (bytes bigint, free bigint, elsewhere bigint, newest bigint)
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = kennet, pg_temp AS $$
DECLARE
  t uuid := current_tenant();
  sources uuid[];
  q edge_quota;
  one record;
  bound bigint := 0;
  wanted bigint;
BEGIN
  -- One that is revoked is forsaken, below, and gets nothing afterwards.
  PERFORM FROM edge x WHERE x.tenant_id = t AND x.id = p_edge AND NOT x.revoked FOR SHARE;
  IF NOT FOUND OR NOT EXISTS (
    SELECT FROM subscriber x WHERE x.tenant_id = t AND x.id = p_subscriber)
  THEN
    RETURN;
  END IF;
  -- One question of an edge about a subscriber at a time, and the older ones have no effect.
  INSERT INTO edge_quota (tenant_id, edge_id, subscriber_id, epoch, counted_from, since, fence)
    VALUES (t, p_edge, p_subscriber, p_epoch, p_counted_from, p_fence, p_fence)
    ON CONFLICT DO NOTHING;
  IF FOUND THEN
    q.fence := p_fence - 1;
  ELSE
    SELECT * INTO STRICT q FROM edge_quota x
     WHERE x.tenant_id = t AND x.edge_id = p_edge AND x.subscriber_id = p_subscriber FOR UPDATE;
  END IF;
  sources := ARRAY (SELECT quota_of(p_subscriber, p_now));
  PERFORM FROM entitlement e
    WHERE e.tenant_id = t AND (e.id = ANY (sources) OR e.id IN (
            SELECT l.entitlement_id FROM quota_lease l
              JOIN entitlement x ON x.tenant_id = t AND x.id = l.entitlement_id
             WHERE l.tenant_id = t AND l.edge_id = p_edge AND l.state = 'open'
               AND x.subscriber_id = p_subscriber))
    ORDER BY e.id FOR UPDATE;
  IF q.fence < p_fence THEN
    IF q.since IS NULL OR (q.epoch, q.counted_from) <> (p_epoch, p_counted_from) THEN
      q.since := p_fence;
    END IF;
    UPDATE edge_quota x SET epoch = p_epoch, counted_from = p_counted_from, since = q.since,
           fence = p_fence
     WHERE x.tenant_id = t AND x.edge_id = p_edge AND x.subscriber_id = p_subscriber;
    -- Of a count that is over nobody knows any more what was used: all of it.
    PERFORM settle_lease(l.id, l.bytes) FROM quota_lease l
      JOIN entitlement e ON e.tenant_id = t AND e.id = l.entitlement_id
     WHERE l.tenant_id = t AND l.edge_id = p_edge AND l.state = 'open' AND l.fence < q.since
       AND e.subscriber_id = p_subscriber;
    SELECT coalesce(sum(CASE l.state WHEN 'open' THEN l.bytes ELSE l.used END), 0) INTO bound
      FROM quota_lease l JOIN entitlement e ON e.tenant_id = t AND e.id = l.entitlement_id
     WHERE l.tenant_id = t AND l.edge_id = p_edge AND l.fence >= q.since
       AND e.subscriber_id = p_subscriber;
    -- What ends first is used first.
    FOR one IN SELECT e.id, least(p_now, upper(e.valid) - interval '1 microsecond') AS at
                 FROM entitlement e WHERE e.tenant_id = t AND e.id = ANY (sources)
                ORDER BY upper(e.valid), e.id LOOP
      wanted := p_used + p_more - bound;
      EXIT WHEN wanted <= 0;
      bound := bound + coalesce((SELECT l.bytes
        FROM lease_quota(gen_random_uuid(), one.id, p_edge, p_fence, wanted, one.at) l), 0);
    END LOOP;
    -- What was used comes out of the oldest.
    bound := 0;
    FOR one IN
      SELECT l.id, l.bytes, l.used, l.state, l.entitlement_id = ANY (sources) AS counts
        FROM quota_lease l JOIN entitlement e ON e.tenant_id = t AND e.id = l.entitlement_id
       WHERE l.tenant_id = t AND l.edge_id = p_edge AND l.fence >= q.since
         AND e.subscriber_id = p_subscriber
       ORDER BY l.fence, upper(e.valid), e.id
    LOOP
      IF one.state = 'settled' THEN
        bound := bound + one.used;
      ELSIF p_used >= bound + one.bytes THEN
        PERFORM settle_lease(one.id, one.bytes);
        bound := bound + one.bytes;
      ELSIF p_more = 0 OR NOT one.counts THEN
        one.used := greatest(p_used - bound, 0);
        PERFORM settle_lease(one.id, one.used);
        bound := bound + one.used;
      ELSE
        bound := bound + one.bytes;
      END IF;
    END LOOP;
  ELSE
    SELECT coalesce(sum(CASE l.state WHEN 'open' THEN l.bytes ELSE l.used END), 0) INTO bound
      FROM quota_lease l JOIN entitlement e ON e.tenant_id = t AND e.id = l.entitlement_id
     WHERE l.tenant_id = t AND l.edge_id = p_edge AND l.fence >= q.since
       AND e.subscriber_id = p_subscriber;
  END IF;
  RETURN QUERY
    SELECT bound,
           coalesce(sum(e.bytes_granted - e.bytes_consumed - e.bytes_leased), 0)::bigint,
           coalesce(sum((SELECT sum(l.bytes) FROM quota_lease l
                          WHERE l.tenant_id = t AND l.entitlement_id = e.id
                            AND l.edge_id <> p_edge AND l.state = 'open')), 0)::bigint,
           greatest(q.fence, p_fence)
      FROM entitlement e
     WHERE e.tenant_id = t AND e.id = ANY (sources) AND e.bytes_granted IS NOT NULL;
END $$;
REVOKE ALL ON FUNCTION lease_to_edge(uuid, uuid, uuid, timestamptz, bigint, bigint, bigint,
  timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION lease_to_edge(uuid, uuid, uuid, timestamptz, bigint, bigint, bigint,
  timestamptz) TO kennet_ingest;

-- An edge that will not come back: what its journal says was used is used, the rest goes back. These
-- leases stay as they are then: what it says it used besides comes out of what is free. Says how many
-- there were.
CREATE FUNCTION forsake_edge(p_edge uuid) RETURNS bigint
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = kennet, pg_temp AS $$
DECLARE
  t uuid := current_tenant();
  q record;
  one record;
  known bigint;
  settled bigint := 0;
BEGIN
  FOR q IN SELECT * FROM edge_quota x WHERE x.tenant_id = t AND x.edge_id = p_edge
            ORDER BY x.subscriber_id FOR UPDATE LOOP
    PERFORM FROM entitlement e
      WHERE e.tenant_id = t AND e.subscriber_id = q.subscriber_id ORDER BY e.id FOR UPDATE;
    SELECT coalesce(sum(u.down_bytes + u.up_bytes), 0) INTO known
      FROM session x JOIN usage u ON u.tenant_id = t AND u.session_id = x.id
     WHERE x.tenant_id = t AND x.subscriber_id = q.subscriber_id AND x.edge_id = p_edge
       AND u.at >= q.counted_from;
    FOR one IN
      SELECT l.id, l.bytes, l.used, l.state, l.fence
        FROM quota_lease l JOIN entitlement e ON e.tenant_id = t AND e.id = l.entitlement_id
       WHERE l.tenant_id = t AND l.edge_id = p_edge AND e.subscriber_id = q.subscriber_id
         AND (l.fence >= q.since OR l.state = 'open')
       ORDER BY l.fence, upper(e.valid), e.id
    LOOP
      IF one.state = 'open' THEN
        one.used := CASE WHEN one.fence < q.since THEN one.bytes
                         ELSE least(one.bytes, greatest(known, 0)) END;
        PERFORM settle_lease(one.id, one.used);
        settled := settled + 1;
      END IF;
      IF one.fence >= q.since THEN
        known := known - one.used;
      END IF;
    END LOOP;
  END LOOP;
  RETURN settled;
END $$;
REVOKE ALL ON FUNCTION forsake_edge(uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION forsake_edge(uuid) TO kennet_app;
