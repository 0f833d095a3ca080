-- The audit log as a chain of blocks: who changes or takes out a row, even as the owner of the
-- database, breaks it. Rows are hashed in blocks after they are committed, so that two changes at
-- once do not wait for each other.

CREATE TABLE audit_pending (
  tenant_id uuid NOT NULL REFERENCES tenant,
  audit_id  uuid NOT NULL,
  PRIMARY KEY (tenant_id, audit_id)
);
SELECT protect('audit_pending');
GRANT SELECT ON audit_pending TO kennet_app;

CREATE TABLE audit_block (
  tenant_id uuid NOT NULL REFERENCES tenant,
  block_no  bigint NOT NULL CHECK (block_no > 0),
  -- In the order in which they are hashed.
  audit_ids uuid[] NOT NULL CHECK (cardinality(audit_ids) BETWEEN 1 AND 1000),
  hash      bytea NOT NULL CHECK (octet_length(hash) = 32),
  sealed_at timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, block_no)
);
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE ON audit_block
  FOR EACH ROW EXECUTE FUNCTION append_only();
CREATE TRIGGER append_only_t BEFORE TRUNCATE ON audit_block EXECUTE FUNCTION append_only();
SELECT protect('audit_block');
GRANT SELECT ON audit_block TO kennet_app;

CREATE FUNCTION audit_log_pending() RETURNS trigger
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = kennet, pg_temp AS $$
BEGIN
  INSERT INTO audit_pending (tenant_id, audit_id) VALUES (NEW.tenant_id, NEW.id);
  RETURN NULL;
END $$;
CREATE TRIGGER audit_log_pending AFTER INSERT ON audit_log
  FOR EACH ROW EXECUTE FUNCTION audit_log_pending();
DO $$
DECLARE
  t uuid;
BEGIN
  CREATE POLICY every_owner ON tenant FOR SELECT TO CURRENT_USER USING (true);
  FOR t IN SELECT tenant_id FROM tenant LOOP
    PERFORM set_config('kennet.tenant_id', t::text, true);
    INSERT INTO audit_pending SELECT tenant_id, id FROM audit_log WHERE tenant_id = t;
  END LOOP;
  DROP POLICY every_owner ON tenant;
END $$;

-- Over the rows in this order; a row that is not there is hashed as its absence.
CREATE FUNCTION audit_hash(p_tenant uuid, p_before bytea, p_ids uuid[]) RETURNS bytea
  LANGUAGE sql STABLE SET search_path = kennet, pg_temp AS $$
  SELECT sha256(coalesce(p_before, ''::bytea) || string_agg(
    sha256(convert_to(coalesce(jsonb_build_array(a.id, (extract(epoch FROM a.at) * 1000000)::bigint,
      a.actor, host(a.actor_ip), a.action, a.object_kind, a.object_id, a.before, a.after,
      a.request_id)::text, ''), 'UTF8')), ''::bytea ORDER BY ids.n))
    FROM unnest(p_ids) WITH ORDINALITY AS ids (id, n)
    LEFT JOIN audit_log a ON a.tenant_id = p_tenant AND a.id = ids.id $$;

-- Seals the next block of the tenant. Says how many rows it has; 0: there was nothing to seal.
CREATE FUNCTION seal_audit(p_now timestamptz) RETURNS int
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = kennet, pg_temp AS $$
DECLARE
  t uuid := current_tenant();
  ids uuid[];
  last audit_block;
BEGIN
  -- One seals at a time; the key of the next block would refuse the second anyway.
  PERFORM FROM tenant WHERE tenant_id = t FOR NO KEY UPDATE;
  WITH taken AS (
    DELETE FROM audit_pending WHERE tenant_id = t AND audit_id IN (
      SELECT audit_id FROM audit_pending WHERE tenant_id = t ORDER BY audit_id LIMIT 1000)
    RETURNING audit_id)
  SELECT array_agg(audit_id ORDER BY audit_id) INTO ids FROM taken;
  IF ids IS NULL THEN
    RETURN 0;
  END IF;
  SELECT * INTO last FROM audit_block WHERE tenant_id = t ORDER BY block_no DESC LIMIT 1;
  INSERT INTO audit_block (tenant_id, block_no, audit_ids, hash, sealed_at)
    VALUES (t, coalesce(last.block_no, 0) + 1, ids, audit_hash(t, last.hash, ids), p_now);
  RETURN cardinality(ids);
END $$;
REVOKE ALL ON FUNCTION seal_audit(timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION seal_audit(timestamptz) TO kennet_app;

-- What does not fit: the number of a block whose rows, place or hash are others than when it was
-- sealed; and 0 for rows that are neither in a block nor waiting for one.
CREATE FUNCTION verify_audit() RETURNS SETOF bigint
  LANGUAGE sql STABLE SET search_path = kennet, pg_temp AS $$
  WITH chain AS (
    SELECT block_no, hash, audit_ids, lag(hash) OVER w AS before, row_number() OVER w AS n
      FROM audit_block WHERE tenant_id = current_tenant() WINDOW w AS (ORDER BY block_no))
  SELECT block_no FROM chain
   WHERE block_no <> n OR hash <> audit_hash(current_tenant(), before, audit_ids)
  UNION ALL
  SELECT 0 WHERE EXISTS (
    SELECT FROM audit_log a
     WHERE a.tenant_id = current_tenant()
       AND NOT EXISTS (SELECT FROM audit_pending p
                        WHERE p.tenant_id = a.tenant_id AND p.audit_id = a.id)
       AND NOT EXISTS (SELECT FROM audit_block b
                        WHERE b.tenant_id = a.tenant_id AND a.id = ANY (b.audit_ids)))
$$;
