#!/bin/sh
# weft-node-init FLAGS: what a node needs that takes full privileges, before `weft agent FLAGS` runs in
# a container beside this one: modules, sysctls, and the CNI executables in the runtime's directory.
set -eu
bin=${WEFT_HOST_CNI_BIN:-/host/opt/cni/bin}

# A module that is built in needs no loading, and one that is missing is named by who needs it.
for module in nf_tables nf_conntrack br_netfilter vxlan; do
  modprobe -q "$module" || echo "weft-node-init: module $module not loaded: built in, or not there"
done

# put TARGET: the shim there, whole at every moment, also while a runtime executes it.
put() {
  cp /opt/cni/bin/weft "$1.new"
  chmod 0755 "$1.new"
  sync "$1.new"
  mv -f "$1.new" "$1"
}
if [ -d "$bin" ]; then
  put "$bin/weft"
  # containerd runs `loopback` for each pod, whatever the network.
  if [ ! -L "$bin/loopback" ] && { [ ! -e "$bin/loopback" ] || grep -q WEFT_ARGV0 "$bin/loopback"; }; then
    put "$bin/loopback"
  fi
fi

exec /opt/weft/bin/weft agent --init-only "$@"
