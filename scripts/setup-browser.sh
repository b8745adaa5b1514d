#!/usr/bin/env bash
# Brings a Debian 12 machine to where the tests of the page, the dashboard and the alerts run. About 20 s the
# first time; does nothing when there is nothing to do. No daemon of these packages is started.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh

# package: what needs it
packages=(
  chromium          # draws the page
  fonts-dejavu-core # for what the page's own font lacks, the same on every machine
  prometheus        # promtool reads dashboards' queries and alerts
)

scripts/install-packages.sh setup-browser "${packages[@]}"
