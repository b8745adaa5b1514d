import { expect, test } from 'vitest';
import { FlowNames } from '../../../../src/agent/flows/flow-names.ts';
import { listingFilters } from '../../../../src/agent/flows/flow-query.ts';
import { parseCidr } from '../../../../src/net/cidr.ts';
import { takeAtOnce } from '../../../../src/util/turns.ts';
import { ip, labNames } from './flow-lab.ts';

test('a pod that is gone keeps its address until somebody else has it', () => {
  const names = labNames();
  const podAt = (address: string) => names.party(ip(address), 80).pod;
  names.setLocalPods([{ name: 'shop/new', ips: [ip('10.1.0.7')] }]);
  expect(podAt('10.1.0.7')).toBe('shop/new');
  names.setLocalPods([]);
  expect(podAt('10.1.0.7')).toBe('shop/new');
  names.setLocalPods([{ name: 'shop/other', ips: [ip('10.1.0.7')] }]);
  expect(podAt('10.1.0.7')).toBe('shop/other');
  const later = labNames(names);
  later.setLocalPods([]);
  expect(later.party(ip('10.1.0.7'), 80).pod).toBe('shop/other');
});

test('of those that are gone a bounded number is remembered', () => {
  const names = labNames();
  const many = Array.from({ length: 3000 }, (_, i) => ip(`10.7.${i >> 8}.${i & 255}`));
  names.setLocalPods([{ name: 'shop/many', ips: many }]);
  names.setLocalPods([]);
  expect(names.party(ip('10.7.0.0'), 80).pod).toBeUndefined();
  expect(names.party(ip('10.7.11.183'), 80).pod).toBe('shop/many');
});

test('loopback and addresses of links are this node', () => {
  const names = labNames();
  expect(names.party(ip('127.0.0.1'), undefined)).toEqual({ ip: '127.0.0.1', node: 'node-a' });
  expect(names.party(ip('192.168.0.2'), undefined).node).toBe('node-b');
});

test.each([
  ['10.1.1.5', { podsOf: 'node-b' }],
  ['fd00:0:0:1::5', { podsOf: 'node-b' }],
  ['10.1.0.9', { podsOf: 'node-a' }],
  // Who has a name is called by it.
  ['10.1.0.2', { pod: 'shop/client' }],
  ['192.168.0.2', { node: 'node-b' }],
  ['10.1.2.5', {}],
  ['203.0.113.1', {}],
])('%s, of whose pods it is: %j', (address, want) => {
  expect(labNames().party(ip(address), undefined)).toEqual({ ip: address, ...want });
});

test('the smallest network that holds an address counts', () => {
  const nodes = [
    { name: 'large', ips: [], podCIDRs: [parseCidr('10.0.0.0/8')] },
    { name: 'small', ips: [], podCIDRs: [parseCidr('10.1.0.0/16')] },
  ];
  const facts = { nodeName: 'a', localAddresses: [], nodes, pods: [], services: [] };
  const names = takeAtOnce(FlowNames.of(facts));
  const of = (address: string) => names.party(ip(address), undefined).podsOf;
  expect([of('10.1.2.3'), of('10.2.0.1'), of('11.0.0.1')]).toEqual(['small', 'large', undefined]);
});

test('the kernel is asked for the addresses of a pod, on both sides, and the frontends of a Service', () => {
  expect(listingFilters({ pod: 'shop/client' }, labNames())).toEqual([
    { family: 4, original: { source: '10.1.0.2' } },
    { family: 4, reply: { source: '10.1.0.2' } },
    { family: 6, original: { source: 'fd00::2' } },
    { family: 6, reply: { source: 'fd00::2' } },
  ]);
  expect(listingFilters({ pod: 'shop/nobody' }, labNames())).toEqual([]);
  expect(listingFilters({ service: 'shop/web' }, labNames())).toEqual([
    { family: 4, protocol: 6, original: { destination: '172.30.0.1', destinationPort: 80 } },
    ...[4, 6].map((family) => ({ family, protocol: 6, original: { destinationPort: 30080 } })),
  ]);
  expect(listingFilters({ service: 'shop/we' }, labNames())).toEqual([]);
  expect(listingFilters({ namespace: 'shop' }, labNames())).toEqual([{ family: 4 }, { family: 6 }]);
});
