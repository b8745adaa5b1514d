import { expect, test } from 'vitest';
import { NEIGHBOUR_CHECKS, type NeighbourFacts } from '../../../../src/agent/checks/neighbours.ts';
import { judge, UNKNOWN, UNREADABLE } from './judge.ts';

const ARP = {
  name: 'ARP',
  entries: 10,
  most: 1_024,
  sysctl: 'net/ipv4/neigh/default/gc_thresh3',
  full: { count: 0, isSinceLast: true },
} as const;
const CURE =
  'sysctl -w net.ipv4.neigh.default.gc_thresh3=4096; gc_thresh2 and gc_thresh1 in proportion';

test.each<[string, NeighbourFacts['tables'], string | undefined]>([
  ['good', [ARP], 'ok: entries of neighbours: ARP 10 of 1024'],
  [
    'nearly',
    [{ ...ARP, entries: 900 }],
    `warning: 900 of 1024 neighbour entries (ARP) are used | ${CURE}`,
  ],
  [
    'full long ago',
    [{ ...ARP, full: { count: 5, isSinceLast: false } }],
    'ok: entries of neighbours: ARP 10 of 1024',
  ],
  [
    'full',
    [{ ...ARP, entries: 1_024, full: { count: 5, isSinceLast: true } }],
    `failing: 1024 of 1024 neighbour entries (ARP) are used; 5 found no room since the last look | ${CURE}`,
  ],
  ['another namespace', undefined, undefined],
  ['unreadable', UNREADABLE, UNKNOWN],
])('neighbours: %s', (_, tables, want) => {
  expect(judge(NEIGHBOUR_CHECKS, 'neighbours', { tables })).toBe(want);
});
