import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { entryChanges, entryText } from '../../../src/fabric/entries.ts';
import { EntryBook } from '../../../src/fabric/entry-book.ts';
import { tunnelMac } from '../../../src/fabric/names.ts';
import type { FabricNode } from '../../../src/fabric/nodes.ts';
import { type Backend, type PlanFacts, Planner, type TunnelEnd } from '../../../src/fabric/plan.ts';
import { rivalProblems } from '../../../src/fabric/rivals.ts';
import { readUnderlay } from '../../../src/fabric/underlay.ts';
import type { EntryChange } from '../../../src/kernel/types.ts';
import { parseIP } from '../../../src/net/ip.ts';
import { linkLocalOf } from '../../../src/net/mac.ts';
import { takeAtOnce } from '../../../src/util/turns.ts';
import { fabricNode, link, route, underlayFacts } from '../../support/fabric-objects.ts';

const OWN = { 4: parseIP('192.0.2.1'), 6: parseIP('2001:db8::1') };
const TUNNEL: TunnelEnd = { link: 9, family: 4, hasIPv6: true };
const PODS = ['10.244.2.0/24', 'fd00:2::/64'];
const NEAR = fabricNode('n2', PODS, ['192.0.2.2', '2001:db8::2']);
const FAR = fabricNode('n2', PODS, ['198.51.100.2', '2001:db8:1::2']);
const GATEWAY = linkLocalOf(tunnelMac('n2'));
const MAC = tunnelMac('n2');

function planOf(backend: Backend, node: FabricNode, tunnel: TunnelEnd | 'none' = TUNNEL) {
  const underlay = readUnderlay(underlayFacts(), OWN);
  const peers = [{ node, podCIDRs: node.podCIDRs, addresses: node.addresses }];
  const end = tunnel === 'none' ? undefined : tunnel;
  const plan = new Planner().plan({ backend, peers, underlay, tunnel: end });
  const [peer] = plan.peers;
  return { ...peer, entries: Array.from(plan.entries.values(), entryText) };
}

const TUNNEL_ROUTES = [`route 10.244.2.0/24 via ${GATEWAY}`, `route fd00:2::/64 via ${GATEWAY}`];
const DIRECT_ROUTES = ['route 10.244.2.0/24 via 192.0.2.2', 'route fd00:2::/64 via 2001:db8::2'];

function ends(remote: string) {
  return [`neighbour ${GATEWAY} at ${MAC}`, `forwarding entry ${MAC} to ${remote}`];
}

describe('the way to a peer', () => {
  test.each([
    ['auto', NEAR, 'direct', [...ends('192.0.2.2'), ...DIRECT_ROUTES]],
    ['auto', FAR, 'vxlan', [...ends('198.51.100.2'), ...TUNNEL_ROUTES]],
    ['vxlan', NEAR, 'vxlan', [...ends('192.0.2.2'), ...TUNNEL_ROUTES]],
    ['host-gw', NEAR, 'direct', [...ends('192.0.2.2'), ...DIRECT_ROUTES]],
    ['host-gw', FAR, 'unreachable', ends('198.51.100.2')],
    ['none', NEAR, 'none', []],
  ] as const)('%s, %o: %s', (backend, node, path, entries) => {
    const plan = planOf(backend, node);
    expect(plan.path).toBe(path);
    expect(plan.entries).toEqual(entries);
  });

  test('host-gw says that a router is between', () => {
    expect(planOf('host-gw', FAR).problems).toEqual([
      '10.244.2.0/24: 198.51.100.2 and 2001:db8:1::2 is behind a router, which has no route to these pods',
      'fd00:2::/64: 2001:db8:1::2 is behind a router, which has no route to these pods',
    ]);
  });

  test('auto without a tunnel device still reaches who is near', () => {
    expect(planOf('auto', NEAR, 'none')).toMatchObject({
      path: 'direct',
      entries: DIRECT_ROUTES,
    });
    expect(planOf('auto', FAR, 'none')).toMatchObject({
      path: 'unreachable',
      problems: ['there is no tunnel device'],
    });
  });

  test('IPv4 pods go by an IPv6 neighbour where a node has no IPv4 address', () => {
    const node = fabricNode('n2', ['10.244.2.0/24'], ['2001:db8::2']);
    expect(planOf('host-gw', node).entries).toEqual(['route 10.244.2.0/24 via 2001:db8::2']);
  });

  test('IPv6 pods between nodes with IPv4 only need the tunnel', () => {
    const node = fabricNode('n2', PODS, ['192.0.2.2']);
    expect(planOf('auto', node).path).toBe('vxlan');
    expect(planOf('host-gw', node).problems).toEqual([
      'fd00:2::/64: the node has no IPv6 InternalIP',
    ]);
  });

  test('without IPv6 in the kernel the first address of the podCIDR is the gateway', () => {
    const node = fabricNode('n2', ['10.244.2.0/24'], ['198.51.100.2']);
    expect(planOf('vxlan', node, { ...TUNNEL, hasIPv6: false }).entries).toEqual([
      `neighbour 10.244.2.0 at ${MAC}`,
      `forwarding entry ${MAC} to 198.51.100.2`,
      'route 10.244.2.0/24 via 10.244.2.0',
    ]);
  });

  test('a tunnel between addresses of one family only: the other is named', () => {
    const node = fabricNode('n2', PODS, ['2001:db8:1::2']);
    expect(planOf('vxlan', node).problems).toEqual([
      'the node has no IPv4 InternalIP, which tunnels use here',
    ]);
  });
});

test('a planner that has planned before gives what a new one gives', () => {
  const underlay = readUnderlay(underlayFacts(), OWN);
  const alone = readUnderlay(underlayFacts({ routes: [] }), OWN);
  const third = fabricNode('n3', ['10.244.3.0/24'], ['192.0.2.3']);
  const peersOf = (...nodes: readonly FabricNode[]) =>
    nodes.map((node) => ({ node, podCIDRs: node.podCIDRs, addresses: node.addresses }));
  const ground = { backend: 'auto', underlay, tunnel: TUNNEL } as const;
  const steps: readonly PlanFacts[] = [
    { ...ground, peers: peersOf(NEAR, third) },
    { ...ground, peers: peersOf(FAR, third) },
    {
      ...ground,
      peers: [{ node: FAR, podCIDRs: FAR.podCIDRs.slice(1), addresses: FAR.addresses }],
    },
    { ...ground, peers: peersOf(third, FAR), backend: 'vxlan' },
    { ...ground, peers: peersOf(third, FAR), backend: 'vxlan', tunnel: { ...TUNNEL, link: 10 } },
    { ...ground, peers: peersOf(third, FAR), tunnel: undefined },
    { ...ground, peers: peersOf(third, FAR), underlay: alone },
  ];
  const planner = new Planner();
  for (const facts of steps) {
    const { entries, peers } = new Planner().plan(facts);
    expect(planner.plan(facts)).toMatchObject({ entries, peers });
  }
});

/** The order within a kind is nobody's business. */
const sorted = (changes: readonly EntryChange[]) =>
  changes.map((change) => JSON.stringify(change)).toSorted();

test('of a later plan only the changed keys are looked at, and nothing is overlooked', () => {
  const underlay = readUnderlay(underlayFacts(), OWN);
  const ground = { backend: 'auto', underlay, tunnel: TUNNEL } as const;
  const nodeOf = (n: number, podCIDR: number, address: number) =>
    fabricNode(`n${n}`, [`10.244.${podCIDR}.0/24`], [`192.0.2.${address}`]);
  const planner = new Planner();
  const book = new EntryBook();
  let isOften = 0;
  fc.assert(
    fc.property(
      fc.uniqueArray(
        fc.tuple(
          fc.integer({ min: 2, max: 6 }),
          fc.integer({ min: 2, max: 6 }),
          fc.integer({ min: 2, max: 4 }),
        ),
        { selector: ([n]) => n, maxLength: 5 },
      ),
      (asked) => {
        // Some want the podCIDR of another one, which the planner has to live with.
        const peers = asked.map(([n, podCIDR, address]) => {
          const node = nodeOf(n, podCIDR, address);
          return { node, podCIDRs: node.podCIDRs, addresses: node.addresses };
        });
        const plan = planner.plan({ ...ground, peers });
        isOften += plan.changedKeys === undefined ? 0 : 1;
        const changes = takeAtOnce(book.changesFor(plan));
        expect(sorted(changes)).toEqual(sorted(entryChanges(book.entries, plan.entries)));
        expect(plan.entries).toEqual(new Planner().plan({ ...ground, peers }).entries);
        book.settle(plan, true);
      },
    ),
    { numRuns: 300 },
  );
  expect(isOften).toBeGreaterThan(30);
});

test('a book that was read again or lost a link is compared whole', () => {
  const underlay = readUnderlay(underlayFacts(), OWN);
  const peers = [{ node: FAR, podCIDRs: FAR.podCIDRs, addresses: FAR.addresses }];
  const facts = { backend: 'auto', underlay, tunnel: TUNNEL, peers } as const;
  const planner = new Planner();
  const losses: readonly ((book: EntryBook) => unknown)[] = [
    (book) => book.readBack(new Map()),
    (book) => book.forgetLink(TUNNEL.link),
    // A run that failed after its plan.
    () => planner.plan({ ...facts, peers: [] }),
  ];
  for (const lose of losses) {
    const book = new EntryBook();
    const first = planner.plan(facts);
    book.readBack(first.entries);
    book.settle(first, true);
    lose(book);
    const next = planner.plan(facts);
    const due = takeAtOnce(book.changesFor(next));
    expect(due).toEqual(entryChanges(book.entries, next.entries));
  }
});

test('a node with a tunnel device for each family is reached by that of the underlay alone', () => {
  const plan = planOf('vxlan', { ...FAR, hasTunnelPerFamily: true });
  expect(plan.path).toBe('vxlan');
  expect(plan.problems).toEqual([
    expect.stringMatching(
      /^fd00:2::\/64: it has a tunnel device for each family, .* over IPv4: use host-gw/,
    ),
  ]);
  expect(JSON.stringify(plan.entries)).not.toContain('fd00:2::');
  const near = planOf('auto', { ...NEAR, hasTunnelPerFamily: true });
  expect(near).toMatchObject({ path: 'direct', problems: [] });
});

test('a tunnel without IPv6 says which pods it does not reach', () => {
  const plan = planOf('vxlan', FAR, { ...TUNNEL, hasIPv6: false });
  expect(plan.path).toBe('vxlan');
  expect(plan.problems).toEqual([
    'fd00:2::/64: the tunnel carries no IPv6: its MTU is below 1280, or the kernel has IPv6 disabled',
  ]);
});

test('routes of others that are taken before ours are named', () => {
  const { peers } = new Planner().plan({
    ...{ backend: 'auto', tunnel: TUNNEL, underlay: readUnderlay(underlayFacts(), OWN) },
    peers: [{ node: FAR, podCIDRs: FAR.podCIDRs, addresses: FAR.addresses }],
  });
  const links = [link(7, 'flannel.1')];
  const rival = (...words: Parameters<typeof route>) => {
    return rivalProblems(peers, { links, routes: [route(...words)] });
  };
  expect(rival('10.244.2.0/24', 7, '10.244.2.0')).toEqual([
    'node n2: the route 10.244.2.0/24 by link flannel.1, protocol 2, of somebody else is taken before ours: ' +
      'remove what made it',
  ]);
  expect(rival('10.244.2.0/24', 7, '10.244.2.0', { priority: 500 })).toEqual([]);
  expect(rival('fd00:2::/64', 7, 'fe80::1', { priority: 1024 })).toEqual([]);
  expect(rival('10.244.9.0/24', 7, '10.244.9.0')).toEqual([]);
  expect(rival('10.244.2.0/24', 7, 'fe80::1', { protocol: 201, priority: 201 })).toEqual([]);
});

describe('changes', () => {
  const underlay = readUnderlay(underlayFacts(), OWN);
  const entriesFor = (backend: Backend, ...nodes: readonly FabricNode[]) =>
    new Planner().plan({
      ...{ backend, underlay, tunnel: TUNNEL },
      peers: nodes.map((node) => ({ node, podCIDRs: node.podCIDRs, addresses: node.addresses })),
    }).entries;
  const textsOf = (...words: Parameters<typeof entryChanges>) =>
    entryChanges(...words).map((change) => `${change.action} ${entryText(change)}`);

  test('who is reached is known before packets are led there, and forgotten after', () => {
    const far = entriesFor('auto', FAR);
    expect(textsOf(new Map(), far).map((text) => text.split(' ')[1])).toEqual([
      ...['neighbour', 'forwarding', 'route', 'route'],
    ]);
    expect(textsOf(far, new Map()).map((text) => text.split(' ')[1])).toEqual([
      ...['route', 'route', 'forwarding', 'neighbour'],
    ]);
  });

  test('another back end replaces routes in place and touches nothing else', () => {
    const changes = textsOf(entriesFor('vxlan', NEAR), entriesFor('host-gw', NEAR));
    expect(changes).toEqual(DIRECT_ROUTES.map((text) => `put ${text}`));
  });

  test('what is as it ought to be is not written', () => {
    expect(textsOf(entriesFor('auto', FAR), entriesFor('auto', FAR))).toEqual([]);
  });
});
