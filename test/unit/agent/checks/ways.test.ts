import { expect, test } from 'vitest';
import { WAY_CHECKS, type WayFacts } from '../../../../src/agent/checks/ways.ts';
import type { PathFinding } from '../../../../src/fabric/probe/path.ts';
import { parseIP } from '../../../../src/net/ip.ts';
import { judge, UNKNOWN, UNREADABLE } from './judge.ts';

const UPLINKS = [
  { name: 'eth0', mtu: 1500, isDefault: true, rpFilter: 2 },
  { name: 'eth1', mtu: 1500, isDefault: false, rpFilter: 0 },
];
const STRICT = UPLINKS.map((link) => ({ ...link, rpFilter: 1 }));
const FACTS: WayFacts = {
  uplinks: UPLINKS,
  filtered: { count: 0, isSinceLast: true },
  podMtu: 1500,
  hasFabric: false,
  paths: undefined,
  lostPeers: [],
  soughtPeers: 2,
  lostPods: [],
  soughtPods: 1,
};
const QUIET = 'ok: strict on eth0, eth1, and nothing was dropped by it that came by another link';

type Row = [string, Partial<WayFacts>, string | undefined];

const verdict = (id: string, facts: Partial<WayFacts>) =>
  judge(WAY_CHECKS, id, { ...FACTS, ...facts });

test.each<Row>([
  ['good', {}, 'ok: no link that leads out is strict'],
  ['strict, and nothing dropped', { uplinks: STRICT }, QUIET],
  ['a forged packet', { uplinks: STRICT, filtered: { count: 1, isSinceLast: true } }, QUIET],
  [
    'one link, from which only forged ones are dropped',
    { uplinks: STRICT.slice(0, 1), filtered: { count: 99, isSinceLast: true } },
    'ok: strict on eth0, and nothing was dropped by it that came by another link',
  ],
  [
    'bad',
    { uplinks: STRICT, filtered: { count: 9, isSinceLast: true } },
    'failing: rp_filter is 1 on eth0, eth1, and has dropped 9 packets since the last look: the route back to ' +
      'their senders is another link, and the default route is by eth0 | ' +
      'sysctl -w net.ipv4.conf.eth0.rp_filter=2 net.ipv4.conf.eth1.rp_filter=2',
  ],
  [
    'bad at some time, a VLAN',
    {
      uplinks: [{ name: 'eth1.7', mtu: 1500, isDefault: false, rpFilter: 1 }, ...UPLINKS.slice(1)],
      filtered: { count: 9, isSinceLast: false },
    },
    'warning: rp_filter is 1 on eth1.7, and has dropped 9 packets since the boot: the route back to ' +
      'their senders is another link | sysctl -w net.ipv4.conf.eth1/7.rp_filter=2',
  ],
  ['unreadable links', { uplinks: UNREADABLE }, UNKNOWN],
  ['unreadable counter', { uplinks: STRICT, filtered: UNREADABLE }, UNKNOWN],
])('rp-filter: %s', (_, facts, want) => {
  expect(verdict('rp-filter', facts)).toBe(want);
});

test.each<Row>([
  ['good', {}, 'ok: pods have an MTU of 1500, the uplink eth0 one of 1500'],
  [
    'bad',
    { podMtu: 9000 },
    'warning: pods have an MTU of 9000, the uplink eth0 one of 1500 | ip link set eth0 mtu 9000 where its network ' +
      'carries that; else set "mtu": 1500 in the network configuration, and make the pods anew',
  ],
  [
    'bad, with the fabric',
    { podMtu: 9000, hasFabric: true },
    'warning: pods have an MTU of 9000, the uplink eth0 one of 1500 | ip link set eth0 mtu 9000 where its network ' +
      'carries that; else set fabric.mtu: 1500',
  ],
  ['no pods', { podMtu: undefined }, undefined],
  ['no default route', { uplinks: UPLINKS.slice(1) }, undefined],
  ['unreadable', { podMtu: UNREADABLE }, UNKNOWN],
])('pod-mtu: %s', (_, facts, want) => {
  expect(verdict('pod-mtu', facts)).toBe(want);
});

function path(node: string, mtu: number): PathFinding {
  const target = parseIP('10.244.1.0');
  return {
    path: { node, family: 4, target, way: 'vxlan' },
    ...{ mtu, wanted: 1450, roundTripMs: 1, atMs: 0 },
  };
}

test.each<Row>([
  [
    'good',
    { paths: [path('b', 1450)] },
    'ok: of 1 ways to other nodes none carries only small packets',
  ],
  [
    'no answer says nothing',
    { paths: [path('b', 0)] },
    'ok: of 1 ways to other nodes none carries only small packets',
  ],
  [
    'bad',
    { paths: [path('a', 1450), path('b', 1400), path('c', 1300)] },
    'failing: path MTU 1400 to node b, 1300 to node c, pods 1450 | ' +
      'raise the MTU of the links between, or set fabric.mtu: 1300',
  ],
  ['nobody probes', {}, undefined],
])('path-mtu: %s', (_, facts, want) => {
  expect(verdict('path-mtu', facts)).toBe(want);
});

test.each<Row>([
  ['good', {}, 'ok: 2 ways to pods of other nodes were tried, and all lead somewhere'],
  [
    'bad',
    { lostPeers: [{ address: '10.244.1.3', node: 'node-b' }] },
    'failing: no route to 10.244.1.3 (node node-b) | ip route add the podCIDR of that node via its address, or ' +
      'have weft make routes: component fabric',
  ],
  [
    'many',
    {
      lostPeers: ['a', 'b', 'c', 'd', 'e'].map((node) => ({ address: '10.244.1.3', node })),
      hasFabric: true,
    },
    'failing: no route to 10.244.1.3 (node a), 10.244.1.3 (node b), 10.244.1.3 (node c) and 2 more | ' +
      'weft status says why the fabric does not make it; ip route get shows what is there',
  ],
  ['no other node', { soughtPeers: 0 }, undefined],
  ['unreadable', { lostPeers: UNREADABLE }, UNKNOWN],
])('peer-routes: %s', (_, facts, want) => {
  expect(verdict('peer-routes', facts)).toBe(want);
});

const LOST = { name: 'default/web', address: '10.244.0.2', bridge: 'cni0' };
const TAKEN =
  'ip route get 10.244.0.2 shows the route that is taken: remove it; the route by cni0 belongs to the address of the bridge';

test.each<Row>([
  ['good', {}, 'ok: routes lead to the pods of this node'],
  [
    'led elsewhere',
    { lostPods: [{ ...LOST, link: 'eth0' }] },
    `failing: the route by eth0 takes 10.244.0.2 of pod default/web, which is on bridge cni0 | ${TAKEN}`,
  ],
  [
    'led nowhere',
    { lostPods: [{ ...LOST, link: undefined }] },
    `failing: no route leads to 10.244.0.2 of pod default/web, which is on bridge cni0 | ${TAKEN}`,
  ],
  ['no pods', { soughtPods: 0 }, undefined],
  ['unreadable', { lostPods: UNREADABLE }, UNKNOWN],
])('pod-routes: %s', (_, facts, want) => {
  expect(verdict('pod-routes', facts)).toBe(want);
});
