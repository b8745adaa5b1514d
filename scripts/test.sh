#!/usr/bin/env bash
# test.sh [runtime]: runs every test, or those with container runtimes, and closes with one line that
# counts them.
set -uo pipefail
cd "$(dirname "$0")/.."

if [ "$(id -u)" -ne 0 ]; then
  echo 'test: the namespace tests need root; run `make test-unit` for the others' >&2
  exit 1
fi
reports=$(mktemp -d)
trap 'rm -rf "$reports"' EXIT
export NO_COLOR=1
status=0

# run SCRIPT-OR-VITEST NAME ARGS...: with a report that counts.
run() {
  local program=$1 name=$2
  shift 2
  "$program" "$@" --reporter=default --reporter=json --outputFile.json="$reports/$name.json"
}

if [ "${1:-}" = runtime ]; then
  run vitest runtime run --project runtime || status=1
  node scripts/count-tests.cjs "$reports" runtime || status=1
  exit "$status"
fi

# User-mode Linux has one processor; what is on the other one meanwhile does not mind to wait.
(
  scripts/test-sanitized.sh && sanitized=0 || sanitized=1
  run vitest unit run --project unit && exit "$sanitized"
  exit 1
) >"$reports/beside" 2>&1 &
beside=$!
run scripts/test-uml.sh uml || status=1
wait "$beside" || status=1
cat "$reports/beside"
run vitest netns run --project netns || status=1

node scripts/count-tests.cjs "$reports" unit netns uml || status=1
exit "$status"
