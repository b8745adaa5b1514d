import { describe, expect, test } from 'vitest';
import { modelOutcome } from '../../../../../src/agent/debug/explain/outcome.ts';
import { type Place, wayTo } from '../../../../../src/agent/debug/explain/way.ts';
import { causeLines, wayLines } from '../../../../../src/agent/debug/explain/way-text.ts';
import { parseCidr } from '../../../../../src/net/cidr.ts';
import { parseIP } from '../../../../../src/net/ip.ts';
import type { Packet } from '../../../../../src/proxy/verdict/explanation.ts';
import { type FakeNodeOptions, fakeNode, fakePod } from '../../../../support/fake-node.ts';

const packet = (source: string, destination = '172.30.0.1'): Packet => {
  return { source: parseIP(source), destination: parseIP(destination), protocol: 'tcp', port: 80 };
};
const place = (ip: string, isMasqueraded = false): Place => {
  return { ip: parseIP(ip), port: 8080, isMasqueraded };
};
const CLIENT = fakePod('default/client', ['10.1.0.2']);
const WEB = fakePod('default/web', ['10.1.0.3']);
const PEER = {
  name: 'b',
  addresses: [parseIP('192.168.0.2')],
  path: 'direct',
  podCIDRs: [parseCidr('10.2.0.0/24')],
  problems: [],
} as const;
const finding = (mtu: number) => {
  const path = { node: 'b', family: 4, target: parseIP('10.2.0.0'), way: 'direct' } as const;
  return { path, mtu, wanted: 1500, roundTripMs: 1, atMs: 0 };
};

describe('the way to an endpoint', () => {
  test.each([
    {
      name: 'of another node, through the fabric',
      node: { pods: [CLIENT], peers: [PEER], paths: [finding(1500)] },
      to: place('10.2.0.2'),
      lines: [
        'request  in by br0, out by eth0 via 192.168.0.2, to node b (direct), up to 1500 bytes',
        'reply    in by eth0, out by br0, up to 1500 bytes',
      ],
    },
    {
      name: 'of this node, from this node',
      from: '192.168.0.1',
      to: place('10.1.0.3'),
      lines: [
        'request  from this node, out by br0, up to 1500 bytes',
        'reply    in by br0, to this node itself',
      ],
    },
    {
      name: 'this node itself',
      to: place('192.168.0.1'),
      lines: [
        'request  in by br0, to this node itself',
        'reply    from this node, out by br0, up to 1500 bytes',
      ],
    },
    {
      name: 'outside, over IPv6',
      from: 'fd00::2',
      to: place('fd99::1'),
      node: { addresses: ['fd00::1'] },
      lines: [
        'request  in by br0, out by eth1 via fd03::2, up to 1500 bytes',
        'reply    in by eth1, out by br0, up to 1500 bytes',
      ],
    },
    {
      name: 'that a process of this node connects to',
      to: { ...place('10.1.0.3', true), isForwarded: true } as const,
      node: { routes: ['10.1.0.0/24 dev br0 src 10.1.0.1'] },
      lines: [
        'request  from this node, out by br0, up to 1500 bytes',
        'reply    in by br0, to this node itself',
      ],
    },
    {
      name: 'a pod of the same bridge, without a Service',
      node: { pods: [CLIENT, WEB] },
      asked: '10.1.0.3',
      to: place('10.1.0.3'),
      lines: [
        'request  from port to port of bridge br0',
        'reply    from port to port of bridge br0',
      ],
    },
  ])('$name', ({ from = '10.1.0.2', asked, to, node = {}, lines }) => {
    const way = wayTo(packet(from, asked), to, fakeNode(node));
    expect(way.causes).toEqual([]);
    const text = wayLines([way])
      .join('\n')
      .replace(/\n {5,}/g, ' ');
    expect(
      text
        .split('\n')
        .slice(1)
        .map((line) => line.trim()),
    ).toEqual(lines);
  });
});

interface CauseCase {
  readonly name: string;
  readonly from?: string;
  readonly asked?: string;
  readonly to?: Place;
  readonly node: FakeNodeOptions;
  readonly want: object;
}

const CAUSES: readonly CauseCase[] = [
  {
    name: 'rp_filter, the way back by another link',
    from: '198.51.100.9',
    node: {
      refused: { '198.51.100.9 10.1.0.3 eth0': 'EINVAL' },
      sysctls: { 'net/ipv4/conf/eth0/rp_filter': '1' },
    },
    want: {
      id: 'rp-filter',
      seen: 'rp_filter is 1 (strict) on eth0, where packets from 198.51.100.9 come in, and the way back is by eth1',
      cure: 'sysctl -w net.ipv4.conf.eth0.rp_filter=2, or a route to 198.51.100.9 by eth0',
    },
  },
  {
    name: 'rp_filter of all',
    from: '198.51.100.9',
    node: {
      routes: ['10.1.0.0/24 dev br0'],
      refused: { '198.51.100.9 10.1.0.3 eth0': 'EXDEV' },
      sysctls: { 'net/ipv4/conf/all/rp_filter': '2' },
    },
    want: { id: 'rp-filter', cure: 'add a route to 198.51.100.9' },
  },
  {
    name: 'no forwarding',
    node: {
      refused: { '10.1.0.2 10.1.0.3 br0': 'EHOSTUNREACH' },
      sysctls: { 'net/ipv4/conf/br0/forwarding': '0' },
    },
    want: { id: 'forwarding', cure: 'sysctl -w net.ipv4.ip_forward=1', direction: 'request' },
  },
  {
    name: 'no route to a peer',
    to: place('10.2.0.2'),
    node: {
      routes: ['10.1.0.0/24 dev br0'],
      peers: [{ ...PEER, problems: ['set fabric.backend'] }],
    },
    want: {
      id: 'no-route',
      seen: 'no route to 10.2.0.2, of pods of node b',
      cure: 'set fabric.backend',
    },
  },
  {
    name: 'a blackhole',
    node: { refused: { '* 10.1.0.3 br0': 'EINVAL' } },
    want: { id: 'no-route', seen: 'the route to 10.1.0.3 is one that drops (blackhole)' },
  },
  {
    name: 'no way back',
    from: '10.9.0.2',
    node: { routes: ['10.1.0.0/24 dev br0'] },
    want: { id: 'no-route', direction: 'reply', seen: 'no route to 10.9.0.2' },
  },
  {
    name: 'connection table full',
    node: {
      sysctls: {
        'net/netfilter/nf_conntrack_count': '256',
        'net/netfilter/nf_conntrack_max': '256',
      },
    },
    want: {
      id: 'conntrack-full',
      effect: 'drops',
      seen: 'the connection table is 100 % full (256 of 256): new connections are dropped',
    },
  },
  {
    name: 'connection table nearly full',
    node: {
      sysctls: {
        'net/netfilter/nf_conntrack_count': '240',
        'net/netfilter/nf_conntrack_max': '256',
      },
    },
    want: { id: 'conntrack-full', effect: 'mayDrop' },
  },
  {
    name: 'the reply passes the NAT by',
    node: { pods: [CLIENT, WEB], sysctls: { 'net/bridge/bridge-nf-call-iptables': '0' } },
    want: { id: 'bridge-nf-call', effect: 'drops', direction: 'reply' },
  },
  {
    name: 'a pod without a default route',
    node: { pods: [CLIENT, WEB], podRefused: { 'default/client': 'ENETUNREACH' } },
    want: { id: 'pod-route', seen: 'pod default/client has no route to 172.30.0.1 (ENETUNREACH)' },
  },
  {
    name: 'a pod whose namespace is gone',
    node: { pods: [CLIENT, WEB], lost: { 'default/client': 'gone' } },
    want: {
      id: 'pod-netns',
      effect: 'mayDrop',
      direction: 'request',
      seen: 'pod default/client has lost its network namespace: nothing is at /run/netns/x',
    },
  },
  {
    name: 'a pod in whose place another one is',
    asked: '10.1.0.3',
    node: { pods: [CLIENT, WEB], lost: { 'default/web': 'replaced' } },
    want: {
      id: 'pod-netns',
      direction: 'reply',
      seen: expect.stringContaining('another network namespace is at /run/netns/x'),
    },
  },
  {
    name: 'a path that passes less than pods send',
    to: place('10.2.0.2'),
    node: { pods: [CLIENT], peers: [PEER], paths: [finding(1400)] },
    want: {
      id: 'mtu',
      effect: 'mayDrop',
      cure: 'raise the MTU of the links between, or set fabric.mtu: 1400',
    },
  },
  {
    name: 'a link that passes less than pods send',
    to: place('10.2.0.2'),
    node: { pods: [CLIENT], links: { br0: 1500, eth0: 1400 } },
    want: { id: 'mtu', seen: expect.stringContaining('eth0 passes 1400') },
  },
];

describe('what is in the way', () => {
  test.each(CAUSES)('$name', ({ from = '10.1.0.2', asked, to = place('10.1.0.3'), node, want }) => {
    const comesIn = from.startsWith('198.') ? { inInterface: 'eth0' } : {};
    const way = wayTo({ ...packet(from, asked), ...comesIn }, to, fakeNode(node));
    expect(way.causes[0]).toMatchObject(want);
    for (const line of causeLines(way.causes)) expect(line.length).toBeLessThanOrEqual(80);
  });

  test.each([
    {
      name: 'bridged with a call',
      pods: [CLIENT, WEB],
      sysctls: { 'net/bridge/bridge-nf-call-iptables': '1' },
    },
    {
      name: 'routed by isolation',
      pods: [
        { ...CLIENT, isRouted: true },
        { ...WEB, isRouted: true },
      ],
    },
    { name: 'no neighbours', pods: [{ ...CLIENT }, { ...WEB, networks: [] }] },
  ])('no trouble: $name', ({ pods, sysctls = {} }) => {
    expect(
      wayTo(packet('10.1.0.2'), place('10.1.0.3'), fakeNode({ pods, sysctls })).causes,
    ).toEqual([]);
  });

  test('what drops counts', () => {
    const node = fakeNode({ routes: ['10.1.0.0/24 dev br0'] });
    const to = place('10.2.0.2');
    const explanation = {
      packet: packet('10.1.0.2'),
      decisions: [],
      verdict: { kind: 'pass' },
    } as const;
    const ways = [wayTo(packet('10.1.0.2'), to, node)];
    expect(modelOutcome({ explanation, ways })).toBe('refused');
    expect(modelOutcome({ explanation, ways: [] })).toBe('allowed');
    expect(
      modelOutcome({ explanation: { ...explanation, verdict: { kind: 'reject' } }, ways: [] }),
    ).toBe('refused');
  });
});
