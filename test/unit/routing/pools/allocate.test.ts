import { describe, expect, test } from 'vitest';
import type { Service, ServiceSpec } from '../../../../src/kube/types.ts';
import { parseCidr } from '../../../../src/net/cidr.ts';
import { allocate } from '../../../../src/routing/pools/allocate.ts';
import { type AddressPool, checkPools, parseRange } from '../../../../src/routing/pools/pool.ts';
import { type AddressRequest, addressRequest } from '../../../../src/routing/pools/request.ts';

function pool(name: string, ranges: string, more: Partial<AddressPool> = {}): AddressPool {
  return {
    ...{ name, isAutomatic: true, avoidsEdges: false, namespaces: [], priority: 100 },
    ranges: ranges.split(' ').map((text) => {
      const range = parseRange(text);
      if (range === undefined) throw new Error(text);
      return range;
    }),
    ...more,
  };
}

interface Words {
  readonly spec?: Partial<ServiceSpec>;
  readonly annotations?: Record<string, string>;
  readonly held?: readonly string[];
  readonly age?: number;
}

function service(key: string, { spec, annotations = {}, held = [], age = 1 }: Words = {}): Service {
  const [namespace = '', name = ''] = key.split('/');
  return {
    metadata: { namespace, name, annotations, creationTimestamp: `2026-01-0${age}T00:00:00Z` },
    spec: {
      ...{ type: 'LoadBalancer', clusterIP: '10.96.0.1', ipFamilies: ['IPv4'] },
      ports: [{ protocol: 'TCP', port: 80 }],
      ...spec,
    },
    status: { loadBalancer: { ingress: held.map((ip) => ({ ip })) } },
  };
}

function request(...words: Parameters<typeof service>): AddressRequest {
  const found = addressRequest(service(...words), '');
  if (found === undefined) throw new Error('asks for nothing');
  return found;
}

/** `a/b 192.0.2.1`, or with the problem. */
function told(pools: readonly AddressPool[], requests: readonly AddressRequest[]) {
  const { addresses, problems } = allocate(pools, requests);
  return Array.from(addresses, ([key, ips]) =>
    [key, ...ips, problems.get(key)].filter(Boolean).join(' '),
  ).toSorted();
}

const SMALL = pool('small', '198.51.100.1-198.51.100.2');

describe('who has which address', () => {
  test('the older Service goes first, and each has one', () => {
    const requests = [request('a/young', { age: 2 }), request('a/old', { age: 1 })];
    expect(told([SMALL], requests)).toEqual(['a/old 198.51.100.1', 'a/young 198.51.100.2']);
  });

  test('who holds one keeps it, however young', () => {
    const requests = [request('a/old'), request('a/young', { age: 9, held: ['198.51.100.1'] })];
    expect(told([SMALL], requests)).toEqual(['a/old 198.51.100.2', 'a/young 198.51.100.1']);
  });

  test('of two that hold one address the older keeps it', () => {
    const held = ['198.51.100.1'];
    const requests = [request('a/young', { age: 2, held }), request('a/old', { held })];
    expect(told([SMALL], requests)).toEqual(['a/old 198.51.100.1', 'a/young 198.51.100.2']);
  });

  test('what is of no pool any more stays, and is told', () => {
    const requests = [request('a/b', { held: ['203.0.113.1'] })];
    expect(told([SMALL], requests)).toEqual([
      'a/b 203.0.113.1 it keeps 203.0.113.1, although no address pool has it',
    ]);
  });

  test('a pool that is used up is named, with who holds it', () => {
    const requests = [1, 2, 3].map((age) => request(`a/s${age}`, { age }));
    expect(told([SMALL], requests)[2]).toBe(
      'a/s3 no IPv4 address is left in pool small; held by a/s1, a/s2, …',
    );
  });

  test('one of each family, in the order of the Service', () => {
    const spec = { ipFamilies: ['IPv6', 'IPv4'] };
    const pools = [SMALL, pool('six', '2001:db8::10/124')];
    expect(told(pools, [request('a/b', { spec })])).toEqual(['a/b 2001:db8::10 198.51.100.1']);
  });

  test('edges are left out where a pool says so, and the lowest priority is first', () => {
    const pools = [
      pool('later', '203.0.113.0/24'),
      pool('first', '198.51.100.0/24', { avoidsEdges: true, priority: 1 }),
    ];
    expect(told(pools, [request('a/b')])).toEqual(['a/b 198.51.100.1']);
  });

  test('10,000 Services in turn', () => {
    const requests = Array.from({ length: 10_000 }, (_, i) => request(`a/s${i}`));
    const start = performance.now();
    const { addresses } = allocate([pool('large', '10.200.0.0/16')], requests);
    expect(new Set([...addresses.values()].flat()).size).toBe(10_000);
    expect(performance.now() - start).toBeLessThan(2_000);
  });
});

describe('what a Service asks for', () => {
  test.each([
    ['weft.dev/load-balancer-ips', '198.51.100.2', 'a/b 198.51.100.2'],
    ['metallb.universe.tf/loadBalancerIPs', '198.51.100.2', 'a/b 198.51.100.2'],
    ['weft.dev/load-balancer-ips', '203.0.113.9', 'a/b 203.0.113.9 is in no address pool'],
    ['weft.dev/load-balancer-ips', 'here', 'a/b here: expected an IP address'],
    [
      'weft.dev/load-balancer-ips',
      `10.0.0.1,${'x'.repeat(70)}`,
      `a/b ${'x'.repeat(64)}: expected an IP address`,
    ],
    [
      'weft.dev/load-balancer-ips',
      '2001:db8::1',
      'a/b it wants an IPv6 address, and has no such family',
    ],
    [
      'weft.dev/load-balancer-ips',
      '198.51.100.1,198.51.100.2',
      'a/b it wants two addresses of one family',
    ],
    ['weft.dev/address-pool', 'none', 'a/b there is no address pool none'],
    ['metallb.io/address-pool', 'small', 'a/b 198.51.100.1'],
  ])('%s: %s', (name, value, wanted) => {
    expect(told([SMALL], [request('a/b', { annotations: { [name]: value } })])).toEqual([wanted]);
  });

  test('spec.loadBalancerIP, also of a pool that gives nothing by itself', () => {
    const pools = [pool('asked', '203.0.113.0/30', { isAutomatic: false }), SMALL];
    const spec = { loadBalancerIP: '203.0.113.2' };
    expect(told(pools, [request('a/b', { spec }), request('c/d')])).toEqual([
      'a/b 203.0.113.2',
      'c/d 198.51.100.1',
    ]);
  });

  test('another address than it holds: that one goes', () => {
    const annotations = { 'weft.dev/load-balancer-ips': '198.51.100.2' };
    const requests = [request('a/b', { held: ['198.51.100.1'], annotations })];
    expect(told([SMALL], requests)).toEqual(['a/b 198.51.100.2']);
  });

  test("one that is somebody else's is not given", () => {
    const annotations = { 'weft.dev/load-balancer-ips': '198.51.100.1' };
    const requests = [request('a/b', { held: ['198.51.100.1'] }), request('c/d', { annotations })];
    expect(told([SMALL], requests)[1]).toContain('198.51.100.1 is held by a/b; to share it');
  });

  test('a pool of other namespaces is not for it', () => {
    const pools = [pool('shop', '198.51.100.0/24', { namespaces: ['shop'] })];
    expect(told(pools, [request('a/b')])[0]).toContain('no address pool has IPv4 addresses for it');
    expect(told(pools, [request('shop/b')])).toEqual(['shop/b 198.51.100.0']);
  });

  test.each([
    ['ClusterIP', { type: 'ClusterIP' as const }],
    ['another class', { loadBalancerClass: 'example.com/lb' }],
  ])('%s asks for nothing', (_, spec) => {
    expect(addressRequest(service('a/b', { spec }), '')).toBeUndefined();
  });
});

describe('sharing', () => {
  const annotations = { 'weft.dev/share-address': 'web' };
  const https = { ports: [{ protocol: 'TCP' as const, port: 443 }] };

  test('with the same key and other ports', () => {
    const requests = [
      request('a/b', { annotations }),
      request('c/d', { annotations, spec: https }),
    ];
    expect(told([SMALL], requests)).toEqual(['a/b 198.51.100.1', 'c/d 198.51.100.1']);
  });

  test.each([
    ['the same port', {}],
    ['a Local policy', { ...https, externalTrafficPolicy: 'Local' as const }],
  ])('not with %s: it has one of its own', (_, spec) => {
    const requests = [request('a/b', { annotations }), request('c/d', { annotations, spec })];
    expect(told([SMALL], requests)).toEqual(['a/b 198.51.100.1', 'c/d 198.51.100.2']);
  });
});

test('thousands with one key and one port do not look through each other', () => {
  const annotations = { 'weft.dev/share-address': 'web' };
  const many = Array.from({ length: 20_000 }, (_, i) => request(`a/s${i}`, { annotations }));
  const spec = { ports: [{ protocol: 'TCP' as const, port: 443 }] };
  const last = request('b/last', { age: 9, annotations, spec });
  const before = process.cpuUsage();
  const { addresses } = allocate([pool('large', '10.200.0.0/16')], [...many, last]);
  const { user } = process.cpuUsage(before);
  expect(new Set([...addresses.values()].flat()).size).toBe(20_000);
  expect(addresses.get('b/last')).toEqual(['10.200.0.0']);
  expect(user / 1_000).toBeLessThan(2_000);
});

describe('pools', () => {
  const taken = [{ cidr: parseCidr('10.244.0.0/16'), what: 'of pods' }];

  test.each([
    [
      '10.244.7.0/24',
      /pool p is not used: 10\.244\.7\.0-10\.244\.7\.255 overlaps 10\.244\.0\.0\/16, of pods/,
    ],
    ['127.0.0.0/30', /loopback/],
    ['198.51.100.2-198.51.100.9', /overlaps pool a: give each address to one/],
  ])('%s', (ranges, words) => {
    const { pools, problems } = checkPools([pool('p', ranges), { ...SMALL, name: 'a' }], taken);
    expect(pools.map(({ name }) => name)).toEqual(['a']);
    expect(problems.join()).toMatch(words);
  });

  test.each(['', 'x', '192.0.2.9-192.0.2.1', '192.0.2.1-2001:db8::1', '192.0.2.1', '1-2-3'])(
    '%j is no range',
    (text) => {
      expect(parseRange(text)).toBeUndefined();
    },
  );

  test('two kinds of pools may have one name: each gives its own addresses', () => {
    const pools = [
      pool('p', '198.51.100.1-198.51.100.1'),
      pool('p', '203.0.113.1-203.0.113.1', { namespaces: ['shop'] }),
    ];
    const requests = [request('a/b'), request('a/c', { age: 2 }), request('shop/d', { age: 3 })];
    expect(told(pools, requests)).toEqual([
      'a/b 198.51.100.1',
      expect.stringContaining('a/c no IPv4 address is left'),
      'shop/d 203.0.113.1',
    ]);
  });

  test('usage', () => {
    const { usage } = allocate([SMALL], [request('a/b')]);
    expect(usage).toEqual([{ pool: 'small', size: 2n, used: 1, holders: ['a/b'] }]);
  });
});
