#!/bin/sh
# Checks every query of the controller against its migrations, in a throw-away Postgres, and keeps
# what the builds without a database need in controller/.sqlx. Run it after a change of SQL.
set -eu
cd "$(dirname "$0")"
here=$PWD

bin=${KENNET_PG_BIN:-$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -n 1)}
bin=${bin:-$(pg_config --bindir)}
dir=$(mktemp -d /tmp/kennet-queries.XXXXXX)
# Postgres refuses root.
as= ; [ "$(id -u)" != 0 ] || { as='setpriv --reuid=postgres --regid=postgres --clear-groups'; chown postgres "$dir"; }
finish() {
    $as "$bin/pg_ctl" -D "$dir/data" -m immediate -w stop >/dev/null 2>&1 || true
    rm -rf "$dir"
}
trap finish EXIT
trap 'exit 1' INT TERM

$as "$bin/initdb" -D "$dir/data" -U kennet -A trust -E UTF8 --no-locale -N >/dev/null
$as "$bin/pg_ctl" -D "$dir/data" -l "$dir/log" -w -s \
    -o "-c listen_addresses= -c fsync=off -k $dir" start
psql="$bin/psql -h $dir -U kennet -v ON_ERROR_STOP=1 -q"
$psql -d postgres -c 'CREATE DATABASE kennet'
$psql -d kennet -c 'CREATE SCHEMA kennet'
for migration in migrations/*.sql; do
    PGOPTIONS='-c search_path=kennet' $psql -d kennet -1 -o /dev/null -f "$migration"
done

mkdir "$dir/sqlx"; chmod 755 "$dir"
touch src/lib.rs # Queries are checked when they are compiled, so they must be.
SQLX_OFFLINE=false SQLX_OFFLINE_DIR="$dir/sqlx" \
DATABASE_URL="postgres://kennet@localhost/kennet?host=$dir&options=-csearch_path%3Dkennet" \
    cargo check --quiet -p controller "$@"
rm -rf "$here/.sqlx"
cp -r "$dir/sqlx" "$here/.sqlx"
echo "$(ls "$here/.sqlx" | wc -l) queries are checked"
