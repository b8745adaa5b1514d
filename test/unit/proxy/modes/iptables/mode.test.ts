import { describe, expect, test } from 'vitest';
import { parseCidr } from '../../../../../src/net/cidr.ts';
import { toDrift } from '../../../../../src/proxy/modes/iptables/drift.ts';
import { servesLoopback } from '../../../../../src/proxy/modes/iptables/mode.ts';

const cidrs = (...texts: readonly string[]) =>
  ({ kind: 'cidrs', cidrs: texts.map(parseCidr) }) as const;

describe('127.0.0.1 answers NodePorts', () => {
  test.each([
    { name: 'on all addresses', addresses: cidrs(), want: true },
    { name: 'with its network', addresses: cidrs('192.168.0.0/24', '127.0.0.0/8'), want: true },
    { name: 'with itself', addresses: cidrs('127.0.0.1/32'), want: true },
    { name: 'with every network', addresses: cidrs('0.0.0.0/0'), want: true },
    { name: 'not with others', addresses: cidrs('192.168.0.0/24', '::1/128'), want: false },
    { name: 'not with the primary', addresses: { kind: 'primary' } as const, want: false },
  ])('$name', ({ addresses: nodePortAddresses, want }) => {
    expect(servesLoopback({ localhostNodePorts: true, nodePortAddresses })).toBe(want);
    expect(servesLoopback({ localhostNodePorts: false, nodePortAddresses })).toBe(false);
  });
});

test.each([
  [4, ['nat KUBE-SERVICES'], ['ip nat'], 'ip nat KUBE-SERVICES'],
  [
    6,
    ['nat A', 'nat B', 'filter FORWARD -j KUBE-FORWARD', 'mangle C', 'mangle D'],
    ['ip6 nat', 'ip6 filter', 'ip6 mangle'],
    'ip6 nat A, ip6 nat B, ip6 filter FORWARD -j KUBE-FORWARD and 2 more',
  ],
] as const)('drift of IPv%i: %j', (family, changes, tables, what) => {
  expect(toDrift(family, changes)).toMatchObject({ family, tables, what });
});
