#!/bin/sh
# weft-uninstall FLAGS: stops the agent, takes weft out of the kernel (`weft cleanup --all FLAGS`) and
# its files off the node. While pods of weft live their way out stays, and so do the files, unless
# --force. /etc/weft stays: it is the administrator's.
set -eu
[ "$(id -u)" -eq 0 ] || { echo 'uninstall: run it as root' >&2; exit 1; }
if [ -d /run/systemd/system ] && [ -e /etc/systemd/system/weft.service ]; then
  systemctl disable --now weft
fi
said=$(/opt/weft/bin/weft cleanup --all "$@")
echo "$said"
case " $* " in *' --dry-run '*) exit 0 ;; esac
case $said in
  *'kept '*) echo 'uninstall: the files stay, too: pods or Services need what is kept' >&2; exit 1 ;;
esac
for name in weft loopback; do
  # Only ours: the word is in the executable.
  if [ ! -L "/opt/cni/bin/$name" ] && grep -qs WEFT_ARGV0 "/opt/cni/bin/$name"; then
    rm -f "/opt/cni/bin/$name"
  fi
done
rm -rf /etc/systemd/system/weft.service /opt/weft
if [ -d /run/systemd/system ]; then systemctl daemon-reload; fi
echo 'uninstall: done; /etc/weft is left'
