import { expect, test } from 'vitest';
import type { EndpointSlice } from '../../../src/kube/types.ts';
import { parseCidr } from '../../../src/net/cidr.ts';
import {
  type ClusterChange,
  type FamilyChange,
  familyChanges,
} from '../../../src/proxy/cluster-change.ts';
import { service, slice } from '../../support/proxy-objects.ts';

const dual = service('web', '172.30.0.1', {
  clusterIPs: ['172.30.0.1', 'fd00:172::1'],
  ipFamilies: ['IPv4', 'IPv6'],
});
const four = slice({ service: 'web', endpoints: ['10.0.0.1'] });
/** The same slice, as a file may have it. */
const six: EndpointSlice = { ...four, addressType: 'IPv6', endpoints: [] };
const other: EndpointSlice = {
  ...four,
  metadata: { ...four.metadata, labels: { 'kubernetes.io/service-name': 'other' } },
};
const nobodys: EndpointSlice = { ...four, metadata: { ...four.metadata, labels: {} } };
const node = (name: string) => ({
  metadata: { name, namespace: '' },
  status: { addresses: [{ type: 'InternalIP', address: '192.168.0.1' }] },
});

function text(change: FamilyChange): string {
  switch (change.kind) {
    case 'service':
      return `${change.family} ${change.key} ${change.entry?.ports[0]?.clusterIP ?? 'gone'}`;
    case 'slice':
      return `${change.family} ${change.service} ${change.name} ${change.record === undefined ? 'gone' : 'there'}`;
    case 'node':
      return `${change.family} ${change.facts?.addresses ?? 'gone'}`;
    case 'serviceCIDRs':
      return `${change.family} ${change.cidrs}`;
  }
}

const CASES: readonly { name: string; change: ClusterChange; want: readonly string[] }[] = [
  {
    name: 'a Service of both families',
    change: { kind: 'service', now: dual },
    want: ['4 ns/web 172.30.0.1', '6 ns/web fd00:172::1'],
  },
  {
    name: 'a Service that loses a family',
    change: { kind: 'service', now: service('web', '172.30.0.1'), was: dual },
    want: ['4 ns/web 172.30.0.1', '6 ns/web gone'],
  },
  {
    name: 'a Service that is gone',
    change: { kind: 'service', was: dual },
    want: ['4 ns/web gone', '6 ns/web gone'],
  },
  { name: 'a slice', change: { kind: 'slice', now: four }, want: ['4 ns/web web-1 there'] },
  {
    name: 'a slice that stays where it is',
    change: { kind: 'slice', now: four, was: four },
    want: ['4 ns/web web-1 there'],
  },
  {
    name: 'a slice that moves to another Service',
    change: { kind: 'slice', now: other, was: four },
    want: ['4 ns/web web-1 gone', '4 ns/other web-1 there'],
  },
  {
    name: 'a slice that becomes one of the other family',
    change: { kind: 'slice', now: six, was: four },
    want: ['4 ns/web web-1 gone', '6 ns/web web-1 there'],
  },
  {
    name: 'a slice that loses its Service',
    change: { kind: 'slice', now: nobodys, was: four },
    want: ['4 ns/web web-1 gone'],
  },
  {
    name: 'a slice that is gone',
    change: { kind: 'slice', was: four },
    want: ['4 ns/web web-1 gone'],
  },
  { name: "nobody's slice", change: { kind: 'slice', was: nobodys, now: nobodys }, want: [] },
  {
    name: 'the own Node',
    change: { kind: 'node', now: node('node-a') },
    want: ['4 192.168.0.1', '6 192.168.0.1'],
  },
  {
    name: 'the own Node, gone',
    change: { kind: 'node', was: node('node-a') },
    want: ['4 gone', '6 gone'],
  },
  { name: 'another Node', change: { kind: 'node', now: node('node-b') }, want: [] },
  {
    name: 'networks of clusterIPs',
    change: { kind: 'serviceCIDRs', cidrs: ['172.30.0.0/16', 'fd00:172::/112'].map(parseCidr) },
    want: ['4 172.30.0.0/16', '6 fd00:172::/112'],
  },
];

test.each(CASES)('$name', ({ change, want }) => {
  expect(familyChanges(change, 'node-a').map(text)).toEqual(want);
});
