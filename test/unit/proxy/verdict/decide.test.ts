import { describe, expect, test } from 'vitest';
import type { Service } from '../../../../src/kube/types.ts';
import { parseCidr } from '../../../../src/net/cidr.ts';
import { parseIP } from '../../../../src/net/ip.ts';
import { decide } from '../../../../src/proxy/verdict/decide.ts';
import type { Decision, Packet } from '../../../../src/proxy/verdict/explanation.ts';
import { buildWorld, type NodeWorld, type World } from '../../../../src/proxy/verdict/world.ts';
import { resolveGroups } from '../../../support/flows/model.ts';
import { IPV4 } from '../../../support/flows/net.ts';
import { endpointsOf, loadBalancer, sliceOf } from '../../../support/flows/objects.ts';
import { service } from '../../../support/proxy-objects.ts';

const { client, vip, lb, node, outside, outer } = IPV4;
const NODE_WORLD: NodeWorld = {
  localDetector: { kind: 'cidrs', cidrs: [parseCidr(IPV4.clusterCIDR)] },
  masqueradesAll: false,
  nodePortIPs: undefined,
  localAddresses: [node, outer, '127.0.0.1'].map(parseIP),
  serviceCIDRs: [parseCidr(IPV4.serviceCIDR)],
};
const SPEC = { loadBalancerSourceRanges: ['203.0.113.2/32', '192.168.0.0/24'] };

/** `web`: endpoints on both nodes; `none`: none at all. */
function world(changes: Partial<NodeWorld> = {}, services: readonly Service[] = []): World {
  const ports = resolveGroups(
    [
      {
        name: 'objects',
        settings: 'base',
        services: [
          loadBalancer('web', IPV4, 1, { nodePort: 30001, ips: [lb(1)], spec: SPEC }),
          service('none', vip(2)),
          ...services,
        ],
        slices: ['web', ...services.map(({ metadata }) => metadata.name)].map((name) =>
          sliceOf(name, endpointsOf(IPV4, 'a', 'remote')),
        ),
        flows: [],
      },
    ],
    IPV4,
  );
  return buildWorld(ports, { ...NODE_WORLD, ...changes });
}

function packet(source: string, destination: string, port = 80, inInterface?: string): Packet {
  return {
    ...{ source: parseIP(source), destination: parseIP(destination), protocol: 'tcp', port },
    ...(inInterface === undefined ? {} : { inInterface }),
  };
}

const kinds = (decisions: readonly Decision[]) => decisions.map(({ kind }) => kind).join(' ');

test.each([
  ['from a pod', client, 'pass'],
  ['from outside', outside, 'pass'],
  ['from the node', node, 'reject'],
])('another port of a clusterIP that the node has itself, %s', (_name, source, kind) => {
  const localAddresses = [...NODE_WORLD.localAddresses, parseIP(vip(1))];
  const { verdict } = decide(packet(source, vip(1), 9253), world({ localAddresses }));
  expect(verdict).toEqual({ kind });
});

describe('decisions in the order the kernel takes them', () => {
  test.each([
    {
      name: 'a clusterIP',
      packet: packet(client, vip(1)),
      want: 'origin frontend trafficPolicy endpoints masquerade',
    },
    {
      name: 'no endpoints',
      packet: packet(client, vip(2)),
      want: 'origin frontend trafficPolicy noEndpoints',
    },
    {
      name: 'an allowed source',
      packet: packet(outside, lb(1)),
      want: 'origin frontend sourceRanges trafficPolicy endpoints masquerade',
    },
    {
      name: 'a rejected source',
      packet: packet(client, lb(1)),
      want: 'origin frontend sourceRanges',
    },
    {
      name: 'another port',
      packet: packet(client, vip(1), 81),
      want: 'origin noFrontend clusterIP',
    },
    { name: 'nobody', packet: packet(client, vip(99)), want: 'origin noFrontend serviceCIDR' },
    { name: 'no Service', packet: packet(client, outside), want: 'origin noFrontend' },
  ])('$name', (row) => {
    expect(kinds(decide(row.packet, world()).decisions)).toBe(row.want);
  });

  test('affinity comes before the draw', () => {
    const sticky = service('sticky', vip(3), { sessionAffinity: 'ClientIP' });
    const { decisions } = decide(packet(client, vip(3)), world({}, [sticky]));
    expect(decisions).toContainEqual({ kind: 'affinity', seconds: 10_800 });
    expect(kinds(decisions)).toBe('origin frontend trafficPolicy affinity endpoints masquerade');
  });

  test('one masquerade decision for each reason', () => {
    const { decisions } = decide(packet(IPV4.podA, vip(1)), world());
    expect(decisions.filter(({ kind }) => kind === 'masquerade')).toEqual([
      { kind: 'masquerade', because: 'hairpin', isMasqueraded: true, endpoints: [IPV4.podA] },
      { kind: 'masquerade', because: 'fromPod', isMasqueraded: false, endpoints: [IPV4.remote] },
    ]);
  });
});

test.each([
  { name: 'an address of the node', packet: packet(outer, vip(1)), want: ['node', 'nodeAddress'] },
  { name: 'loopback', packet: packet('127.0.0.1', vip(1)), want: ['node', 'nodeAddress'] },
  { name: 'a pod by network', packet: packet(client, vip(1)), want: ['pod', 'podCIDR'] },
  { name: 'outside', packet: packet(outside, vip(1)), want: ['outside', 'noMatch'] },
  {
    name: 'nothing to tell by',
    packet: packet(client, vip(1)),
    changes: { localDetector: undefined },
    want: ['outside', 'noDetector'],
  },
  {
    name: 'a pod by bridge',
    packet: packet(client, vip(1), 80, 'br0'),
    changes: { localDetector: { kind: 'bridge', name: 'br0' } },
    want: ['pod', 'podInterface'],
  },
  {
    name: 'another bridge',
    packet: packet(client, vip(1), 80, 'br00'),
    changes: { localDetector: { kind: 'bridge', name: 'br0' } },
    want: ['outside', 'noMatch'],
  },
  {
    name: 'a pod by prefix',
    packet: packet(client, vip(1), 80, 'veth7'),
    changes: { localDetector: { kind: 'interfacePrefix', prefix: 'veth' } },
    want: ['pod', 'podInterface'],
  },
  {
    name: 'an unknown interface',
    packet: packet(client, vip(1)),
    changes: { localDetector: { kind: 'interfacePrefix', prefix: 'veth' } },
    want: ['outside', 'noMatch'],
  },
] as const)('origin: $name', (row) => {
  const changes = 'changes' in row ? row.changes : {};
  const [origin] = decide(row.packet, world(changes)).decisions;
  expect(origin).toMatchObject({
    kind: 'origin',
    origin: row.want[0],
    sign: { kind: row.want[1] },
  });
});

test('a NodePort on another address is named', () => {
  const { decisions, verdict } = decide(
    packet(outside, outer, 30001),
    world({ nodePortIPs: [parseIP(node)] }),
  );
  expect([decisions.at(-1), verdict.kind]).toEqual([
    { kind: 'noFrontend', key: '203.0.113.1 tcp 30001', nodePortOf: 'ns/web:http' },
    'pass',
  ]);
});

describe('shares', () => {
  const sharesOf = (annotations: Readonly<Record<string, string>>, source = client) => {
    const balanced = service('balanced', vip(4), {}, annotations);
    const { verdict } = decide(packet(source, vip(4)), world({}, [balanced]));
    return verdict.kind === 'dnat'
      ? Object.fromEntries(verdict.candidates.map(({ ip, probability }) => [ip, probability]))
      : verdict.kind;
  };
  test.each([
    { name: 'equal', annotations: {}, want: { [IPV4.podA]: 1 / 2, [IPV4.remote]: 1 / 2 } },
    {
      name: 'weights',
      annotations: { 'weft.dev/weights': 'node/node-b=3' },
      want: { [IPV4.podA]: 1 / 4, [IPV4.remote]: 3 / 4 },
    },
    {
      name: 'weight 0',
      annotations: { 'weft.dev/weights': 'node/node-b=0' },
      want: { [IPV4.podA]: 1 },
    },
  ])('$name', ({ annotations, want }) => {
    expect(sharesOf(annotations)).toEqual(want);
  });

  test('a hash leads each client to one endpoint, and clients to all', () => {
    const chosen = Array.from({ length: 40 }, (_, i) => {
      const shares = sharesOf({ 'weft.dev/balance': 'source-hash' }, `10.1.1.${i}`);
      const used = Object.entries(shares).filter(([, share]) => share > 0);
      expect(used.map(([, share]) => share)).toEqual([1]);
      return used[0]?.[0];
    });
    expect(new Set(chosen)).toEqual(new Set([IPV4.podA, IPV4.remote]));
  });
});

test.each([
  { name: 'with endpoints', to: vip(1), port: 80, want: 'service-ips' },
  { name: 'without endpoints', to: vip(2), port: 80, want: 'no-endpoint-services' },
  { name: 'a NodePort', to: node, port: 30001, want: 'service-nodeports' },
])('the map that is hit: $name', ({ to, port, want }) => {
  expect(decide(packet(outside, to, port), world()).decisions[1]).toMatchObject({ map: want });
});
