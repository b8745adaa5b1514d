#!/bin/sh
# install.sh [--start]: puts this release onto the node, over an earlier one or anew: /opt/weft,
# /opt/cni/bin/weft, the unit and, where there is none, /etc/weft/weft.yaml. Needs nothing but a shell and
# coreutils. An agent that runs goes on as it is until it is restarted (--start). DESTDIR: another root.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
root=${DESTDIR:-}
starts=
case ${1:-} in
  --start) starts=yes ;;
  --help) sed -n '2,4s/^# //p' "$0"; exit ;;
  '') ;;
  *) echo "install: unknown argument \"$1\"; install.sh [--start]" >&2; exit 2 ;;
esac
case $(uname -m) in x86_64) machine=amd64 ;; aarch64) machine=arm64 ;; *) machine=$(uname -m) ;; esac
if [ "$machine" != "$(cat "$here/ARCHITECTURE")" ]; then
  echo "install: this release is for $(cat "$here/ARCHITECTURE"), the machine is $machine" >&2
  exit 1
fi
[ "$(id -u)" -eq 0 ] || { echo 'install: run it as root' >&2; exit 1; }

# Beside its place and then renamed: no call of a runtime finds half a file.
put() { # put MODE SOURCE TARGET
  mkdir -p "$(dirname "$3")"
  cp "$2" "$3.new"
  chmod "$1" "$3.new"
  sync "$3.new"
  mv -f "$3.new" "$3"
}

(cd "$here/tree" && find opt/weft -type f) | while read -r file; do
  mode=0644
  [ ! -x "$here/tree/$file" ] || mode=0755
  put "$mode" "$here/tree/$file" "$root/$file"
done
put 0755 "$here/uninstall.sh" "$root/opt/weft/bin/weft-uninstall"
if ! ls "$root"/etc/weft/*.yaml >/dev/null 2>&1; then
  put 0644 "$here/weft.yaml" "$root/etc/weft/weft.yaml"
  echo "install: $root/etc/weft/weft.yaml has every setting; say there how to reach the API server"
fi
put 0644 "$here/weft.service" "$root/etc/systemd/system/weft.service"
# Last: a runtime that calls it finds everything it needs.
put 0755 "$here/tree/opt/cni/bin/weft" "$root/opt/cni/bin/weft"
# containerd runs `loopback` for each pod, whatever the network.
loopback=$root/opt/cni/bin/loopback
if [ ! -L "$loopback" ] && { [ ! -e "$loopback" ] || grep -q WEFT_ARGV0 "$loopback"; }; then
  put 0755 "$here/tree/opt/cni/bin/weft" "$loopback"
fi
echo "install: $("$root/opt/weft/bin/weft" version) is in $root/opt/weft"

if [ -z "$root" ] && [ -d /run/systemd/system ]; then
  systemctl daemon-reload
  if [ -n "$starts" ]; then
    systemctl enable weft
    systemctl restart weft
  fi
elif [ -n "$starts" ]; then
  echo 'install: no systemd started it; start /opt/weft/bin/weft agent --config /etc/weft yourself' >&2
fi
