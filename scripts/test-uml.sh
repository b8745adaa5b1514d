#!/usr/bin/env bash
# Runs the tests of what this machine's kernel may lack (IPVS, bridge VLANs) under user-mode Linux, in
# one boot. Arguments go to vitest: a file, a reporter.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! command -v linux.uml >/dev/null && [ "$(uname -m)" != x86_64 ]; then
  echo '**********************************************************************************'
  echo "test-uml: NOT RUN: Debian has no user-mode-linux for $(uname -m)."
  echo '          IPVS and bridge VLANs stay untested here; run `make test-uml` on amd64.'
  echo '**********************************************************************************'
  exit 0
fi
# It is for a guest that hangs: on a slow machine all of these tests take ten minutes.
export UML_LIMIT=${UML_LIMIT:-1800}
# Where a kernel that lacks VLANs must not look like success.
exec scripts/uml-run.sh env WEFT_NEEDS_VLANS=1 vitest run --project uml "$@"
