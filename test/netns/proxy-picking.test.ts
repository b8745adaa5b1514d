import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import type { EndpointSlice, Service } from '../../src/kube/types.ts';
import type { ServiceProxy } from '../../src/proxy/service-proxy.ts';
import { createProxyLab, type ProxyLab } from '../support/proxy-lab.ts';
import { service, slice } from '../support/proxy-objects.ts';
import { type ProbeTarget, probe } from '../support/workloads.ts';

let lab: ProxyLab;
let proxy: ServiceProxy;

beforeAll(async () => {
  lab = await createProxyLab();
});

afterAll(() => lab.remove());

afterEach(async () => {
  await proxy.stop();
  // What clients are remembered by is no business of the next test.
  lab.node.run('nft', 'flush', 'ruleset');
});

const families = [
  {
    name: 'IPv4',
    table: 'ip',
    vip: '172.30.0.1',
    pods: ['10.1.0.3', '10.1.0.4', '10.2.0.2'],
    outer: '203.0.113.1',
  },
  {
    name: 'IPv6',
    table: 'ip6',
    vip: 'fd00:172::1',
    pods: ['fd00:10:1::3', 'fd00:10:1::4', 'fd00:10:2::2'],
    outer: '2001:db8::1',
  },
] as const;

const ports = [
  { name: 'http', protocol: 'TCP', port: 80, nodePort: 30080 },
  { name: 'dns', protocol: 'UDP', port: 53, nodePort: 30053 },
] as const;
const targets = [
  { name: 'http', protocol: 'TCP', port: 8080 },
  { name: 'dns', protocol: 'UDP', port: 8080 },
] as const;
const affinity = {
  sessionAffinity: 'ClientIP',
  sessionAffinityConfig: { clientIP: { timeoutSeconds: 600 } },
} as const;

async function start(object: Service, endpoints: EndpointSlice): Promise<void> {
  proxy = lab.proxy();
  proxy.apply({ kind: 'service', now: object });
  proxy.apply({ kind: 'slice', now: endpoints });
  proxy.setSynced();
  await proxy.sync();
}

/** The servers that answered, each with its number of connections. */
async function served(from: 'client' | 'outside', target: ProbeTarget) {
  const { servers, errors } = await probe(lab[from].path, target);
  expect(errors).toEqual({});
  return servers;
}

describe.each(families)('$name', ({ table, vip, pods, outer }) => {
  const [first, second] = pods;
  const web = (annotations: Record<string, string>, spec: Partial<Service['spec']> = {}) => {
    const object = service('web', vip, { type: 'NodePort', ports, ...spec });
    return { ...object, metadata: { ...object.metadata, annotations } };
  };
  const slices = (...endpoints: readonly string[]) =>
    slice({ service: 'web', endpoints, ports: targets });

  describe('session affinity', () => {
    test('holds for UDP, and for clients outside', async () => {
      await start(web({}, affinity), slices(first, second));
      const target = { protocol: 'udp', host: outer, port: 30053, count: 12 } as const;
      expect(Object.values(await served('outside', target))).toEqual([12]);
    });

    test('is renewed by each connection', async () => {
      await start(web({}, affinity), slices(...pods));
      const target = { host: vip, port: 80, count: 3 };
      await served('client', target);
      const listing = lab.node.run('nft', 'list', 'map', table, 'weft-proxy', 'affinity');
      expect(listing.match(/timeout 10m expires 9m5/g)).toHaveLength(1);
    });

    test('a restart remembers, with numbers of its own left as they are', async () => {
      await start(web({}, affinity), slices(...pods));
      const target = { host: vip, port: 80, count: 6 };
      const before = await served('client', target);
      await proxy.stop();
      await start(web({}, affinity), slices(...pods));
      expect(await served('client', target)).toEqual(before);
    });

    test('goes when it is switched off', async () => {
      await start(web({}, affinity), slices(first, second));
      await served('client', { host: vip, port: 80 });
      proxy.apply({ kind: 'service', now: web({}) });
      await proxy.sync();
      const servers = await served('client', { host: vip, port: 80, count: 60 });
      expect(Object.keys(servers).sort()).toEqual(['a', 'b']);
    });
  });

  test.each([
    { spec: {}, name: 'alone' },
    { spec: affinity, name: 'with affinity' },
  ])('a source hash sends a client to one endpoint: $name', async ({ spec }) => {
    await start(web({ 'weft.dev/balance': 'source-hash' }, spec), slices(...pods));
    const servers = await served('client', { host: vip, port: 80, count: 20 });
    expect(Object.values(servers)).toEqual([20]);
    const viaNodePort = await served('client', { host: outer, port: 30080, count: 5 });
    expect(Object.keys(viaNodePort)).toEqual(Object.keys(servers));
  });
});
