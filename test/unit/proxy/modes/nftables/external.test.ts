import { describe, expect, test } from 'vitest';
import type { Service } from '../../../../../src/kube/types.ts';
import { parseCidr } from '../../../../../src/net/cidr.ts';
import { parseIP } from '../../../../../src/net/ip.ts';
import { frontendElements, startFakeProxier, tell } from '../../../../support/fake-proxier.ts';
import { FakeKernel } from '../../../../support/fake-table.ts';
import { type EndpointText, service, slice } from '../../../../support/proxy-objects.ts';

const VIP = '172.30.0.1 tcp 80';
const BALANCER = '198.51.100.1 tcp 80';
const EXTERNAL = '198.51.100.2 tcp 80';
const NODE_PORT = 'tcp 30080';

/** A load balancer's Service with all kinds of frontends. */
function web(spec: Partial<Service['spec']>): Service {
  const object = service('web', '172.30.0.1', {
    type: 'LoadBalancer',
    ports: [{ name: 'http', protocol: 'TCP', port: 80, nodePort: 30_080 }],
    externalIPs: ['198.51.100.2'],
    ...spec,
  });
  return { ...object, status: { loadBalancer: { ingress: [{ ip: '198.51.100.1' }] } } };
}

const here: EndpointText = { ip: '10.0.0.1', nodeName: 'node-a' };
const there: EndpointText = { ip: '10.0.0.2', nodeName: 'node-b' };
const endpoints = (...list: readonly EndpointText[]) => slice({ service: 'web', endpoints: list });
const local = { externalTrafficPolicy: 'Local' } as const;
const ranges = (...list: readonly string[]) => ({ loadBalancerSourceRanges: list });

const refused = ['no-endpoint-services goto reject-chain'];
const masqueraded = ['masqueraded-services goto masquerade-all'];
const balanced = ['service-ips goto n2', ...masqueraded, 'endpoints 10.0.0.1 10.0.0.2'];

const rows: readonly {
  readonly name: string;
  readonly spec?: Partial<Service['spec']>;
  readonly endpoints?: readonly EndpointText[];
  readonly frontend: string;
  readonly want: readonly string[];
}[] = [
  {
    name: 'clusterIP',
    frontend: VIP,
    want: ['service-ips goto n2', 'endpoints 10.0.0.1 10.0.0.2'],
  },
  { name: 'load balancer', frontend: BALANCER, want: balanced },
  { name: 'external IP', frontend: EXTERNAL, want: balanced },
  {
    name: 'NodePort',
    frontend: NODE_PORT,
    want: [
      'service-nodeports goto p2',
      'masqueraded-nodeports goto masquerade-all',
      'nodeport-endpoints 10.0.0.1 10.0.0.2',
    ],
  },
  { name: 'nobody', endpoints: [], frontend: BALANCER, want: [...masqueraded, ...refused] },
  {
    name: 'external Local, clusterIP',
    spec: local,
    frontend: VIP,
    want: ['service-ips goto n2', 'endpoints 10.0.0.1 10.0.0.2'],
  },
  {
    name: 'external Local, some here',
    spec: local,
    frontend: EXTERNAL,
    want: [
      'service-ips goto check-clients',
      'checked-services goto n2',
      'outside-services goto l1',
      'masqueraded-services goto masquerade-node',
      'endpoints 10.0.0.1 10.0.0.2',
      'local-endpoints 10.0.0.1',
    ],
  },
  {
    name: 'external Local, none here',
    spec: local,
    endpoints: [there],
    frontend: EXTERNAL,
    want: [
      'service-ips goto check-clients',
      'checked-services goto n1',
      'outside-services goto refused-services',
      'masqueraded-services goto masquerade-node',
      'no-endpoint-services drop',
      'endpoints 10.0.0.2',
    ],
  },
  {
    name: 'external Local, nobody anywhere',
    spec: local,
    endpoints: [],
    frontend: EXTERNAL,
    want: [
      'service-ips goto check-clients',
      'outside-services goto refused-services',
      'masqueraded-services goto masquerade-node',
      ...refused,
    ],
  },
  {
    name: 'external Local, NodePort',
    spec: local,
    frontend: NODE_PORT,
    want: [
      'service-nodeports goto check-nodeport-clients',
      'checked-nodeports goto p2',
      'outside-nodeports goto q1',
      'masqueraded-nodeports goto masquerade-node',
      'nodeport-endpoints 10.0.0.1 10.0.0.2',
      'local-nodeport-endpoints 10.0.0.1',
    ],
  },
  {
    name: 'source ranges',
    spec: ranges('203.0.113.0/24', '192.0.2.7/32'),
    frontend: BALANCER,
    want: [
      'source-ranges 203.0.113.0-203.0.113.255 192.0.2.7-192.0.2.7',
      'service-ips goto check-clients',
      'checked-services goto n2',
      'rejected-sources drop',
      ...masqueraded,
      'endpoints 10.0.0.1 10.0.0.2',
    ],
  },
  {
    name: 'source ranges, external IP',
    spec: ranges('203.0.113.0/24'),
    frontend: EXTERNAL,
    want: balanced,
  },
  {
    name: 'source ranges, nobody',
    spec: ranges('203.0.113.0/24'),
    endpoints: [],
    frontend: BALANCER,
    want: [
      'source-ranges 203.0.113.0-203.0.113.255',
      'service-ips goto check-clients',
      'rejected-sources drop',
      ...masqueraded,
      ...refused,
    ],
  },
];

describe('frontends', () => {
  test.each(rows)(
    '$name',
    async ({ spec = {}, endpoints: list = [here, there], frontend, want }) => {
      const kernel = new FakeKernel();
      const objects = { services: [web(spec)], slices: [endpoints(...list)] };
      await using _ = await startFakeProxier(kernel, objects);
      expect(frontendElements(kernel, frontend)).toEqual(want);
    },
  );
});

describe('operations per change', () => {
  // Three addresses and a NodePort, so each change is counted for four frontends.
  test.each([
    { name: 'an endpoint elsewhere is replaced', spec: local, after: [here, '10.0.0.9'], want: 8 },
    // Per frontend: the slot, the verdict twice; and local ones for three, where there is no count.
    {
      name: 'an endpoint elsewhere comes',
      spec: local,
      after: [here, there, '10.0.0.9'],
      want: 12,
    },
    { name: 'a client range comes', spec: ranges('203.0.113.0/24', '192.0.2.0/24'), want: 1 },
    { name: 'a client range grows', spec: ranges('203.0.0.0/16'), want: 2 },
  ])('$name', async ({ spec, after = [here, there], want }) => {
    const kernel = new FakeKernel();
    const before = 'loadBalancerSourceRanges' in spec ? ranges('203.0.113.0/24') : spec;
    const objects = { services: [web(before)], slices: [endpoints(here, there)] };
    await using fake = await startFakeProxier(kernel, objects);
    tell(fake.proxier, { kind: 'service', now: web(spec) });
    tell(fake.proxier, { kind: 'slice', now: endpoints(...after) });
    await fake.sync();
    expect([kernel.operations, kernel.changes.length]).toEqual([want, 1]);
  });
});

describe('what follows the node', () => {
  const node = (address: string, podCIDR = '10.0.0.0/24') => ({
    zone: undefined,
    addresses: [parseIP(address)],
    podCIDRs: [parseCidr(podCIDR)],
  });
  const rules = (kernel: FakeKernel, chain: string) =>
    JSON.stringify(kernel.chains.get(chain)?.rules ?? 'no such chain');

  test('a balancer’s own address may use it once the node’s may', async () => {
    const kernel = new FakeKernel();
    const objects = { services: [web(ranges('192.168.0.0/24'))], slices: [endpoints(here)] };
    await using fake = await startFakeProxier(kernel, { ...objects, node: node('10.9.9.9') });
    const allowed = () => frontendElements(kernel, BALANCER).find((text) => /^source/.test(text));
    expect(allowed()).toBe('source-ranges 192.168.0.0-192.168.0.255');
    fake.proxier.apply({ kind: 'node', family: 4, facts: node('192.168.0.7') });
    await fake.sync();
    expect(allowed()).toBe('source-ranges 192.168.0.0-192.168.0.255 198.51.100.1-198.51.100.1');
  });

  test('pod networks decide who is outside, in one transaction without elements', async () => {
    const kernel = new FakeKernel();
    const objects = { services: [web(local)], slices: [endpoints(here)] };
    const options = { localDetection: { kind: 'nodeCIDRs' } as const };
    await using fake = await startFakeProxier(
      kernel,
      { ...objects, node: node('10.9.9.9') },
      options,
    );
    const before = rules(kernel, 'outside-clients');
    fake.proxier.apply({ kind: 'node', family: 4, facts: node('10.9.9.9', '10.7.0.0/24') });
    await fake.sync();
    expect([kernel.operations, kernel.changes.length]).toEqual([0, 1]);
    expect(rules(kernel, 'outside-clients')).not.toBe(before);
  });

  test('clusterIPs that nobody has are dropped in the networks they are given from', async () => {
    const kernel = new FakeKernel();
    await using fake = await startFakeProxier(kernel, { services: [web({})] });
    expect(rules(kernel, 'unallocated-cluster-ips')).toBe('[]');
    tell(fake.proxier, {
      kind: 'serviceCIDRs',
      cidrs: ['172.30.0.0/16', 'fd00:172::/112'].map(parseCidr),
    });
    await fake.sync();
    expect(kernel.chains.get('unallocated-cluster-ips')?.rules).toHaveLength(1);
    expect(kernel.operations).toBe(0);
  });

  test('a table for other NodePort addresses takes the place of the one in use', async () => {
    const kernel = new FakeKernel();
    let hasNodeObjects = false;
    const objects = { services: [web({})], slices: [endpoints(here)] };
    const options = { hasNodeObjects: () => hasNodeObjects };
    await using fake = await startFakeProxier(
      kernel,
      { ...objects, node: node('10.9.9.9') },
      options,
    );
    expect(kernel.sets.has('nodeport-ips')).toBe(false);
    hasNodeObjects = true;
    await fake.sync();
    expect(kernel.elements('nodeport-ips')).toHaveLength(1);
    expect(kernel.changes).toHaveLength(1);
  });
});

test.each([
  { before: '203.0.113.0/24', after: '203.0.113.7/32' },
  { before: '203.0.113.7/32', after: '203.0.0.0/16' },
])('after a pause $after takes the place of $before', async ({ before, after }) => {
  const kernel = new FakeKernel();
  const first = await startFakeProxier(kernel, { services: [web(ranges(before))] });
  await first.proxier.stop();
  await using _ = await startFakeProxier(kernel, { services: [web(ranges(after))] });
  expect(kernel.elements('source-ranges')).toHaveLength(1);
});
