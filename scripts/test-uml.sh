#!/usr/bin/env bash
# Runs the VLAN tests under Debian's user-mode Linux: kernels built without bridge VLAN filtering skip
# them, and nothing may stay untested for that. Boots to halt in half a minute; needs root.
set -euo pipefail
cd "$(dirname "$0")/.."
tests=(test/netns/cni-bridge-vlan.test.ts)
modules=(crc-ccitt ipv6 llc stp bridge veth ifb sch_ingress sch_tbf cls_u32 act_mirred af_packet
  nf_tables nf_conntrack)

scripts/setup.sh
missing=()
for package in user-mode-linux kmod; do
  state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
  [ "$state" = installed ] || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
  echo "test-uml: installing Debian packages: ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/lib"
ln -s /usr/lib/uml/modules "$work/lib/modules"
# The machine's root is the guest's: what the guest changes is kept to tmpfs mounts and this directory.
cat >"$work/init" <<INIT
#!/bin/bash
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t tmpfs tmpfs /run
mkdir -p /run/netns; ip link set lo up
for module in ${modules[*]}; do modprobe -d "$work" "\$module" || true; done
export PATH="$PATH" HOME=/root NO_COLOR=1 WEFT_NEEDS_VLANS=1
cd "$PWD"
timeout 240 node_modules/.bin/vitest run --project netns ${tests[*]} >"$work/output" 2>&1
echo \$? >"$work/status"
sync
echo o >/proc/sysrq-trigger
sleep 5
INIT
chmod +x "$work/init"
timeout 300 linux.uml rootfstype=hostfs rw mem=1024M init="$work/init" \
  con0=null,fd:1 con=null >"$work/console" 2>&1 </dev/null || true
cat "$work/output" 2>/dev/null || cat "$work/console"
[ "$(cat "$work/status" 2>/dev/null)" = 0 ]
