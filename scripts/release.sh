#!/usr/bin/env bash
# release.sh amd64|arm64: dist/weft-VERSION-linux-ARCH.tar.gz, for nodes without pods: the installed tree,
# install.sh, uninstall.sh and a unit. Needs `make bundle`; another architecture is cross-built as for
# its image. The same commit gives the same bytes.
set -euo pipefail
cd "$(dirname "$0")/.."
arch=$1
version=$(node -p 'require("./package.json").version')
name=weft-$version
staging=dist/release/$arch/$name
rm -rf "dist/release/$arch"
mkdir -p "$staging"
if [ "$arch" = "$(dpkg --print-architecture)" ]; then
  scripts/install.sh "$staging/tree" >/dev/null
else
  scripts/image.sh "$arch"
  cp -a "dist/image/$arch/tree" "$staging/tree"
  rm -rf "$staging/tree"/{etc,host,run,tmp,var} "$staging"/tree/opt/weft/bin/weft-node-*
fi
rm -f "$staging/tree/opt/cni/bin/loopback"
install -m 0755 scripts/release/install.sh scripts/release/uninstall.sh "$staging"
install -m 0644 scripts/release/weft.service LICENSE "$staging"
echo "$arch" >"$staging/ARCHITECTURE"
node scripts/agent-file.ts >"$staging/weft.yaml"
target=dist/$name-linux-$arch.tar.gz
tar --create --directory "dist/release/$arch" --sort=name --mtime="@${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}" \
  --owner=0 --group=0 --numeric-owner "$name" | gzip -n >"$target.new"
mv "$target.new" "$target"
echo "release: $target ($(du -h "$target" | cut -f1))"
