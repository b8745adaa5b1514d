import { describe, expect, test } from 'vitest';
import type { Node } from '../../../src/kube/types.ts';
import { parseCidr } from '../../../src/net/cidr.ts';
import {
  acceptsOnLoopback,
  localDetector,
  nodePortIPs,
  parseNode,
} from '../../../src/proxy/node-addresses.ts';

function node(addresses: readonly (readonly [string, string])[], spec?: Node['spec']): Node {
  return {
    metadata: { name: 'node-a', namespace: '', labels: { 'topology.kubernetes.io/zone': 'z' } },
    spec,
    status: { addresses: addresses.map(([type, address]) => ({ type, address })) },
  };
}

describe('the primary address', () => {
  test.each([
    {
      name: 'InternalIP before ExternalIP',
      addresses: [
        ['ExternalIP', '203.0.113.1'],
        ['InternalIP', '192.168.0.1'],
      ],
      want: ['192.168.0.1'],
    },
    {
      name: 'ExternalIP when it is all there is',
      addresses: [['ExternalIP', '203.0.113.1']],
      want: ['203.0.113.1'],
    },
    {
      name: 'of the family',
      addresses: [
        ['InternalIP', 'fd00:192::1'],
        ['InternalIP', '192.168.0.1'],
      ],
      want: ['192.168.0.1'],
    },
    { name: 'never loopback', addresses: [['InternalIP', '127.0.0.1']], want: [] },
    {
      name: 'no names',
      addresses: [
        ['Hostname', 'node-a'],
        ['InternalIP', 'node-a'],
      ],
      want: [],
    },
  ] as const)('$name', ({ addresses, want }) => {
    const facts = parseNode(node(addresses));
    expect(nodePortIPs({ kind: 'primary' }, 4, facts, () => [])).toEqual(want);
  });
});

describe('pod networks of the node', () => {
  test.each([
    {
      name: 'the list',
      spec: { podCIDRs: ['10.1.0.0/24', '10.2.0.0/24', 'fd00:10::/64'] },
      want: ['10.1.0.0/24', '10.2.0.0/24'],
    },
    { name: 'none of the family', spec: { podCIDRs: ['fd00:10::/64'] }, want: undefined },
    { name: 'none', spec: {}, want: undefined },
  ])('$name', ({ spec, want }) => {
    const detector = localDetector({ kind: 'nodeCIDRs' }, 4, parseNode(node([], spec)));
    expect(detector?.kind === 'cidrs' ? detector.cidrs : undefined).toEqual(want);
  });

  test('are unknown without a Node', () => {
    expect(localDetector({ kind: 'nodeCIDRs' }, 4, undefined)).toBeUndefined();
  });
});

test.each([
  {
    name: 'all networks of the family',
    cidrs: ['10.0.0.0/8', 'fd00::/8', '10.9.0.0/16'],
    want: ['10.0.0.0/8', '10.9.0.0/16'],
  },
  { name: 'of the other family: none', cidrs: ['fd00::/8'], want: undefined },
])('configured networks: $name', ({ cidrs, want }) => {
  const detector = localDetector({ kind: 'cidrs', cidrs: cidrs.map(parseCidr) }, 4, undefined);
  expect(detector?.kind === 'cidrs' ? detector.cidrs : undefined).toEqual(want);
});

test('interfaces serve both families', () => {
  const bridge = { kind: 'bridge', name: 'cni0' } as const;
  expect([localDetector(bridge, 4, undefined), localDetector(bridge, 6, undefined)]).toEqual([
    bridge,
    bridge,
  ]);
});

describe('NodePorts on 127.0.0.1 and ::1', () => {
  test.each([
    { cidrs: [], want: [true, true] },
    { cidrs: ['127.0.0.0/8'], want: [true, true] },
    { cidrs: ['127.0.0.0/8', 'fd00:192::/64'], want: [true, false] },
    { cidrs: ['192.168.0.0/24', '::1/128'], want: [false, true] },
    { cidrs: ['192.168.0.0/24', 'fd00:192::/64'], want: [false, false] },
    { cidrs: ['0.0.0.0/0', '::/0'], want: [true, true] },
    { cidrs: ['127.0.0.5/32', '::2/128'], want: [true, false] },
  ])('$cidrs: $want', ({ cidrs, want }) => {
    const configured = { kind: 'cidrs', cidrs: cidrs.map(parseCidr) } as const;
    expect([acceptsOnLoopback(configured, 4), acceptsOnLoopback(configured, 6)]).toEqual(want);
  });

  test('the primary address is none of them', () => {
    expect(acceptsOnLoopback({ kind: 'primary' }, 4)).toBe(false);
  });
});
