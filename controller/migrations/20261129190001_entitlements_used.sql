-- What was used of entitlements, and in which order.
--
-- Somebody may have several at once: what ends first is used first, then the smaller rest, then the
-- older one. An edge is told one sum and counts against it from one moment on; so entitlements whose
-- terms touch are counted together, from when the first of them began. A subscription without quotas
-- counts nothing: it takes nothing from what was bought besides.

ALTER TABLE entitlement
  ADD seconds_consumed bigint NOT NULL DEFAULT 0 CHECK (seconds_consumed >= 0),
  -- Passed, or lasted, when nothing was left of any: in the walled garden, or slower.
  ADD bytes_over       bigint NOT NULL DEFAULT 0 CHECK (bytes_over >= 0),
  ADD seconds_over     bigint NOT NULL DEFAULT 0 CHECK (seconds_over >= 0),
  ADD counted_from     timestamptz,
  ADD CONSTRAINT entitlement_time_not_overspent
    CHECK (seconds_granted IS NULL OR seconds_consumed <= seconds_granted);
UPDATE entitlement SET counted_from = lower(valid);
ALTER TABLE entitlement ALTER counted_from SET NOT NULL;
-- Those that are live.
CREATE INDEX entitlement_until ON entitlement (tenant_id, upper(valid));

-- Of a subscription whose plan has no quota.
CREATE FUNCTION counts_nothing(entitlement) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
  SELECT $1.source_kind = 'period' AND $1.bytes_granted IS NULL AND $1.seconds_granted IS NULL
$$;

CREATE FUNCTION entitlement_count() RETURNS trigger
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = kennet, pg_temp AS $$
DECLARE
  whole tstzrange := NEW.valid;
BEGIN
  NEW.counted_from := lower(NEW.valid);
  IF counts_nothing(NEW) THEN
    RETURN NEW;
  END IF;
  SELECT least(NEW.counted_from, min(e.counted_from)) INTO NEW.counted_from
    FROM entitlement e
   WHERE e.tenant_id = NEW.tenant_id AND e.subscriber_id = NEW.subscriber_id
     AND e.valid && NEW.valid AND NOT counts_nothing(e);
  -- One that was sold ahead, and whatever touches that.
  LOOP
    UPDATE entitlement e SET counted_from = NEW.counted_from
     WHERE e.tenant_id = NEW.tenant_id AND e.subscriber_id = NEW.subscriber_id
       AND e.counted_from > NEW.counted_from AND e.valid && whole AND NOT counts_nothing(e);
    EXIT WHEN NOT FOUND;
    SELECT range_merge(range_agg(e.valid)) INTO whole FROM entitlement e
     WHERE e.tenant_id = NEW.tenant_id AND e.subscriber_id = NEW.subscriber_id
       AND e.counted_from = NEW.counted_from AND NOT counts_nothing(e);
    whole := range_merge(whole, NEW.valid);
  END LOOP;
  RETURN NEW;
END $$;
CREATE TRIGGER entitlement_count BEFORE INSERT ON entitlement
  FOR EACH ROW EXECUTE FUNCTION entitlement_count();

-- What a subscriber lives on at a moment, in the order in which it is used. In its grace a
-- subscription lives on what is left of its last term; behind the wall it gives nothing.
CREATE FUNCTION entitlements_of(p_subscriber uuid, p_now timestamptz) RETURNS SETOF entitlement
  LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = kennet, pg_temp AS $$
DECLARE
  t uuid := current_tenant();
  what subscription;
  term uuid;
BEGIN
  SELECT * INTO what FROM subscription s
   WHERE s.tenant_id = t AND s.subscriber_id = p_subscriber
     AND (s.state IN ('active', 'grace') OR s.walled)
   ORDER BY s.walled, s.id LIMIT 1;
  IF what.id IS NOT NULL AND NOT what.walled THEN
    SELECT p.id INTO term FROM subscription_period p
     WHERE p.tenant_id = t AND p.subscription_id = what.id AND lower(p.during) <= p_now
       AND upper(p.during) > least(what.term_start, p_now)
     ORDER BY lower(p.during) DESC LIMIT 1;
    PERFORM FROM plan_version v
      WHERE v.tenant_id = t AND v.id = what.plan_version_id
        AND v.data_bytes IS NULL AND v.online_seconds IS NULL;
    IF FOUND AND NOT EXISTS (
      SELECT FROM entitlement e
       WHERE e.tenant_id = t AND e.source_kind = 'period' AND e.source_id = term
         AND NOT counts_nothing(e))
    THEN
      RETURN;
    END IF;
  END IF;
  RETURN QUERY
    SELECT e.* FROM entitlement e
     WHERE e.tenant_id = t AND e.subscriber_id = p_subscriber
       AND CASE e.source_kind
             WHEN 'period' THEN e.source_id = term
             WHEN 'topup' THEN what.id IS NOT NULL AND NOT what.walled AND e.valid @> p_now
             ELSE e.valid @> p_now
           END
     ORDER BY upper(e.valid), e.bytes_granted - e.bytes_consumed, e.id;
END $$;
REVOKE ALL ON FUNCTION entitlements_of(uuid, timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION entitlements_of(uuid, timestamptz) TO kennet_app, kennet_ingest;

-- What edges lease parts of.
CREATE OR REPLACE FUNCTION quota_of(p_subscriber uuid, p_now timestamptz) RETURNS SETOF uuid
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = kennet, pg_temp AS $$
  SELECT e.id FROM entitlements_of(p_subscriber, p_now) e
   WHERE e.bytes_granted IS NOT NULL
     AND (e.seconds_granted IS NULL OR e.seconds_consumed < e.seconds_granted)
$$;

GRANT SELECT ON edge_quota TO kennet_ingest;
-- Bytes that an edge counts and that come out of nothing that is leased: they were there before it
-- leased anything, or passed while nothing limited them.
ALTER TABLE edge_quota ADD outside bigint NOT NULL DEFAULT 0 CHECK (outside >= 0);

-- What passed and how long somebody was on-line comes out of what they had at that moment. Bytes of a
-- quota that the edge leases are settled with its leases, and not here. The same reading must not
-- come twice. Says whether something was used up.
CREATE FUNCTION use_entitlements(
  p_edge uuid, p_sessions uuid[], p_bytes bigint[], p_ats timestamptz[]
) RETURNS boolean
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = kennet, pg_temp AS $$
DECLARE
  t uuid := current_tenant();
  r record;
  e entitlement;
  last uuid;
  bytes bigint;
  seconds bigint;
  taken bigint;
  lasted bigint;
  leased boolean;
  counted timestamptz;
  used_up boolean := false;
BEGIN
  FOR r IN
    SELECT s.subscriber_id AS subscriber, n.bytes, n.at
      FROM unnest(p_sessions, p_bytes, p_ats) WITH ORDINALITY AS n (session, bytes, at, n)
      JOIN session s ON s.tenant_id = t AND s.id = n.session
     WHERE EXISTS (SELECT FROM entitlement x
                    WHERE x.tenant_id = t AND x.subscriber_id = s.subscriber_id)
     ORDER BY s.subscriber_id, n.n
  LOOP
    PERFORM FROM entitlement x
      WHERE x.tenant_id = t AND x.id IN (SELECT o.id FROM entitlements_of(r.subscriber, r.at) o)
      ORDER BY x.id FOR UPDATE;
    CONTINUE WHEN NOT FOUND;
    -- After the lock: who leases first takes it, too.
    leased := EXISTS (SELECT FROM edge_quota q
                       WHERE q.tenant_id = t AND q.edge_id = p_edge
                         AND q.subscriber_id = r.subscriber);
    SELECT min(o.counted_from) INTO counted FROM entitlements_of(r.subscriber, r.at) o
     WHERE o.seconds_granted IS NOT NULL;
    seconds := 0;
    IF counted IS NOT NULL THEN
      SELECT min(o.counted_from) INTO counted FROM entitlements_of(r.subscriber, r.at) o;
      -- With any device, each moment once.
      SELECT floor(coalesce(sum(extract(epoch FROM upper(one) - lower(one))), 0)) INTO seconds
        FROM (SELECT range_agg(tstzrange(greatest(s.started_at, counted),
                                         least(coalesce(s.stopped_at, r.at), r.at))) AS online
                FROM session s
               WHERE s.tenant_id = t AND s.subscriber_id = r.subscriber
                 AND s.started_at < r.at
                 AND least(coalesce(s.stopped_at, r.at), r.at) > greatest(s.started_at, counted)
             ) x, unnest(x.online) AS one;
      SELECT greatest(seconds - sum(x.seconds_consumed + x.seconds_over), 0) INTO seconds
        FROM entitlement x
       WHERE x.tenant_id = t AND x.subscriber_id = r.subscriber AND x.counted_from >= counted
         AND lower(x.valid) <= r.at;
    END IF;
    bytes := r.bytes;
    FOR e IN SELECT * FROM entitlements_of(r.subscriber, r.at) LOOP
      last := e.id;
      CONTINUE WHEN e.bytes_granted <= e.bytes_consumed OR e.seconds_granted <= e.seconds_consumed;
      lasted := least(seconds, e.seconds_granted - e.seconds_consumed);
      IF e.bytes_granted IS NULL THEN
        taken := bytes;
        IF leased THEN
          UPDATE edge_quota q SET outside = q.outside + taken
           WHERE q.tenant_id = t AND q.edge_id = p_edge AND q.subscriber_id = r.subscriber;
        END IF;
      ELSIF leased THEN
        taken := 0;
      ELSE
        taken := least(bytes, e.bytes_granted - e.bytes_consumed - e.bytes_leased);
      END IF;
      IF taken > 0 OR lasted > 0 THEN
        UPDATE entitlement x SET bytes_consumed = x.bytes_consumed + taken,
               seconds_consumed = x.seconds_consumed + lasted
         WHERE x.tenant_id = t AND x.id = e.id;
        used_up := used_up OR coalesce(e.bytes_granted <= e.bytes_consumed + taken, false)
                           OR coalesce(e.seconds_granted <= e.seconds_consumed + lasted, false);
      END IF;
      seconds := seconds - lasted;
      IF leased AND e.bytes_granted IS NOT NULL THEN
        bytes := 0;
      ELSE
        bytes := bytes - taken;
      END IF;
      EXIT WHEN bytes <= 0 AND seconds <= 0;
    END LOOP;
    IF (bytes > 0 AND NOT leased) OR seconds > 0 THEN
      UPDATE entitlement x
         SET bytes_over = x.bytes_over + CASE WHEN leased THEN 0 ELSE bytes END,
             seconds_over = x.seconds_over + seconds
       WHERE x.tenant_id = t AND x.id = last;
    END IF;
  END LOOP;
  RETURN used_up;
END $$;
REVOKE ALL ON FUNCTION use_entitlements(uuid, uuid[], bigint[], timestamptz[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION use_entitlements(uuid, uuid[], bigint[], timestamptz[]) TO kennet_ingest;

-- A voucher ends with what it gave.
CREATE FUNCTION voucher_used_up() RETURNS trigger
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = kennet, pg_temp AS $$
BEGIN
  UPDATE voucher SET state = 'exhausted'
   WHERE tenant_id = NEW.tenant_id AND id = NEW.source_id AND state = 'active';
  RETURN NULL;
END $$;
CREATE TRIGGER voucher_used_up AFTER UPDATE OF bytes_consumed, seconds_consumed ON entitlement
  FOR EACH ROW WHEN (NEW.source_kind = 'voucher'
    AND (NEW.bytes_consumed >= NEW.bytes_granted OR NEW.seconds_consumed >= NEW.seconds_granted))
  EXECUTE FUNCTION voucher_used_up();

-- As before, beside what it counts of others.
CREATE OR REPLACE FUNCTION lease_to_edge(
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
  spent bigint;
  is_first boolean;
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
  is_first := FOUND;
  PERFORM FROM edge_quota x
    WHERE x.tenant_id = t AND x.edge_id = p_edge AND x.subscriber_id = p_subscriber FOR UPDATE;
  sources := ARRAY (SELECT quota_of(p_subscriber, p_now));
  PERFORM FROM entitlement e
    WHERE e.tenant_id = t AND (e.id = ANY (sources) OR e.id IN (
            SELECT l.entitlement_id FROM quota_lease l
              JOIN entitlement x ON x.tenant_id = t AND x.id = l.entitlement_id
             WHERE l.tenant_id = t AND l.edge_id = p_edge AND l.state = 'open'
               AND x.subscriber_id = p_subscriber))
    ORDER BY e.id FOR UPDATE;
  -- After the locks: what came in before them has been taken out of what there is.
  IF is_first THEN
    UPDATE edge_quota x SET outside = (
        SELECT least(coalesce(sum(u.down_bytes + u.up_bytes), 0), p_used)
          FROM session s JOIN usage u ON u.tenant_id = t AND u.session_id = s.id
         WHERE s.tenant_id = t AND s.subscriber_id = p_subscriber AND s.edge_id = p_edge
           AND u.at >= p_counted_from)
     WHERE x.tenant_id = t AND x.edge_id = p_edge AND x.subscriber_id = p_subscriber;
  END IF;
  SELECT * INTO STRICT q FROM edge_quota x
   WHERE x.tenant_id = t AND x.edge_id = p_edge AND x.subscriber_id = p_subscriber;
  IF is_first THEN
    q.fence := p_fence - 1;
  END IF;
  IF q.fence < p_fence THEN
    IF (q.epoch, q.counted_from) <> (p_epoch, p_counted_from) THEN
      q.since := p_fence;
      q.outside := 0;
    END IF;
    spent := greatest(p_used - q.outside, 0);
    UPDATE edge_quota x SET epoch = p_epoch, counted_from = p_counted_from, since = q.since,
           fence = p_fence, outside = q.outside
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
                ORDER BY upper(e.valid), e.bytes_granted - e.bytes_consumed, e.id LOOP
      wanted := spent + p_more - bound;
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
      ELSIF spent >= bound + one.bytes THEN
        PERFORM settle_lease(one.id, one.bytes);
        bound := bound + one.bytes;
      ELSIF p_more = 0 OR NOT one.counts THEN
        one.used := greatest(spent - bound, 0);
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
    SELECT bound + q.outside,
           coalesce(sum(e.bytes_granted - e.bytes_consumed - e.bytes_leased), 0)::bigint,
           coalesce(sum((SELECT sum(l.bytes) FROM quota_lease l
                          WHERE l.tenant_id = t AND l.entitlement_id = e.id
                            AND l.edge_id <> p_edge AND l.state = 'open')), 0)::bigint,
           greatest(q.fence, p_fence)
      FROM entitlement e
     WHERE e.tenant_id = t AND e.id = ANY (sources) AND e.bytes_granted IS NOT NULL;
END $$;

CREATE OR REPLACE FUNCTION forsake_edge(p_edge uuid) RETURNS bigint
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
    SELECT coalesce(sum(u.down_bytes + u.up_bytes), 0) - q.outside INTO known
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
