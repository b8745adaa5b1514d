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

scripts/install-packages.sh setup-image "${packages[@]}"
