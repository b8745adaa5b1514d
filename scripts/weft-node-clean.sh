#!/bin/sh
# weft-node-clean FLAGS: takes weft off a node: `weft cleanup --all FLAGS`, and the CNI executables that
# weft-node-init put there, unless a pod or a network configuration still needs them.
set -eu
bin=${WEFT_HOST_CNI_BIN:-/host/opt/cni/bin}
conf=${WEFT_CNI_CONF_DIR:-/etc/cni/net.d}

/opt/weft/bin/weft cleanup --all "$@"

if grep -qs '"type": *"weft"' "$conf"/*.conf "$conf"/*.conflist || [ -n "$(ls -A /run/weft/attachments 2>/dev/null)" ]; then
  echo 'kept the CNI executables: a network configuration or a pod needs them'
  exit 0
fi
for name in weft loopback; do
  # Only ours: the word is in the executable.
  if [ ! -L "$bin/$name" ] && grep -qs WEFT_ARGV0 "$bin/$name"; then
    rm -f "$bin/$name"
    echo "removed $bin/$name"
  fi
done
