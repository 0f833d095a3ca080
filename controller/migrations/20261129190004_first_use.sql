-- What counts from its first use on waits for it, as long as its term says at most.
ALTER TABLE entitlement ADD waits boolean NOT NULL DEFAULT false;
GRANT INSERT (waits) ON entitlement TO kennet_app;

-- As before, beside that.
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

-- As before; and what waits begins when something comes out of it. Says whether edges are to be told.
CREATE OR REPLACE FUNCTION use_entitlements(
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
