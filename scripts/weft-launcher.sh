#!/bin/sh
# A command of an installed tree: the Node that came with it runs the bundle of the same name.
self=$0
# A process less where its own path says where it is.
if [ -L "$self" ] || [ "${self%/*}" = "$self" ]; then self=$(readlink -f "$self"); fi
bin=${self%/*}
case ${1:-} in
  agent | proxy)
    # An agent stays for weeks beside pods that pay for their memory. Together these save 80 of 230 MB at
    # 10,000 Services of 5 endpoints; --optimize-for-size would save as much and double the time to start.
    # The heap may grow to 64 MB before it is collected whole for the first time: that is the first reading
    # of a large cluster, which takes 1.95 instead of 2.2 s.
    export MALLOC_ARENA_MAX=1
    set -- --max-semi-space-size=2 --memory-saver-mode --initial-old-space-size=64 \
      "$bin/../lib/${self##*/}.mjs" "$@"
    ;;
  *)
    # Others answer and end before there is anything to collect: 68 instead of 89 ms of CPU time.
    set -- --min-semi-space-size=16 --max-semi-space-size=16 "$bin/../lib/${self##*/}.mjs" "$@"
    ;;
esac
exec "$bin/node" "$@"
