#!/usr/bin/env bash
# install.sh DIR: the tree a node gets, below DIR. Every file is written beside its place, flushed and
# renamed, so neither a running node nor a crashed one ever sees half a file. NODE_BINARY, ADDON, SHIM
# and STRIP are those of another architecture.
set -euo pipefail
cd "$(dirname "$0")/.."
root=${1%/}
[ -n "${1:-}" ] || { echo 'install: DESTDIR is empty; use DESTDIR=/ for this machine' >&2; exit 2; }

put() { # put MODE SOURCE TARGET
  mkdir -p "$(dirname "$3")"
  install -m "$1" "$2" "$3.new"
  sync "$3.new"
  mv -f "$3.new" "$3"
}
arch=$([ "$(uname -m)" = aarch64 ] && echo arm64 || echo x64)
strip=${STRIP:-strip}
shim=${SHIM:-native/shim/build/weft-shim}

stripped=$(mktemp -d)
trap 'rm -rf "$stripped"' EXIT
"$strip" -o "$stripped/node" "${NODE_BINARY:-node_modules/node-linux-$arch/bin/node}"
"$strip" -o "$stripped/weft.node" "${ADDON:-native/build/weft.node}"

put 0755 "$stripped/node" "$root/opt/weft/bin/node"
put 0755 "$stripped/weft.node" "$root/opt/weft/lib/weft.node"
# What weft.mjs loads is there before it, and what an earlier one loaded goes after it.
for file in dist/weft-*.mjs dist/weft.mjs dist/weft-cni.bin dist/weft-cni.cjs; do
  put 0644 "$file" "$root/opt/weft/lib/$(basename "$file")"
done
for file in "$root"/opt/weft/lib/weft-*.mjs; do
  [ -e "dist/$(basename "$file")" ] || rm -f "$file"
done
for file in dist/page/*; do
  put 0644 "$file" "$root/opt/weft/lib/page/$(basename "$file")"
done
put 0755 scripts/weft-launcher.sh "$root/opt/weft/bin/weft"
for template in cni-conf/*.conflist cni-conf/*.yaml cni-conf/*.json cni-conf/*.service; do
  put 0644 "$template" "$root/opt/weft/share/$(basename "$template")"
done
for page in dist/man/*.8; do
  put 0644 "$page" "$root/opt/weft/share/man/man8/$(basename "$page")"
done
put 0644 LICENSE "$root/opt/weft/LICENSE"
put 0644 dist/THIRD-PARTY-NOTICES "$root/opt/weft/THIRD-PARTY-NOTICES"
# Last: a runtime that calls it finds everything it needs.
put 0755 "$shim" "$root/opt/cni/bin/weft"
# containerd runs `loopback` for each pod, whatever the network. Where there is none, or ours of an
# earlier release, it is weft; a link of `weft install --drop-in` is left alone. A copy, so that
# taking the names back leaves pods a loopback.
loopback=$root/opt/cni/bin/loopback
if [ ! -L "$loopback" ] && { [ ! -e "$loopback" ] || grep -q WEFT_ARGV0 "$loopback"; }; then
  put 0755 "$shim" "$loopback"
fi
echo "install: $root/opt/weft and $root/opt/cni/bin/weft ($(du -sh "$root/opt/weft" | cut -f1))"
