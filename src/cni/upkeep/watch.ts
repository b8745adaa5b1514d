/** What the kernel tells of changes by others. */

import { readFileSync } from 'node:fs';
import { watchLinks } from '../../kernel/link-monitor.ts';
import { NETLINK_ROUTE } from '../../netlink/numbers.ts';
import { NetlinkSocket } from '../../netlink/socket.ts';
import { type TableEvent, watchTables } from '../../nftables/monitor.ts';
import { mayNeedRepair } from './repair.ts';

/** RTNLGRP_IPV4_NETCONF and RTNLGRP_IPV6_NETCONF: forwarding was switched on or off. */
const NETCONF_GROUPS = [24, 25] as const;

/** Keeps the process alive until all are closed. */
export function watchNode(on: {
  /** Of links, addresses or forwarding. */
  readonly change: () => void;
  /** Not those of processes of our own name: they are many, and right. */
  readonly tables: (event: TableEvent | 'overflow') => void;
}): readonly { close(): void }[] {
  const netconf = NetlinkSocket.open(NETLINK_ROUTE);
  for (const group of NETCONF_GROUPS) netconf.join(group);
  netconf.subscribe(on.change);
  const ownName = readFileSync('/proc/self/comm', 'utf8').trim();
  return [
    netconf,
    watchTables(undefined, (event) => {
      if (event === 'overflow' || event.byProcess !== ownName) on.tables(event);
    }),
    watchLinks(undefined, (events) => {
      if (events === 'overflow' || events.some(mayNeedRepair)) on.change();
    }),
  ];
}
