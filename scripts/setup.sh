#!/usr/bin/env bash
# Brings a fresh Debian 12 machine (git, node, npm, make, g++, root) to where weft builds and its
# tests run. Says what it does; does nothing when there is nothing to do.
set -euo pipefail
cd "$(dirname "$0")/.."

# package: what needs it
packages=(
  musl-tools    # the static CNI shim and pause
  nftables      # the oracle of the ruleset tests
  iproute2      # namespaces of tests and demo
  iputils-ping  # reachability in tests
  procps        # sysctl in tests
  conntrack     # flow checks in tests
  tcpdump       # the packet analyser that announcements are checked with
  openssl       # throw-away certificates of the fake API server
  containernetworking-plugins # the reference plugins that tests compare with
  iptables      # the reference bridge's masquerade and portmap
  strace        # ends a program at its n-th system call of a kind
  dbus          # a bus of its own for firewalld
  firewalld     # zones that pods' addresses are put into
  systemd       # busctl, which firewalld is asked with
  kmod          # loads the modules of user-mode Linux
  ipvsadm       # the oracle of the IPVS tests
  ipset         # the oracle of the set tests
  mandoc        # the judge of the manual pages
  etcd-server   # the source of objects in tests and demo
  etcd-client   # etcdctl, which writes there
  bird2         # the BGP daemon that is told what to do
  frr           # another BGP daemon, as the router of a rack
)
# Debian has the kernel that IPVS and VLANs are tested with for this architecture only.
[ "$(dpkg --print-architecture)" != amd64 ] || packages+=(user-mode-linux)

scripts/install-packages.sh setup "${packages[@]}"

scripts/setup-modules.sh
