import { expect, test } from 'vitest';
import { followMtu } from '../../../../src/agent/fabric/bridge-mtu.ts';
import type { Link } from '../../../../src/kernel/types.ts';

const BRIDGE = { index: 3, name: 'weft0', kind: 'bridge', mtu: 1450 };
const port = (mtu: number, master = 3) => ({ index: 9, name: 'veth', kind: 'veth', mtu, master });

test.each([
  ['the same', [BRIDGE, port(1450)], 1450, 'no change'],
  ['less, at once', [BRIDGE, port(1450)], 1400, { before: 1450, mtu: 1400 }],
  ['more, without pods', [BRIDGE], 8950, { before: 1450, mtu: 8950 }],
  ['more, with pods that take it', [BRIDGE, port(8950)], 8950, { before: 1450, mtu: 8950 }],
  ['more, with a pod that does not', [BRIDGE, port(8950), port(1450)], 8950, 'no change'],
  ['more, with a link elsewhere', [BRIDGE, port(1450, 4)], 8950, { before: 1450, mtu: 8950 }],
  ['less than IPv6 needs', [BRIDGE], 1279, 'no change'],
  ['no link with the address yet', [BRIDGE], 0, 'no change'],
  ['no bridge', [], 1400, 'no change'],
  ['a link of another kind', [{ ...BRIDGE, kind: 'dummy' }], 1400, 'no change'],
])('%s', (_name, present, mtu, want) => {
  // The fields that are read.
  const links = present as unknown as readonly Link[];
  const changes: unknown[] = [];
  const rtnl = {
    link: (name: string) => links.find((link) => link.name === name),
    links: () => links,
    changeLink: (_index: number, change: object) => {
      changes.push(change);
    },
  };
  const before = followMtu(rtnl as Parameters<typeof followMtu>[0], { mtu });
  expect(before === undefined ? 'no change' : { before, ...Object(changes[0]) }).toEqual(want);
});
