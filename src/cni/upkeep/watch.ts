/** What the kernel tells of changes by others. */

import { readFileSync } from 'node:fs';
import type { NodeEvents, Watch } from '../../kernel/node-events.ts';
import type { TableEvent } from '../../nftables/monitor.ts';
import { mayNeedRepair } from './repair.ts';

/** Keeps the process alive until all are closed. */
export function watchNode(
  events: NodeEvents,
  on: {
    /** Of links, addresses or forwarding. */
    readonly change: () => void;
    /** Not those of processes of our own name: they are many, and right. */
    readonly tables: (event: TableEvent | 'overflow') => void;
  },
): readonly Watch[] {
  const ownName = readFileSync('/proc/self/comm', 'utf8').trim();
  return [
    events.onTables((event) => {
      if (event === 'overflow' || event.byProcess !== ownName) on.tables(event);
    }),
    events.onLinks(['link', 'address', 'forwarding'], (changes) => {
      if (changes === 'overflow' || changes.some(mayNeedRepair)) on.change();
    }),
  ];
}
