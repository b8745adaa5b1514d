#!/usr/bin/env bash
# test.sh [runtime|browser]: runs every test, or those with container runtimes or a browser, and closes with
# one line that counts them.
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

if [ $# -gt 0 ]; then
  vitest run --project "$1" --reporter=default --reporter=json \
    --outputFile.json="$reports/$1.json" || status=1
  node scripts/count-tests.cjs "$reports" "$1" || status=1
  exit "$status"
fi

# A kernel under user-mode Linux has one processor, whatever the machine has.
export UML_PARTS=2
# Small parts, so that no lane waits for long for the last one of another.
export NETNS_PARTS=20
# The longest first.
mapfile -t stages < <(seq -f 'uml-%g' "$UML_PARTS"; printf '%s\n' unit; seq -f 'netns-%g' "$NETNS_PARTS")
processors=$(nproc)
# Beside each other.
lanes=${LANES:-$((processors < 2 ? 1 : 2))}
printf '%s\n' "${stages[@]}" | xargs -P "$lanes" -I NAME scripts/test-stage.sh NAME "$reports" || status=1

node scripts/count-tests.cjs "$reports" "${stages[@]}" || status=1
exit "$status"
