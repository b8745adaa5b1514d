#!/usr/bin/env bash
# install-packages.sh WHO PACKAGE...: installs those Debian packages that are missing, and starts no daemon
# of theirs: a firewalld or containerd that Debian starts would change the machine's own network. Says
# what it does in the name of WHO; does nothing when there is nothing to do.
set -euo pipefail
who=$1
shift

missing=()
for package in "$@"; do
  state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
  [ "$state" = installed ] || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0
if [ "$(id -u)" -ne 0 ]; then
  echo "$who: not root; install these Debian packages first: ${missing[*]}" >&2
  exit 1
fi
echo "$who: installing Debian packages: ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  trap 'rm -f "$policy"' EXIT
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod 0755 "$policy"
fi
apt-get update -qq
apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
