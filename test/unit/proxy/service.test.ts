import { describe, expect, test } from 'vitest';
import {
  isExternallyAccessible,
  parseService,
  serviceProblems,
  usesClusterEndpoints,
  usesLocalEndpoints,
} from '../../../src/proxy/service.ts';
import { service } from '../../support/proxy-objects.ts';

const V4 = '172.30.0.1';
const V6 = 'fd00:172::1';
const dual = { clusterIPs: [V4, V6], ipFamilies: ['IPv4', 'IPv6'] };

describe('which Services exist for a family', () => {
  test.each([
    { name: 'plain', object: service('a', V4), want: V4 },
    { name: 'other family', object: service('a', V6), want: undefined },
    { name: 'dual stack', object: service('a', V4, dual), want: V4 },
    {
      name: 'dual stack, IPv6 first',
      object: service('a', V6, { clusterIPs: [V6, V4], ipFamilies: ['IPv6', 'IPv4'] }),
      want: V4,
    },
    {
      name: 'without ipFamilies',
      object: service('a', V4, { clusterIPs: undefined, ipFamilies: undefined }),
      want: V4,
    },
    { name: 'headless', object: service('a', 'None'), want: undefined },
    { name: 'unallocated', object: service('a', ''), want: undefined },
    { name: 'ExternalName', object: service('a', V4, { type: 'ExternalName' }), want: undefined },
    {
      name: 'leading zeros are decimal',
      object: service('a', '172.30.0.041'),
      want: '172.30.0.41',
    },
    { name: 'no address', object: service('a', '172.30.0.256'), want: undefined },
    {
      name: 'for another proxy',
      object: {
        ...service('a', V4),
        metadata: {
          name: 'a',
          namespace: 'ns',
          labels: { 'service.kubernetes.io/service-proxy-name': 'mesh' },
        },
      },
      want: undefined,
    },
  ])('$name', ({ object, want }) => {
    expect(parseService(object).get(4)?.ports[0]?.clusterIP).toBe(want);
  });

  test('the IPv6 half of a dual-stack Service', () => {
    expect(parseService(service('a', V4, dual)).get(6)?.ports[0]?.clusterIP).toBe(V6);
  });
});

test('one entry per port', () => {
  const object = service('a', V4, {
    ports: [
      { name: 'dns', protocol: 'UDP', port: 53, nodePort: 30053 },
      { name: 'sctp', protocol: 'SCTP', port: 53 },
    ],
  });
  const entry = parseService(object).get(4);
  expect(
    entry?.ports.map(({ name, portName, protocol, port, nodePort }) => [
      ...[name, portName, protocol, port, nodePort],
    ]),
  ).toEqual([
    ['ns/a:dns', 'dns', 'udp', 53, 30053],
    ['ns/a:sctp', 'sctp', 'sctp', 53, 0],
  ]);
});

test('an unnamed port is called after its Service', () => {
  const object = service('a', V4, { ports: [{ protocol: 'TCP', port: 80 }] });
  expect(parseService(object).get(4)?.ports[0]).toMatchObject({ name: 'ns/a', portName: '' });
});

describe('addresses that are nobody’s to serve on', () => {
  test.each([
    '0.0.0.0',
    '127.0.0.1',
    '127.1.2.3',
    '169.254.20.10',
    '224.0.0.5',
    '239.1.1.1',
    '255.255.255.255',
    '::',
    '::1',
    'fe80::1',
    'febf::1',
    'ff02::1',
    'ff0e::1',
  ])('%s', (address) => {
    const family = address.includes(':') ? 6 : 4;
    const own = family === 4 ? V4 : V6;
    expect(parseService(service('a', address)).get(family)).toBeUndefined();
    const base = service('a', own, { type: 'LoadBalancer', externalIPs: [address] });
    const object = { ...base, status: { loadBalancer: { ingress: [{ ip: address }] } } };
    const policy = parseService(object).get(family)?.ports[0]?.policy;
    expect([policy?.externalIPs, policy?.loadBalancerIPs]).toEqual([[], []]);
    expect(serviceProblems(object)).toHaveLength(1);
  });

  test.each([
    '1.0.0.1',
    '126.255.255.255',
    '169.253.0.1',
    '223.255.255.255',
    '240.0.0.1',
    '64:ff9b::1',
    'fe00::1',
    'fec0::1',
    'fd00::1',
    'ff::1',
  ])('but not %s', (address) => {
    const family = address.includes(':') ? 6 : 4;
    expect(parseService(service('a', address)).get(family)?.ports[0]?.clusterIP).toBe(address);
    expect(serviceProblems(service('a', address))).toEqual([]);
  });
});

describe('addresses from outside', () => {
  const policyOf = (spec: Parameters<typeof service>[2], ingress = [{}]) =>
    parseService({ ...service('a', V4, spec), status: { loadBalancer: { ingress } } }).get(4)
      ?.ports[0]?.policy;

  test.each([
    { name: 'by family', externalIPs: ['203.0.113.7', '2001:db8::7'], want: ['203.0.113.7'] },
    { name: 'sloppy, once', externalIPs: ['203.0.113.007', '203.0.113.7'], want: ['203.0.113.7'] },
    { name: 'bad ones left out', externalIPs: ['', 'x', '203.0.113.8'], want: ['203.0.113.8'] },
  ])('externalIPs $name', ({ externalIPs, want }) => {
    expect(policyOf({ externalIPs })?.externalIPs).toEqual(want);
  });

  test.each([
    { name: 'without mode', ingress: { ip: '203.0.113.1' }, want: ['203.0.113.1'] },
    { name: 'VIP', ingress: { ip: '203.0.113.1', ipMode: 'VIP' }, want: ['203.0.113.1'] },
    { name: 'Proxy', ingress: { ip: '203.0.113.1', ipMode: 'Proxy' }, want: [] },
    { name: 'hostname', ingress: { hostname: 'lb' }, want: [] },
    { name: 'other family', ingress: { ip: '2001:db8::1' }, want: [] },
  ])('ingress $name', ({ ingress, want }) => {
    expect(policyOf({ type: 'LoadBalancer' }, [ingress])?.loadBalancerIPs).toEqual(want);
  });

  test.each([
    { name: 'blanks', ranges: [' 203.0.113.0/25 '], want: ['203.0.113.0/25'] },
    { name: 'sloppy', ranges: ['203.0.113.000/025'], want: ['203.0.113.0/25'] },
    { name: 'by family', ranges: ['2001:db8::/32', '203.0.113.0/24'], want: ['203.0.113.0/24'] },
    { name: 'all addresses', ranges: ['203.0.113.0/24', '0.0.0.0/0'], want: [] },
    {
      name: 'all of the other family',
      ranges: ['203.0.113.0/24', '::/0'],
      want: ['203.0.113.0/24'],
    },
  ])('source ranges: $name', ({ ranges, want }) => {
    expect(policyOf({ loadBalancerSourceRanges: ranges })?.sourceRanges).toEqual(want);
  });
});

describe('policies', () => {
  test.each([
    { name: 'default', spec: {}, internal: false, external: false },
    {
      name: 'iTP Local',
      spec: { internalTrafficPolicy: 'Local' },
      internal: true,
      external: false,
    },
    {
      name: 'eTP Local is nothing for a ClusterIP Service',
      spec: { externalTrafficPolicy: 'Local' },
      internal: false,
      external: false,
    },
    {
      name: 'eTP Local with externalIPs',
      spec: { externalTrafficPolicy: 'Local', externalIPs: ['203.0.113.7'] },
      internal: false,
      external: true,
    },
    {
      name: 'eTP Local NodePort',
      spec: { externalTrafficPolicy: 'Local', type: 'NodePort' },
      internal: false,
      external: true,
    },
  ] as const)('$name', ({ spec, internal, external }) => {
    expect(parseService(service('a', V4, spec)).get(4)?.ports[0]?.policy).toMatchObject({
      isInternalLocal: internal,
      isExternalLocal: external,
    });
  });

  test.each([
    { name: 'none', spec: {}, want: undefined },
    { name: 'default time', spec: { sessionAffinity: 'ClientIP' }, want: 10_800 },
    {
      name: 'own time',
      spec: {
        sessionAffinity: 'ClientIP',
        sessionAffinityConfig: { clientIP: { timeoutSeconds: 60 } },
      },
      want: 60,
    },
  ] as const)('affinity: $name', ({ spec, want }) => {
    expect(parseService(service('a', V4, spec)).get(4)?.ports[0]?.policy.affinitySeconds).toBe(
      want,
    );
  });

  test.each([
    { type: 'LoadBalancer', externalTrafficPolicy: 'Local', want: 32_000 },
    { type: 'LoadBalancer', externalTrafficPolicy: 'Cluster', want: undefined },
    { type: 'NodePort', externalTrafficPolicy: 'Local', want: undefined },
  ] as const)('health check of $type, $externalTrafficPolicy', ({ want, ...spec }) => {
    const object = service('a', V4, { ...spec, healthCheckNodePort: 32_000 });
    expect(parseService(object).get(4)?.ports[0]?.policy.healthCheckNodePort).toBe(want);
  });

  test.each([
    { name: 'ClusterIP', spec: {}, want: [false, true, false] },
    { name: 'iTP Local', spec: { internalTrafficPolicy: 'Local' }, want: [false, false, true] },
    {
      name: 'iTP Local with externalIPs',
      spec: { internalTrafficPolicy: 'Local', externalIPs: ['203.0.113.7'] },
      want: [true, true, true],
    },
    {
      name: 'eTP Local of a load balancer without address',
      spec: { type: 'LoadBalancer', externalTrafficPolicy: 'Local' },
      want: [false, true, false],
    },
  ] as const)('endpoints needed: $name', ({ spec, want }) => {
    const [port] = parseService(service('a', V4, spec)).get(4)?.ports ?? [];
    expect(
      port && [isExternallyAccessible(port), usesClusterEndpoints(port), usesLocalEndpoints(port)],
    ).toEqual(want);
  });
});
