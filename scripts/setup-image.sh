#!/usr/bin/env bash
# setup-image.sh amd64|arm64: the Debian packages that images of that architecture are made with. Says
# what it does; does nothing when there is nothing to do.
set -euo pipefail
cd "$(dirname "$0")/.."

# package: what needs it
packages=(
  mmdebstrap # fetches and unpacks Debian's part of the image, for any architecture
  umoci      # layers and configuration of an OCI image, without a daemon
)
if [ "$1" != "$(dpkg --print-architecture)" ]; then
  [ "$1" = arm64 ] || { echo "setup-image: only arm64 is built on another machine" >&2; exit 1; }
  packages+=(
    g++-aarch64-linux-gnu # compiles the addon and the shim
    qemu-user-static      # runs what was built, once
  )
fi

missing=()
for package in "${packages[@]}"; do
  state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
  [ "$state" = installed ] || missing+=("$package")
done
[ ${#missing[@]} -gt 0 ] || exit 0
if [ "$(id -u)" -ne 0 ]; then
  echo "setup-image: not root; install these Debian packages first: ${missing[*]}" >&2
  exit 1
fi
echo "setup-image: installing Debian packages: ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
