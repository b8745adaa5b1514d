#!/usr/bin/env bash
# test-stage.sh NAME DIRECTORY: one part of `make test`, with a report DIRECTORY/NAME.json that counts. What
# it prints comes in one piece, when it is over: another one runs beside it.
set -uo pipefail
cd "$(dirname "$0")/.."
name=$1 reports=$2

# reported SCRIPT-OR-VITEST ARGS...
reported() {
  "$@" --reporter=default --reporter=json --outputFile.json="$reports/$name.json"
}

stage() {
  case $name in
    uml-*) reported scripts/test-uml.sh --shard="${name#uml-}/$UML_PARTS" ;;
    unit)
      local status=0
      scripts/test-sanitized.sh || status=1
      reported vitest run --project unit && return "$status"
      ;;
    netns-*) reported scripts/alone.sh vitest run --project netns --shard="${name#netns-}/$NETNS_PARTS" ;;
  esac
}

echo "test: $name begins"
stage >"$reports/$name.log" 2>&1
status=$?
flock "$reports" cat "$reports/$name.log"
exit "$status"
