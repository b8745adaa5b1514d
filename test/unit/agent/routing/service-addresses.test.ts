import { expect, test } from 'vitest';
import { ServiceAddresses } from '../../../../src/agent/routing/service-addresses.ts';
import type { ResolvedPort } from '../../../../src/proxy/state.ts';

interface Words {
  readonly clusterIP?: string;
  readonly outside?: readonly string[];
  readonly isExternalLocal?: boolean;
  readonly endpoints?: readonly {
    readonly isReady: boolean;
    readonly isLocal: boolean;
    readonly nodeName?: string;
  }[];
}

/** A port of which only what is read here is there. */
function port({ clusterIP = '10.96.0.1', outside = [], isExternalLocal = false, ...more }: Words) {
  const policy = {
    externalIPs: [],
    loadBalancerIPs: outside,
    isInternalLocal: false,
    isExternalLocal,
  };
  const endpoints = (more.endpoints ?? []).map((target) => ({ target, port: 80 }));
  return { port: { clusterIP, policy }, endpoints } as unknown as ResolvedPort;
}

const COMMIT = { isFull: true, nodePortIPs: 'anyLocal' } as const;
const HERE = { isReady: true, isLocal: true };
const AWAY = { isReady: true, isLocal: false, nodeName: 'n2' };

function told(...services: readonly (readonly [string, Words])[]) {
  const addresses = new ServiceAddresses(() => true);
  for (const [name, words] of services) addresses.programming(4, name, [port(words)]);
  addresses.committed(4, COMMIT);
  return addresses;
}

test.each([
  ['an endpoint elsewhere', { endpoints: [AWAY] }, true],
  ['no endpoint', {}, false],
  ['one that is not ready', { endpoints: [{ ...HERE, isReady: false }] }, false],
])('a clusterIP with %s: %s', (_, words, isServed) => {
  expect(told(['a/b', words]).list()).toEqual([
    {
      ...{ ip: '10.96.0.1', kind: 'clusterIPs', services: ['a/b'], isServed, isLocal: false },
      isServedSomewhere: isServed,
    },
  ]);
});

test('under a Local policy only endpoints of this node count, for addresses from outside', () => {
  const words = { outside: ['198.51.100.7'], isExternalLocal: true, endpoints: [AWAY] };
  expect(told(['a/b', words]).list()).toMatchObject([
    { ip: '10.96.0.1', isServed: true },
    { ip: '198.51.100.7', isServed: false, isLocal: true, isServedSomewhere: true, nodes: ['n2'] },
  ]);
});

test('an address of several Services is told while one of them is served', () => {
  const outside = ['198.51.100.7'];
  const addresses = told(
    ['a/b', { outside }],
    ['c/d', { clusterIP: '10.96.0.2', outside, endpoints: [HERE] }],
  );
  const shared = addresses.list().find(({ ip }) => ip === '198.51.100.7');
  expect(shared).toMatchObject({ services: ['a/b', 'c/d'], isServed: true });
});

test('a Service that is gone takes its addresses along, and others stay', () => {
  const addresses = told(['a/b', {}], ['c/d', { clusterIP: '10.96.0.2' }]);
  addresses.programming(4, 'a/b', []);
  expect(addresses.list()).toHaveLength(2);
  addresses.committed(4, { ...COMMIT, isFull: false });
  expect(addresses.list().map(({ ip }) => ip)).toEqual(['10.96.0.2']);
});

test('whoever writes the address of another as its externalIP takes nothing from it', () => {
  const addresses = new ServiceAddresses(() => true);
  const policy = {
    ...{ externalIPs: ['198.51.100.7'], loadBalancerIPs: [] },
    ...{ isInternalLocal: false, isExternalLocal: false },
  };
  const hostile = { port: { clusterIP: '10.96.0.9', policy }, endpoints: [] };
  addresses.programming(4, 'a/hostile', [hostile as unknown as ResolvedPort]);
  const words = { outside: ['198.51.100.7'], isExternalLocal: true, endpoints: [HERE] };
  addresses.programming(4, 'b/victim', [port(words)]);
  addresses.committed(4, COMMIT);
  const found = addresses.list().find(({ ip }) => ip === '198.51.100.7');
  expect(found).toMatchObject({ kind: 'loadBalancerIPs', isServed: true, isLocal: true });
});

test('a family is known after its first commit', () => {
  const addresses = told();
  expect([addresses.isKnown(4), addresses.isKnown(6)]).toEqual([true, false]);
});
