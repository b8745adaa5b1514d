import { beforeEach, describe, expect, test } from 'vitest';
import type { EventNote } from '../../../../src/agent/objects/events.ts';
import { DenialEvents } from '../../../../src/agent/policy/denial-events.ts';
import { Denials, type ToldDenial } from '../../../../src/agent/policy/denials.ts';
import type { Flow, PortTuple } from '../../../../src/kernel/types.ts';
import { type IP, ipFamily, parseIP } from '../../../../src/net/ip.ts';
import type { LoggedPacket } from '../../../../src/netlink/nflog/logged-packet.ts';
import { createLogger } from '../../../../src/util/log.ts';
import { FakeClock } from '../../../support/fake-clock.ts';
import { nodeObject, podObject, policyCluster } from '../../../support/policy-objects.ts';

const DB = parseIP('10.1.0.2');
const CART = parseIP('10.1.0.3');
const OUTSIDE = parseIP('203.0.113.9');
const TCP = 6;

const ISOLATED = `
kind: NetworkPolicy
metadata: {namespace: shop, name: db}
spec:
  podSelector: {matchLabels: {pod: db}}
  policyTypes: [Ingress]
  ingress: [{ports: [{port: 5432}], from: [{podSelector: {matchLabels: {pod: api}}}]}]
`;
const NO_EGRESS = `
kind: ClusterNetworkPolicy
metadata: {name: no-metadata}
spec:
  tier: Admin
  priority: 1
  subject: {namespaces: {}}
  egress: [{name: metadata, action: Deny, to: [{networks: [203.0.113.0/24]}]}]
`;

let clock: FakeClock;
let lines: Record<string, unknown>[];
let told: ToldDenial[];
let flows: Map<string, Flow>;
let worlds: number;
let denials: Denials;

beforeEach(() => {
  clock = new FakeClock();
  lines = [];
  told = [];
  flows = new Map();
  worlds = 0;
  const { world } = policyCluster({
    namespaces: { shop: {} },
    nodes: [nodeObject('node-b', ['192.168.0.2'])],
    pods: [
      podObject('shop/db', { ips: [DB, 'fd00::2'], node: 'node-a' }),
      podObject('shop/cart', { ips: [CART, 'fd00::3'], node: 'node-a' }),
    ],
    policies: [ISOLATED, NO_EGRESS],
  });
  denials = new Denials({
    world: () => {
      worlds++;
      return world;
    },
    flowOf: ({ source, sourcePort }: PortTuple) => flows.get(`${source}:${sourcePort}`),
    clock,
    log: createLogger('info', { write: (line) => void lines.push(JSON.parse(line)) }),
    onTold: (denial) => told.push(denial),
  });
});

interface PacketOptions {
  readonly from?: IP;
  readonly to?: IP;
  readonly port?: number;
  readonly sourcePort?: number;
  readonly protocol?: number;
  readonly icmp?: number;
  readonly prefix?: string;
}

function packet(options: PacketOptions = {}): LoggedPacket {
  const { from = CART, to = DB, port = 5432, sourcePort = 40_000, protocol = TCP, icmp } = options;
  const hasPorts = [6, 17, 132].includes(protocol);
  return {
    ...{ group: 1, prefix: options.prefix ?? '', inLink: 1, outLink: 2, sequence: 0 },
    headers: {
      ...{ family: ipFamily(from), source: from, destination: to, protocol },
      ...(hasPorts ? { ports: { source: sourcePort, destination: port } } : {}),
      ...(icmp === undefined ? {} : { icmp: { type: icmp, code: 0 } }),
    },
  };
}

describe('a denied connection', () => {
  test('is a line with both pods, the policy and why', () => {
    denials.add([packet()]);
    const wanted = {
      ...{ from: 'shop/cart', fromIP: CART, to: 'shop/db', toIP: DB },
      ...{ protocol: 'TCP', port: 5432, direction: 'ingress', pod: 'shop/db' },
      policies: ['NetworkPolicy shop/db'],
      reason:
        'ingress: NetworkPolicy shop/db isolates shop/db and allows no TCP 5432 from shop/cart',
      ...{ packets: 1, suppressed: 0 },
    };
    expect(lines).toMatchObject([{ level: 'info', msg: 'connection denied by policy', ...wanted }]);
    expect(denials.recent()).toEqual([
      { number: 1, at: new Date(clock.now()).toISOString(), ...wanted },
    ]);
  });

  test.each([
    [
      'by a ClusterNetworkPolicy, to somebody outside',
      { to: OUTSIDE },
      {
        ...{ to: OUTSIDE, direction: 'egress', pod: 'shop/cart' },
        policies: ['ClusterNetworkPolicy no-metadata'],
      },
    ],
    ['of UDP', { protocol: 17 }, { protocol: 'UDP', port: 5432 }],
    ['of ICMP', { protocol: 1, icmp: 8 }, { from: 'shop/cart', protocol: 'ICMP', port: 0 }],
    ['whose answer is denied', { protocol: 1, icmp: 0, from: DB, to: CART }, { from: 'shop/cart' }],
    ['of another protocol', { protocol: 47 }, { protocol: 'IP 47', port: 0, pod: 'shop/db' }],
    ['from a node', { from: parseIP('192.168.0.2') }, { from: 'node/node-b' }],
    [
      'of IPv6',
      { from: parseIP('fd00::3'), to: parseIP('fd00::2') },
      { from: 'shop/cart', to: 'shop/db', fromIP: 'fd00::3' },
    ],
    [
      'that the policies of now allow',
      { from: DB, to: CART, prefix: 'weft-policy egress' },
      {
        ...{ direction: 'egress', pod: 'shop/db', policies: [] },
        reason: expect.stringMatching(/^the policies of now allow it/),
      },
    ],
  ] as const)('%s', (_name, options, wanted) => {
    denials.add([packet(options)]);
    expect(told).toMatchObject([wanted]);
  });

  test('is told by the packets of its server too', () => {
    flows.set(`${DB}:5432`, {
      ...{ family: 4, protocol: TCP, status: 0, mark: 0 },
      original: {
        ...{ source: CART, destination: parseIP('172.30.0.1') },
        ...{ sourcePort: 40_000, destinationPort: 80 },
      },
      reply: { source: DB, destination: CART, sourcePort: 5432, destinationPort: 40_000 },
      key: { family: 4, tuple: Buffer.alloc(0), id: undefined, zone: undefined },
    });
    denials.add([packet({ from: DB, to: CART, sourcePort: 5432, port: 40_000 })]);
    expect(told).toMatchObject([{ from: 'shop/cart', to: 'shop/db', port: 5432 }]);
  });

  test('is told by its packets where no flow can be looked for', () => {
    flows.get = () => {
      throw new Error('ENOBUFS');
    };
    denials.add([packet()]);
    expect(told).toMatchObject([{ from: 'shop/cart', to: 'shop/db' }]);
  });

  test('without an IP header is none', () => {
    denials.add([{ ...packet(), headers: undefined }]);
    expect(told).toEqual([]);
  });
});

/** Addresses that nobody else has. */
const between = (i: number) => ({
  from: parseIP(`203.1.${i >> 8}.${i & 255}`),
  to: parseIP(`203.2.${i >> 8}.${i & 255}`),
});

describe('many', () => {
  test('of one pod leave others theirs, to the same pod too', () => {
    const ports = Array.from({ length: 1_000 }, (_, port) => packet({ port }));
    denials.add([...ports, packet({ from: OUTSIDE })]);
    expect(told.map(({ from }) => from)).toEqual([
      ...Array.from({ length: 10 }, () => 'shop/cart'),
      OUTSIDE,
    ]);
    const senders = Array.from({ length: 1_000 }, (_, i) => packet({ from: between(i).from }));
    denials.add([...senders, packet({ from: DB, to: CART, port: 80 })]);
    expect(told).toHaveLength(31);
    expect(told.at(-1)).toMatchObject({ from: 'shop/db', to: 'shop/cart' });
    clock.advance(2_000);
    denials.add([packet({ port: 5_000 })]);
    expect(told).toHaveLength(32);
  });

  test('of one kind are one line a minute, with how many there were', () => {
    denials.add([packet(), packet({ sourcePort: 40_001 }), packet({ sourcePort: 40_002 })]);
    clock.advance(59_000);
    denials.add([packet()]);
    clock.advance(1_000);
    denials.add([packet(), packet()]);
    expect(told.map(({ number, packets }) => [number, packets])).toEqual([
      [1, 1],
      [2, 4],
    ]);
    expect(denials.counts).toEqual({ told: 2, repeated: 4, suppressed: 0 });
  });

  test('of many kinds are at most fifty lines at once, and five more a second', () => {
    const burst = (first: number) =>
      denials.add(Array.from({ length: 1_000 }, (_, i) => packet(between(first + i))));
    burst(1);
    expect(lines).toHaveLength(50);
    // Asked for once a second, not for each.
    expect(worlds).toBe(1);
    clock.advance(1_000);
    burst(2_000);
    expect(lines).toHaveLength(55);
    expect(worlds).toBe(2);
    expect(told.at(50)).toMatchObject({ suppressed: 950 });
    expect(told.at(51)).toMatchObject({ suppressed: 0 });
    expect(denials.counts).toEqual({ told: 55, repeated: 0, suppressed: 1_945 });
  });

  test('are kept to the last 500', () => {
    for (let port = 1; port <= 600; port++) {
      denials.add([packet({ ...between(port), port })]);
      clock.advance(200);
    }
    const kept = denials.recent();
    expect([kept.length, kept[0]?.number, kept.at(-1)?.number]).toEqual([500, 101, 600]);
    expect(denials.recent(598).map(({ number }) => number)).toEqual([599, 600]);
  });
});

describe('events', () => {
  let sent: EventNote[];
  let events: DenialEvents;

  beforeEach(() => {
    sent = [];
    events = new DenialEvents({
      events: { send: (note) => void sent.push(note) },
      clock,
      uidOf: (pod) => (pod === 'shop/db' ? 'uid-of-db' : undefined),
    });
  });

  const tell = (more: Partial<ToldDenial> = {}) => {
    denials.add([packet()]);
    const [denial] = denials.recent();
    if (denial === undefined) throw new Error('nothing denied');
    events.tell({ ...denial, ...more });
  };

  test('name the pod whose side denied it', () => {
    tell();
    expect(sent).toEqual([
      {
        about: { kind: 'Pod', namespace: 'shop', name: 'db', uid: 'uid-of-db' },
        ...{ controller: 'weft', action: 'EnforcePolicy', type: 'Warning' },
        reason: 'ConnectionDenied',
        note:
          'shop/cart to shop/db, TCP 5432: ingress: NetworkPolicy shop/db isolates shop/db ' +
          'and allows no TCP 5432 from shop/cart',
      },
    ]);
  });

  test('come once in ten minutes for a pod and direction, with how many there were', () => {
    tell();
    tell();
    tell({ direction: 'egress' });
    clock.advance(600_000);
    tell();
    expect(sent).toHaveLength(3);
    expect(sent[2]?.note).toMatch(/; 1 more in the last minutes$/);
  });

  test('are few, however many pods there are', () => {
    for (let i = 0; i < 100; i++) tell({ pod: `shop/pod-${i}` });
    expect(sent).toHaveLength(10);
  });

  test('are not sent where no pod of the cluster is on that side', () => {
    tell({ pod: undefined });
    expect(sent).toEqual([]);
  });
});
