#!/usr/bin/env bash
# alone.sh COMMAND...: runs a command as root where it sees no processes and no named network namespaces but
# those it makes itself, with /run of its own. Sweeps look at all that they see, and must not meet what
# another test or a killed run has left. Whatever the command started ends with it.
set -euo pipefail
exec unshare --mount --pid --fork --kill-child --mount-proc bash -euc '
  mount -t tmpfs tmpfs /run
  mkdir -p /run/netns /run/lock
  exec "$@"
' alone "$@"
