#!/usr/bin/env bash
# `make run`: database, key, price book, example data in; summary out; serve. Safe to run again:
# every step either finds its work done or is idempotent by event id.
set -euo pipefail

cost_ops=${BIN:?}/cost-ops
host=${HOST:-127.0.0.1}
port=${PORT:-8080}
export COST_OPS_DATABASE_URL=${COST_OPS_DATABASE_URL:-sqlite:///.run/cost-ops.db}

umask 077
mkdir -p .run
"$cost_ops" init --database-url "$COST_OPS_DATABASE_URL"
if [ ! -s .run/api-key ]; then
  "$cost_ops" auth create-api-key --name local > .run/api-key.new
  mv .run/api-key.new .run/api-key
fi

for file in examples/*.jsonl; do
  "$cost_ops" ingest -f "$file"
done
if [ -n "${USAGE:-}" ]; then
  "$cost_ops" ingest -f "$USAGE"
fi
"$cost_ops" summary --period all-time

printf '\nServing on http://%s:%s (documentation at /docs). The API key is in .run/api-key:\n' "$host" "$port"
printf '  curl -H "Authorization: Bearer $(cat .run/api-key)" http://%s:%s/api/v1/costs/summary\n\n' "$host" "$port"
exec "$cost_ops" serve --host "$host" --port "$port"
