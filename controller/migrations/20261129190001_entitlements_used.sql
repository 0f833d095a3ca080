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
  -- It counts from its first use on, and waits for that, as long as its term says at most.
  ADD waits            boolean NOT NULL DEFAULT false,
  ADD CONSTRAINT entitlement_time_not_overspent
    CHECK (seconds_granted IS NULL OR seconds_consumed <= seconds_granted);
UPDATE entitlement SET counted_from = lower(valid);
ALTER TABLE entitlement ALTER counted_from SET NOT NULL;
GRANT INSERT (waits) ON entitlement TO kennet_app;
-- Those that are live.
CREATE INDEX entitlement_until ON entitlement (tenant_id, upper(valid));

-- Of a subscription whose plan has no quota.
CREATE FUNCTION counts_nothing(entitlement) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$
  SELECT $1.source_kind = 'period' AND $1.bytes_granted IS NULL AND $1.seconds_granted IS NULL
$$;

CREATE FUNCTION entitlement_begins() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  NEW.counted_from := lower(NEW.valid);
  RETURN NEW;
END $$;
CREATE TRIGGER entitlement_begins BEFORE INSERT ON entitlement
  FOR EACH ROW EXECUTE FUNCTION entitlement_begins();

-- Whatever touches is counted from where the first of it began: what is new, what it touches, and
-- what that touches. For many in one statement: what is planned when a table is empty stays for long.
CREATE FUNCTION entitlement_count() RETURNS trigger
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = kennet, pg_temp AS $$
BEGIN
  LOOP
    UPDATE entitlement e SET counted_from = m.since
      FROM (SELECT a.tenant_id, a.id, min(b.counted_from) AS since
              FROM (SELECT DISTINCT tenant_id, subscriber_id FROM fresh) f
              JOIN entitlement a
                ON a.tenant_id = f.tenant_id AND a.subscriber_id = f.subscriber_id
              JOIN entitlement b
                ON b.tenant_id = f.tenant_id AND b.subscriber_id = f.subscriber_id
               AND b.valid && a.valid
             WHERE NOT counts_nothing(a) AND NOT counts_nothing(b)
             GROUP BY a.tenant_id, a.id) m
     WHERE e.tenant_id = m.tenant_id AND e.id = m.id AND e.counted_from > m.since;
    EXIT WHEN NOT FOUND;
  END LOOP;
  RETURN NULL;
END $$;
CREATE TRIGGER entitlement_count AFTER INSERT ON entitlement
  REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION entitlement_count();

-- What a subscriber lives on at a moment, in the order in which it is used. In its grace a
-- subscription lives on what is left of its last term; behind the wall it gives nothing.
CREATE FUNCTION entitlements_of(p_subscriber uuid, p_now timestamptz) RETURNS SETOF entitlement
  LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = kennet, pg_temp SET enable_seqscan = off AS $$
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
-- come twice. What waits begins when something comes out of it. Says whether edges are to be told.
CREATE FUNCTION use_entitlements(
  p_edge uuid, p_sessions uuid[], p_bytes bigint[], p_ats timestamptz[]
) RETURNS boolean
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = kennet, pg_temp SET enable_seqscan = off AS $$
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
  timed boolean;
  live uuid[];
  changed boolean := false;
BEGIN
  FOR r IN
    SELECT s.subscriber_id AS subscriber, n.bytes, n.at
      FROM unnest(p_sessions, p_bytes, p_ats) WITH ORDINALITY AS n (session, bytes, at, n)
      JOIN session s ON s.tenant_id = t AND s.id = n.session
     WHERE EXISTS (SELECT FROM entitlement x
                    WHERE x.tenant_id = t AND x.subscriber_id = s.subscriber_id)
     ORDER BY s.subscriber_id, n.n
  LOOP
    SELECT array_agg(o.id), min(o.counted_from), bool_or(o.seconds_granted IS NOT NULL)
      INTO live, counted, timed FROM entitlements_of(r.subscriber, r.at) o;
    CONTINUE WHEN live IS NULL;
    -- Named by an array, not joined: nobody knows how many rows a function has.
    PERFORM FROM entitlement x WHERE x.tenant_id = t AND x.id = ANY (live)
      ORDER BY x.id FOR UPDATE;
    -- After the lock: who leases first takes it, too.
    leased := EXISTS (SELECT FROM edge_quota q
                       WHERE q.tenant_id = t AND q.edge_id = p_edge
                         AND q.subscriber_id = r.subscriber);
    seconds := 0;
    IF timed THEN
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
    FOR e IN
      SELECT * FROM entitlement x WHERE x.tenant_id = t AND x.id = ANY (live)
       ORDER BY upper(x.valid), x.bytes_granted - x.bytes_consumed, x.id
    LOOP
      last := e.id;
      CONTINUE WHEN e.bytes_granted <= e.bytes_consumed OR e.seconds_granted <= e.seconds_consumed;
      lasted := least(seconds, e.seconds_granted - e.seconds_consumed);
      IF e.waits AND (bytes > 0 OR seconds > 0) THEN
        UPDATE entitlement x
           SET waits = false,
               valid = tstzrange(lower(x.valid), least(upper(x.valid), (
                 SELECT CASE WHEN v.validity_months > 0
                             THEN (r.at AT TIME ZONE z.tz + make_interval(months => v.validity_months))
                                    AT TIME ZONE z.tz
                             ELSE r.at + make_interval(secs => v.validity_seconds) END
                   FROM plan_version v JOIN tenant z ON z.tenant_id = v.tenant_id
                  WHERE v.tenant_id = t AND v.id = e.plan_version_id)))
         WHERE x.tenant_id = t AND x.id = e.id;
        changed := true;
      END IF;
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
        changed := changed OR coalesce(e.bytes_granted <= e.bytes_consumed + taken, false)
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
  RETURN changed;
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

-- As before, beside what waits.
CREATE OR REPLACE FUNCTION redeem_vouchers(
  p_code_hashes bytea[], p_subscribers uuid[], p_entitlements uuid[], p_entries uuid[],
  p_untils timestamptz[], p_ats timestamptz[]
) RETURNS TABLE (n bigint, outcome text) LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
  t uuid := current_tenant();
  redeemed bigint[];
  entries uuid[];
  vouchers uuid[];
  ats timestamptz[];
  debits bigint[];
  credits bigint[];
  lines bigint[];
BEGIN
  WITH asked AS (
    SELECT DISTINCT ON (a.code_hash) a.*
      FROM unnest(p_code_hashes, p_subscribers, p_entitlements, p_entries, p_untils, p_ats)
             WITH ORDINALITY AS a (code_hash, subscriber, entitlement, entry, until, at, n)
     ORDER BY a.code_hash, a.n),
  free AS MATERIALIZED (
    SELECT v.id, b.plan_version_id, a.*
      FROM asked a
      JOIN voucher v ON v.tenant_id = t AND v.code_hash = a.code_hash
      JOIN voucher_batch b ON b.tenant_id = t AND b.id = v.batch_id
     WHERE v.state = 'sold' AND (b.redeem_by IS NULL OR b.redeem_by > a.at)
     ORDER BY v.id
       FOR NO KEY UPDATE OF v),
  taken AS (
    UPDATE voucher v SET state = 'active', redeemed_at = f.at, subscriber_id = f.subscriber
      FROM free f
     WHERE v.tenant_id = t AND v.id = f.id
    RETURNING f.*, v.net_cents),
  given AS (
    INSERT INTO entitlement (tenant_id, id, subscriber_id, source_kind, source_id, plan_version_id,
                             valid, bytes_granted, seconds_granted, waits)
      SELECT t, v.entitlement, v.subscriber, 'voucher', v.id, p.id, tstzrange(v.at, v.until),
             p.data_bytes, p.online_seconds, p.anchor = 'first_use'
        FROM taken v JOIN plan_version p ON p.tenant_id = t AND p.id = v.plan_version_id)
  SELECT coalesce(array_agg(v.n), '{}'),
         array_agg(v.entry ORDER BY v.n) FILTER (WHERE v.net_cents > 0),
         array_agg(v.id ORDER BY v.n) FILTER (WHERE v.net_cents > 0),
         array_agg(v.at ORDER BY v.n) FILTER (WHERE v.net_cents > 0),
         array_agg(v.net_cents ORDER BY v.n) FILTER (WHERE v.net_cents > 0),
         array_agg(-v.net_cents ORDER BY v.n) FILTER (WHERE v.net_cents > 0)
    INTO redeemed, entries, vouchers, ats, debits, credits
    FROM taken v;
  IF entries IS NOT NULL THEN
    lines := ARRAY(SELECT generate_series(1, cardinality(entries)));
    PERFORM post_entries(entries, array_fill('voucher.redeem'::text, ARRAY[cardinality(lines)]),
      array_fill('voucher'::text, ARRAY[cardinality(lines)]), vouchers, ats, lines || lines,
      array_fill('deferred:voucher'::text, ARRAY[cardinality(lines)])
        || array_fill('revenue:internet'::text, ARRAY[cardinality(lines)]),
      debits || credits);
  END IF;
  RETURN QUERY
    SELECT a.n, CASE WHEN a.n = ANY (redeemed) THEN 'redeemed' ELSE v.state END
      FROM unnest(p_code_hashes) WITH ORDINALITY AS a (code_hash, n)
      LEFT JOIN voucher v ON v.tenant_id = t AND v.code_hash = a.code_hash
     ORDER BY a.n;
END $$;
