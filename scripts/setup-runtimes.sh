#!/usr/bin/env bash
# Brings a Debian 12 machine to where the tests with real container runtimes run. About 15 s the
# first time; does nothing when there is nothing to do. No daemon of these packages is started.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh

# package: what needs it
packages=(
  containerd # CRI and ctr
  runc       # runs the containers of both
  podman     # the CNI backend of podman 4
  iptables   # the reference bridge's masquerade and portmap
)

missing=()
for package in "${packages[@]}"; do
  state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
  [ "$state" = installed ] || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0
if [ "$(id -u)" -ne 0 ]; then
  echo "setup-runtimes: not root; install these Debian packages first: ${missing[*]}" >&2
  exit 1
fi
echo "setup-runtimes: installing Debian packages: ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
# Debian starts a daemon it installs; the tests start their own.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod 0755 "$policy"
  trap 'rm -f "$policy"' EXIT
fi
apt-get update -qq
apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
