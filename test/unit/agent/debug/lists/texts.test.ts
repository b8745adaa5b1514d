import { describe, expect, test } from 'vitest';
import {
  serviceDetailText,
  servicesText,
} from '../../../../../src/agent/debug/lists/services-text.ts';
import {
  addressesText,
  endpointsText,
  nodesText,
  podsText,
} from '../../../../../src/agent/debug/lists/text.ts';
import type {
  ListedAddress,
  ListedEndpoint,
  ListedPod,
  NodesAnswer,
  ServiceDetail,
} from '../../../../../src/agent/debug/lists/values.ts';
import { parseCidr } from '../../../../../src/net/cidr.ts';
import { parseIP } from '../../../../../src/net/ip.ts';
import { START_MS } from './facts.ts';

const NARROW = { isWide: false, nowMs: START_MS };
const WIDE = { isWide: true, nowMs: START_MS };
const before = (seconds: number) => new Date(START_MS - seconds * 1000).toISOString();
const NONE = { noEndpoints: 0, noLocalEndpoints: 0, sourceRange: 0 };

const PODS: readonly ListedPod[] = [
  {
    ...{ namespace: '', name: '', container: '0123456789abcdef', since: before(30) },
    interfaces: [
      {
        ...{ name: 'eth0', network: 'weft', addresses: [parseIP('10.0.0.9')] },
        ...{ hostInterface: 'veth00000009', isUnfinished: true },
      },
    ],
  },
  {
    ...{ namespace: 'shop', name: 'web', uid: 'u', container: 'c1', since: before(7300) },
    interfaces: [
      {
        ...{ name: 'eth0', network: 'weft', hostInterface: 'veth00000001', isUnfinished: false },
        addresses: [parseIP('10.0.0.2'), parseIP('fd00::2')],
        ...{ bridge: 'weft0', mtu: 1450 },
      },
    ],
  },
];

const endpoint: Omit<ListedEndpoint, 'ip'> = {
  ...{ namespace: 'shop', service: 'web', portName: 'http', protocol: 'tcp', family: 4 },
  ...{ port: 8080, isLocal: true, state: 'ready', usedBy: 'everybody' },
};
const ENDPOINTS: readonly ListedEndpoint[] = [
  { ...endpoint, ip: parseIP('10.0.0.2'), node: 'node-a', pod: 'shop/web', connections: 5 },
  {
    ...{ ...endpoint, ip: parseIP('10.0.1.3'), node: 'node-b', isLocal: false, connections: 0 },
    ...{ usedBy: 'cluster', leftOut: 'otherNode' },
  },
  {
    ...{ ...endpoint, ip: parseIP('10.0.1.4'), node: 'node-b', isLocal: false, connections: 0 },
    ...{ state: 'notReady', usedBy: 'nobody', leftOut: 'notReady' },
  },
  {
    ...{ ...endpoint, ip: parseIP('fd00::2'), family: 6, usedBy: 'nobody', leftOut: 'otherFamily' },
  },
];

const SERVICE: ServiceDetail = {
  ...{ namespace: 'shop', name: 'web', isPending: true, connections: 7 },
  refused: { ...NONE, sourceRange: 2 },
  ...{ internalTrafficPolicy: 'Cluster', externalTrafficPolicy: 'Local' },
  ...{ affinitySeconds: 10_800, healthCheckNodePort: 31000 },
  sourceRanges: [parseCidr('192.0.2.0/24')],
  ports: [
    {
      ...{ name: 'http', family: 4, protocol: 'tcp', port: 80 },
      frontends: [
        {
          ...{ kind: 'clusterIP', ip: parseIP('172.30.0.1'), port: 80, connections: 7 },
          refused: NONE,
        },
        {
          ...{ kind: 'loadBalancerIP', ip: parseIP('203.0.113.1'), port: 80, connections: 0 },
          refused: { ...NONE, sourceRange: 2 },
        },
        { kind: 'externalIP', ip: parseIP('198.51.100.1'), port: 80, takenBy: 'shop/api' },
        { kind: 'nodePort', port: 30080, connections: 0, refused: NONE },
      ],
      endpoints: { used: 2, total: 3 },
    },
  ],
  endpoints: ENDPOINTS,
};

const path = {
  family: 4,
  mtu: 1450,
  wanted: 1450,
  roundTripMs: 0.51,
  probedAt: before(90),
} as const;
const NODES: NodesAnswer = {
  ...{ total: 4, backend: 'auto', mtu: 1450 },
  items: [
    {
      ...{ name: 'node-a', isThis: true, addresses: [], way: 'own', paths: [], problems: [] },
      podCIDRs: [parseCidr('10.0.0.0/24')],
    },
    {
      ...{ name: 'node-b', isThis: false, addresses: [parseIP('192.168.0.2')], way: 'direct' },
      podCIDRs: [parseCidr('10.0.1.0/24'), parseCidr('fd00:1::/64')],
      paths: [
        { ...path, target: parseIP('10.0.1.0') },
        { ...path, family: 6, target: parseIP('fd00:1::'), mtu: 0 },
      ],
      problems: [],
    },
    {
      ...{ name: 'node-c', isThis: false, addresses: [parseIP('192.168.9.3')] },
      ...{ way: 'unreachable', podCIDRs: [parseCidr('10.0.2.0/24')], paths: [] },
      problems: ['no route leads to 192.168.9.3'],
    },
    {
      ...{ name: 'node-d', isThis: false, addresses: [], way: 'none', podCIDRs: [] },
      ...{ paths: [], problems: [] },
    },
  ],
};

const ADDRESSES: readonly ListedAddress[] = [
  {
    ...{ ip: parseIP('10.0.0.2'), network: 'weft', container: 'c1', interface: 'eth0' },
    ...{ pod: 'shop/web', since: before(60) },
  },
  {
    ...{ ip: parseIP('10.0.0.2'), network: 'weft', container: 'c-7', interface: 'eth0' },
    ...{ pod: 'shop/cart', since: before(9000), until: before(120), isUntilLate: true },
  },
  { ip: parseIP('fd00:10:244:3::1f'), network: 'weft', container: '0123456789abcdef' },
];

const TEXTS: Readonly<Record<string, string>> = {
  pods: podsText(PODS, NARROW),
  'pods-wide': podsText(PODS, WIDE),
  services: servicesText([SERVICE], NARROW),
  'services-wide': servicesText([SERVICE], WIDE),
  service: serviceDetailText(SERVICE, NARROW),
  endpoints: endpointsText(ENDPOINTS, NARROW),
  'endpoints-wide': endpointsText(ENDPOINTS, WIDE),
  nodes: nodesText(NODES, NARROW),
  'nodes-wide': nodesText(NODES, WIDE),
  ips: addressesText(ADDRESSES, NARROW),
  'ips-wide': addressesText(ADDRESSES, WIDE),
};

describe('lists on a terminal', () => {
  test.each(Object.keys(TEXTS))('%s', async (name) => {
    await expect(TEXTS[name]).toMatchFileSnapshot(`texts/${name}.txt`);
  });

  test.each(Object.keys(TEXTS).filter((name) => !name.endsWith('-wide')))(
    '%s fits 80 columns',
    (name) => {
      const long = TEXTS[name]?.split('\n').filter((line) => line.length > 80);
      expect(long).toEqual([]);
    },
  );

  test('nothing is said in words', () => {
    expect(podsText([], NARROW)).toBe('no pod of this node is on record\n');
    expect(servicesText([], NARROW)).toBe('no Service matches\n');
    expect(endpointsText([], NARROW)).toBe('no endpoint matches\n');
    expect(addressesText([], NARROW)).toBe('no address matches\n');
  });
});
