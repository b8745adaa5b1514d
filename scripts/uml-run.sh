#!/usr/bin/env bash
# Runs a command as root under Debian's user-mode Linux, which has what this machine's kernel may lack
# (IPVS, bridge VLANs, dummy links), and ends with its exit status. `UML_LIMIT` bounds it in seconds.
# The machine's root is the guest's: what the guest changes is kept to tmpfs mounts.
set -euo pipefail
cd "$(dirname "$0")/.."
limit=${UML_LIMIT:-300}
modules=(
  crc-ccitt ipv6 llc stp bridge br_netfilter veth dummy af_packet # links
  ifb sch_ingress sch_tbf cls_u32 act_mirred # shaping
  nf_tables nf_conntrack nf_conntrack_netlink nfnetlink
  ip_tables iptable_filter iptable_nat iptable_mangle # iptables-legacy; what nft needs for IPv4 is not there
  ip6_tables ip6table_filter ip6table_nat ip6table_mangle
  ipt_REJECT ip6t_REJECT xt_MASQUERADE xt_REDIRECT xt_addrtype xt_comment xt_conntrack xt_mark
  xt_multiport xt_nat xt_recent xt_sctp xt_set xt_statistic xt_tcpudp xt_ipvs
  ip_set ip_set_bitmap_port ip_set_hash_ip ip_set_hash_ipport ip_set_hash_ipportip
  ip_set_hash_ipportnet ip_set_hash_net
  ip_vs ip_vs_{rr,wrr,lc,wlc,lblc,lblcr,sh,mh,dh,sed,nq,fo,ovf}
)

fail() {
  echo "uml: $1" >&2
  exit 1
}
[ "$(id -u)" -eq 0 ] || fail 'user-mode Linux is run as root, as the programs in it are'
command -v linux.uml >/dev/null ||
  fail 'linux.uml is missing, and with it every test under it: install the Debian package user-mode-linux'
[ -d /usr/lib/uml/modules ] || fail '/usr/lib/uml/modules is missing: reinstall user-mode-linux'
command -v modprobe >/dev/null || fail 'modprobe is missing: install the Debian package kmod'

work=$(mktemp -d /var/tmp/weft-uml-XXXXXX)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/lib"
ln -s /usr/lib/uml/modules "$work/lib/modules"
printf '%q ' "$@" >"$work/command"
cat >"$work/init" <<INIT
#!/bin/bash
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t tmpfs tmpfs /run
mkdir -p /run/netns /run/tmp; ip link set lo up
# The second console is what whoever started this sees.
mknod /run/console c 4 1
exec </dev/null >/run/console 2>&1
stty -F /run/console -opost
# Not on the machine's own, and not over it: the project may lie below /tmp.
export TMPDIR=/run/tmp
export PATH="$PATH" HOME=/root NO_COLOR=1 CI="${CI:-}"
# Reading TypeScript takes seconds here; what comes of it is kept for the next time.
export NODE_COMPILE_CACHE="$PWD/node_modules/.cache/weft-uml"
if ! missing=\$(modprobe -a -d "$work" ${modules[*]} 2>&1); then
  echo "uml: kernel \$(uname -r) has no" \$(sed -nE "s/.*(insert|Module) '?([a-z0-9_-]+)'?.*/\\2/p" <<<"\$missing" | sort -u)
  echo 'uml: reinstall the Debian package user-mode-linux'
  echo 1 >"$work/status"
else
  cd "$PWD"
  # Through a pipe: no terminal, no cursor movements.
  bash "$work/command" 2>&1 | cat
  echo "\${PIPESTATUS[0]}" >"$work/status"
fi
sync
echo o >/proc/sysrq-trigger
sleep 5
INIT
chmod +x "$work/init"
timeout -k 10 "$limit" linux.uml rootfstype=hostfs rw mem=1024M quiet init="$work/init" \
  con0=null,fd:1 con1=null,fd:3 con=null 3>&1 >"$work/console" 2>&1 </dev/null && ended=0 || ended=$?
if [ ! -s "$work/status" ]; then
  cat "$work/console" >&2
  [ "$ended" -ne 124 ] || fail "not finished after $limit seconds, and ended"
  fail 'the kernel did not boot, or halted before the command had ended; above is what it printed; reinstalling user-mode-linux may help'
fi
exit "$(cat "$work/status")"
