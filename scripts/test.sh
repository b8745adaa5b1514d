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

if [ "${1:-}" = runtime ]; then
  vitest run --project runtime --reporter=default --reporter=json \
    --outputFile.json="$reports/runtime.json" || status=1
  node scripts/count-tests.cjs "$reports" runtime || status=1
  exit "$status"
fi

# One after the other unless LANES says more: tests of time need the machine for themselves. In pieces, so that
# several lanes are busy to the end.
export NETNS_PARTS=6
mapfile -t stages < <(printf '%s\n' uml unit; seq -f 'netns-%g' "$NETNS_PARTS")
printf '%s\n' "${stages[@]}" | xargs -P "${LANES:-1}" -I NAME scripts/test-stage.sh NAME "$reports" || status=1

node scripts/count-tests.cjs "$reports" "${stages[@]}" || status=1
exit "$status"
