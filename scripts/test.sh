#!/usr/bin/env bash
# Runs every test and closes with one line that counts them.
set -uo pipefail
cd "$(dirname "$0")/.."

if [ "$(id -u)" -ne 0 ]; then
  echo 'test: the namespace tests need root; run `make test-unit` for the others' >&2
  exit 1
fi
report=$(mktemp)
trap 'rm -f "$report"' EXIT
status=0
scripts/test-sanitized.sh || status=1
NO_COLOR=1 vitest run --project unit --project netns --reporter=default --reporter=json --outputFile.json="$report" || status=1
node -e '
const { numPassedTests: passed, numFailedTests: failed, numPendingTests: skipped } =
  JSON.parse(require("node:fs").readFileSync(process.argv[1], "utf8"));
console.log(`${passed} passed, ${failed} failed${skipped ? `, ${skipped} skipped` : ""}`);
' "$report" || status=1
exit "$status"
