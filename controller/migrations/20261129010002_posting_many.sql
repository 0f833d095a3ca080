-- Books many entries in three statements instead of three for each. What holds for one of them,
-- holds: once for each event, balanced and sealed at the commit, accounts locked in one order.
--
-- The n-th entry has the lines whose `p_of` is n. Says how many are new.
CREATE FUNCTION post_entries(
  p_ids uuid[], p_kinds text[], p_source_kinds text[], p_sources uuid[], p_ats timestamptz[],
  p_of bigint[], p_codes text[], p_cents bigint[]
) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
  t uuid := current_tenant();
  fresh uuid[];
  other record;
BEGIN
  WITH sums AS (
    SELECT n, count(*) AS lines, sum(cents) FILTER (WHERE cents > 0) AS debits
      FROM unnest(p_of, p_cents) AS line (n, cents) WHERE cents <> 0 GROUP BY n),
  made AS (
    INSERT INTO ledger_entry (tenant_id, id, kind, source_kind, source_id, n_lines, total_cents, at)
      SELECT t, e.id, e.kind, e.source_kind, e.source, s.lines, s.debits, e.at
        FROM unnest(p_ids, p_kinds, p_source_kinds, p_sources, p_ats) WITH ORDINALITY
               AS e (id, kind, source_kind, source, at, n)
        JOIN sums AS s ON s.n = e.n
      ON CONFLICT ON CONSTRAINT ledger_entry_once DO NOTHING
      RETURNING id)
  SELECT coalesce(array_agg(id), '{}') INTO fresh FROM made;
  IF cardinality(fresh) < cardinality(p_ids) THEN
    FOR other IN
      SELECT e.kind, e.source, b.total_cents AS before,
             (SELECT sum(cents) FILTER (WHERE cents > 0) FROM unnest(p_of, p_cents) AS l (n, cents)
               WHERE l.n = e.n) AS debits
        FROM unnest(p_ids, p_kinds, p_source_kinds, p_sources) WITH ORDINALITY
               AS e (id, kind, source_kind, source, n)
        JOIN ledger_entry b ON b.tenant_id = t AND b.kind = e.kind
                           AND b.source_kind = e.source_kind AND b.source_id = e.source
       WHERE e.id <> ALL (fresh)
    LOOP
      IF other.before <> other.debits THEN
        RAISE EXCEPTION '% of % is in the books with % cents, not %',
          other.kind, other.source, other.before, other.debits
          USING ERRCODE = 'check_violation', CONSTRAINT = 'ledger_entry_same';
      END IF;
    END LOOP;
  END IF;
  -- Accounts are opened in the order of their codes, and locked in the order of their ids, so that
  -- two who post do not wait for each other.
  PERFORM account(code)
    FROM (SELECT DISTINCT line.code FROM unnest(p_codes) AS line (code)
           WHERE NOT EXISTS (SELECT FROM ledger_account a
                              WHERE a.tenant_id = t AND a.code = line.code)
           ORDER BY 1) AS codes;
  INSERT INTO ledger_posting (tenant_id, entry_id, line_no, account_id, amount_cents)
    SELECT t, e.id, row_number() OVER (PARTITION BY e.n ORDER BY a.id, line.m), a.id, line.cents
      FROM unnest(p_ids) WITH ORDINALITY AS e (id, n)
      JOIN unnest(p_of, p_codes, p_cents) WITH ORDINALITY AS line (n, code, cents, m)
        ON line.n = e.n
      JOIN ledger_account a ON a.tenant_id = t AND a.code = line.code
     WHERE line.cents <> 0 AND e.id = ANY (fresh)
     ORDER BY a.id, e.n, line.m;
  RETURN cardinality(fresh);
END $$;
