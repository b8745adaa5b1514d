#!/usr/bin/env bash
# image.sh amd64|arm64: dist/weft-image-ARCH.tar, an OCI image under the name that the manifests use,
# and beside it dist/weft-image-ARCH.cdx.json, what is in it. Needs `make bundle`. Two layers: Debian's
# packages, and the tree that `make install` makes. Nothing in it depends on when, where or by whom it
# was made: the same packages and the same commit give the same digest.
set -euo pipefail
cd "$(dirname "$0")/.."
arch=$1
case $arch in
  amd64) node_arch=x64 triplet=x86_64-linux-gnu ;;
  arm64) node_arch=arm64 triplet=aarch64-linux-gnu ;;
  *) echo "image: expected IMAGE_ARCH=amd64 or arm64, found \"$arch\"" >&2; exit 2 ;;
esac
scripts/setup-image.sh "$arch"
own=$(dpkg --print-architecture)
version=$(node -p 'require("./package.json").version')
reference=weft.dev/weft:$version
work=$PWD/dist/image/$arch
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}
created=$(date -u -d "@$SOURCE_DATE_EPOCH" +%FT%TZ)
mkdir -p "$work"

# Debian's part: unpacked, no script of a package is run, so any architecture will do.
# package: what needs it
packages=(
  libc6 libstdc++6 libatomic1 # Node, the last for arm64
  iptables         # both variants, for the modes and plugins that need them
  kmod             # modules that are not loaded yet
  bird2            # BGP, in a pod of its own
  busybox-static   # a shell, for the launcher and for people
)
if [ ! -e "$work/debian/packages.tsv" ] || [ scripts/image.sh -nt "$work/debian/packages.tsv" ]; then
  echo "image: fetching Debian packages for $arch"
  rm -rf "$work/debian"
  mkdir "$work/debian"
  list='cd "$1/var/cache/apt/archives" && for deb in *.deb; do
    dpkg-deb -W --showformat="\${Package}\t\${Version}\t\${Architecture}\n" "$deb"; done >'
  # Headers and library of musl alone, for the shim: as a package of the image it would bring a compiler.
  musl='APT_CONFIG=$MMDEBSTRAP_APT_CONFIG apt-get -qq -o APT::Sandbox::User=root download musl-dev && dpkg-deb -x musl-dev_*.deb'
  hooks=(--extract-hook="$list $work/debian/packages.new")
  [ "$arch" = "$own" ] || hooks+=(--extract-hook="cd $work/debian && $musl $work/debian/musl")
  signed='[signed-by=/usr/share/keyrings/debian-archive-keyring.gpg]'
  mmdebstrap --quiet --variant=extract --architectures="$arch" \
    --include="$(IFS=,; echo "${packages[*]}")" \
    "${hooks[@]}" bookworm "$work/debian/root" \
    "deb $signed http://deb.debian.org/debian bookworm main" \
    "deb $signed http://deb.debian.org/debian bookworm-updates main" \
    "deb $signed http://deb.debian.org/debian-security bookworm-security main"
  # Links to the descriptors of whoever looks, which no tool that walks this tree is to follow.
  rm -rf "$work/debian/root/dev"
  LC_ALL=C sort -o "$work/debian/packages.new" "$work/debian/packages.new"
  mv "$work/debian/packages.new" "$work/debian/packages.tsv"
fi

# The installed tree of that architecture.
if [ "$arch" != "$own" ]; then
  integrity=$(node -p "require('./package-lock.json').packages['node_modules/node-linux-$node_arch'].integrity")
  runtime=node-linux-$node_arch@$(node -p "require('./package.json').optionalDependencies['node-linux-$node_arch']")
  if [ ! -e "$work/node/$runtime" ]; then
    echo "image: fetching $runtime"
    rm -rf "$work/node"
    mkdir "$work/node"
    packed=$work/node/$(npm pack --silent --pack-destination "$work/node" "$runtime")
    found=sha512-$(openssl dgst -sha512 -binary "$packed" | base64 -w0)
    [ "$found" = "$integrity" ] || { echo "image: $runtime is not what package-lock.json names" >&2; exit 1; }
    tar -xzf "$packed" -C "$work/node" package/bin/node
    rm "$packed"
    touch "$work/node/$runtime"
  fi
  echo "image: compiling for $arch"
  musl=$work/debian/musl/usr
  musl_triplet=${triplet%-gnu}-musl
  specs=$work/musl-gcc.specs
  sed "s| /usr/| $musl/|g; s|-L/usr/|-L$musl/|g" "$musl/lib/$musl_triplet/musl-gcc.specs" >"$specs"
  make -s -C native BUILD="$work/native" CXX="$triplet-g++"
  make -s -C native/shim BUILD="$work/shim" CC="$triplet-gcc -specs=$specs"
  export NODE_BINARY=$work/node/package/bin/node ADDON=$work/native/weft.node SHIM=$work/shim/weft-shim STRIP=$triplet-strip
fi
rm -rf "$work/tree" "$work/base"
scripts/install.sh "$work/tree" >/dev/null
for script in weft-node-init weft-node-clean; do
  install -m 0755 "scripts/$script.sh" "$work/tree/opt/weft/bin/$script"
done
# Where a pod's mounts go; the root file system is read-only.
mkdir -p "$work"/tree/{etc/weft,etc/cni/net.d,run/weft,run/netns,var/lib/weft,var/lib/cni,host/opt/cni/bin,host/etc/kubernetes,host/proc/sys/net,tmp}
touch "$work/tree/run/xtables.lock"

cp -a "$work/debian/root" "$work/base"
(
  cd "$work/base"
  # What mmdebstrap made of this machine's files, and what nobody reads; licences stay.
  rm -rf tmp run var etc/{apt,dpkg,fstab,hostname,init.d,resolv.conf} usr/include \
    usr/share/{bash-completion,bug,info,lintian,locale,man} usr/lib/*/gconv
  find usr/share/doc -type f ! -name copyright -delete
  # Perl, dpkg and what makes users are for scripts of packages, none of which is run.
  rm -rf usr/share/perl* usr/lib/*/{perl*,libperl*,libdb-*,libgdbm*,libpam*,libse{manage,pol}*,libssl.*} \
    lib/*/{libpam*,security} usr/share/doc/*perl* usr/bin/{*perl*,dpkg*} usr/sbin/{user,group}*
  mkdir -p var lib/modules proc sys dev
  for applet in sh cat chmod cp grep id ls mkdir mv ps readlink rm sleep sync; do ln -s busybox "bin/$applet"; done
  # What Debian's alternatives say.
  for program in {ip,ip6}tables{,-save,-restore}; do
    ln -s "${program%%tables*}tables-nft${program#*tables}" "usr/sbin/$program"
  done
)

if [ "$arch" != "$own" ]; then
  echo "image: running $arch once, under qemu"
  foreign() { timeout 120 "qemu-${triplet%%-*}-static" -L "$work/base" "$@"; }
  node_there=$work/tree/opt/weft/bin/node
  foreign "$node_there" "$work/tree/opt/weft/lib/weft.mjs" version | grep -F "weft $version" >/dev/null
  # V8 refuses the compiled form of another architecture: the standalone gets its own.
  bundled="const b = fs.readFileSync('dist/weft-cni.bin'); fs.writeSync(1, b.subarray(8 + b.readUInt32LE(0)))"
  node -e "$bundled" >"$work/weft-cni.js"
  mapfile -t flags <native/shim/node-flags
  foreign "$node_there" "${flags[@]}" scripts/code-cache.ts "$work/weft-cni.js" "$work/tree/opt/weft/lib/weft-cni.bin"
  addon="require('$work/tree/opt/weft/lib/weft.node').readSysctl(-1, 'kernel/ostype')"
  [ "$(foreign "$node_there" -p "$addon.trim()")" = Linux ]
  foreign "$work/base/usr/sbin/xtables-legacy-multi" iptables --version >/dev/null
  foreign "$work/base/bin/kmod" --version >/dev/null
  foreign "$work/base/usr/sbin/bird" --version 2>/dev/null
fi

layer() { # layer DIR TARGET
  tar --create --file "$2" --directory "$1" --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 \
    --numeric-owner --format=pax --pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime .
}
echo "image: $reference for $arch"
layer "$work/base" "$work/base.tar"
layer "$work/tree" "$work/tree.tar"
rm -rf "$work/oci"
umoci init --layout "$work/oci"
umoci new --image "$work/oci:weft"
history=(--history.created "$created" --history.author weft)
umoci raw add-layer --image "$work/oci:weft" "${history[@]}" --history.created_by 'Debian packages' "$work/base.tar"
umoci raw add-layer --image "$work/oci:weft" "${history[@]}" --history.created_by 'make install' "$work/tree.tar"
umoci config --image "$work/oci:weft" --no-history --created "$created" --architecture "$arch" --os linux \
  --config.entrypoint /opt/weft/bin/weft --config.cmd version \
  --config.env PATH=/opt/weft/bin:/usr/sbin:/usr/bin:/sbin:/bin \
  --config.label org.opencontainers.image.version="$version" \
  --config.label org.opencontainers.image.title=weft --config.label org.opencontainers.image.licenses=Apache-2.0
umoci gc --layout "$work/oci"
node scripts/image-index.ts "$work/oci/index.json" "$reference"
layer "$work/oci" "dist/weft-image-$arch.tar"
# Not what was taken out again.
grep -vE '^(perl|libperl|lib[a-z-]*-perl|usrmerge|libdb5|libgdbm|libpam|libsemanage|libsepol|dpkg)' "$work/debian/packages.tsv" >"$work/packages.tsv"
node scripts/sbom.ts "$work/packages.tsv" "dist/weft-image-$arch.cdx.json"
echo "image: dist/weft-image-$arch.tar ($(du -h "dist/weft-image-$arch.tar" | cut -f1)), $(node scripts/image-index.ts "$work/oci/index.json")"
