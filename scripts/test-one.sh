#!/usr/bin/env bash
# test-one.sh PATH [NAME]: runs the tests of one file or folder, only those whose title has NAME in it
# where one is given, and sets up what they need and no more.
set -euo pipefail
cd "$(dirname "$0")/.."
path=${1:-} name=${2:-}
[ -n "$path" ] || { echo 'usage: make test-one T=test/unit/net/ip.test.ts [NAME="words of a title"]' >&2; exit 2; }
[ -e "$path" ] || { echo "test-one: there is no $path" >&2; exit 2; }

run=(vitest run)
project() { run+=(--project "$1"); }
root() { [ "$(id -u)" -eq 0 ] || { echo "test-one: tests in $path need root" >&2; exit 1; }; }
case $path in
  test/unit/*) make -s build; project unit ;;
  # VLANs of a bridge: this machine's kernel may lack them.
  test/netns/cni-bridge-vlan.test.ts | test/uml/*) root; make -s setup build; run=(scripts/test-uml.sh) ;;
  test/netns/*) root; make -s setup dist/root; run=(scripts/alone.sh "${run[@]}"); project netns ;;
  test/runtime/*) root; make -s setup dist/root; scripts/setup-runtimes.sh; project runtime ;;
  test/browser/*) root; make -s setup dist/root; scripts/setup-browser.sh; project browser ;;
  *) echo "test-one: $path is not below test/unit, test/netns, test/uml, test/runtime or test/browser" >&2; exit 2 ;;
esac
[ -z "$name" ] || run+=(--testNamePattern "$(sed 's/[][\.*^$(){}?+|/]/\\&/g' <<<"$name")")
exec "${run[@]}" "$path"
