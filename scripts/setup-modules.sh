#!/usr/bin/env bash
# setup-modules.sh: the npm modules that the lock names, and the pinned Node with them. Installs no Debian
# package. Does nothing when there is nothing to do.
set -euo pipefail
cd "$(dirname "$0")/.."

if [ ! -e node_modules/.package-lock.json ] ||
  [ package-lock.json -nt node_modules/.package-lock.json ]; then
  echo 'setup: installing npm modules (npm ci)'
  # No package of ours needs an install script; the distribution's Node runs npm, hence no engine
  # check: the pinned Node comes with the modules.
  npm ci --ignore-scripts --no-fund --no-audit --loglevel=error
  touch node_modules/.package-lock.json
fi
