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

# run STAGE...: LANES of them beside each other.
run() {
  printf '%s\n' "$@" | xargs -P "$LANES" -I NAME scripts/test-stage.sh NAME "$reports" || status=1
}

# A kernel under user-mode Linux has one processor, whatever the machine has.
export UML_PARTS=2
# Small parts, so that no lane waits for long for the last one of another.
export NETNS_PARTS=20
mapfile -t guests < <(seq -f 'uml-%g' "$UML_PARTS")
mapfile -t others < <(printf '%s\n' unit; seq -f 'netns-%g' "$NETNS_PARTS")
LANES=$UML_PARTS run "${guests[@]}"
processors=$(nproc)
LANES=${LANES:-$((processors < 2 ? 1 : 2))} run "${others[@]}"

node scripts/count-tests.cjs "$reports" "${guests[@]}" "${others[@]}" || status=1
exit "$status"
