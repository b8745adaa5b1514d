import { afterEach, describe, expect, test } from 'vitest';
import { page } from '../../../../../src/agent/debug/lists/page.ts';
import {
  listedService,
  type ServiceFacts,
  serviceDetail,
} from '../../../../../src/agent/debug/lists/services.ts';
import type { EndpointSlice, Service } from '../../../../../src/kube/types.ts';
import { parseIP } from '../../../../../src/net/ip.ts';
import { ipBytes, portBytes, protocolBytes } from '../../../../../src/nftables/bytes.ts';
import { seriesKey } from '../../../../../src/proxy/counters/series.ts';
import { serviceCounts } from '../../../../../src/proxy/counters/service-counts.ts';
import { ServiceProxy } from '../../../../../src/proxy/service-proxy.ts';
import { FakeClock } from '../../../../support/fake-clock.ts';
import { fakeProxyOptions } from '../../../../support/fake-proxier.ts';
import { FakeKernel } from '../../../../support/fake-table.ts';
import { service, slice } from '../../../../support/proxy-objects.ts';
import { until } from '../../../../support/until.ts';

let proxy: ServiceProxy | undefined;
afterEach(() => proxy?.stop());

/** What a proxy of both families that has synced these objects knows, on `node-a`. */
async function factsOf(
  services: readonly Service[],
  slices: readonly EndpointSlice[] = [],
  counts?: ServiceFacts['counts'],
): Promise<ServiceFacts> {
  const clock = new FakeClock();
  const started = new ServiceProxy({
    families: [4, 6],
    ...fakeProxyOptions(new FakeKernel().open),
    clock,
  });
  proxy = started;
  for (const now of services) started.apply({ kind: 'service', now });
  for (const now of slices) started.apply({ kind: 'slice', now });
  started.setSynced();
  clock.advance(0);
  const isCommitted = () =>
    [...started.snapshots().values()].every(({ pending }) => pending.size === 0);
  await until('all is committed', isCommitted);
  const podAt = (ip: string) => (ip === '10.1.0.2' ? 'ns/web-1' : undefined);
  return { snapshots: started.snapshots(), counts, podAt };
}

const LOAD_BALANCER = {
  type: 'LoadBalancer',
  externalTrafficPolicy: 'Local',
  healthCheckNodePort: 31000,
  loadBalancerSourceRanges: ['192.0.2.0/24'],
  externalIPs: ['198.51.100.1'],
  ports: [{ name: 'http', protocol: 'TCP', port: 80, nodePort: 30080 }],
} as const;

describe('a Service', () => {
  test('has its frontends, policies and endpoints', async () => {
    const web: Service = {
      ...service('web', '172.30.0.1', LOAD_BALANCER),
      status: { loadBalancer: { ingress: [{ ip: '203.0.113.1' }] } },
    };
    const endpoints = [
      { ip: '10.1.0.2', nodeName: 'node-a', zone: 'a' },
      { ip: '10.1.0.3', nodeName: 'node-b', conditions: { ready: false } },
    ];
    const facts = await factsOf([web], [slice({ service: 'web', endpoints })]);
    expect(serviceDetail('ns/web', facts)).toEqual({
      namespace: 'ns',
      name: 'web',
      isPending: false,
      internalTrafficPolicy: 'Cluster',
      externalTrafficPolicy: 'Local',
      healthCheckNodePort: 31000,
      sourceRanges: ['192.0.2.0/24'],
      ports: [
        {
          ...{ name: 'http', family: 4, protocol: 'tcp', port: 80 },
          frontends: [
            { kind: 'clusterIP', ip: '172.30.0.1', port: 80 },
            { kind: 'loadBalancerIP', ip: '203.0.113.1', port: 80 },
            { kind: 'externalIP', ip: '198.51.100.1', port: 80 },
            { kind: 'nodePort', port: 30080 },
          ],
          endpoints: { used: 1, total: 2 },
        },
      ],
      endpoints: [
        {
          ...{ namespace: 'ns', service: 'web', portName: 'http', protocol: 'tcp', family: 4 },
          ...{ ip: '10.1.0.2', port: 8080, pod: 'ns/web-1', node: 'node-a', zone: 'a' },
          ...{ isLocal: true, state: 'ready', usedBy: 'everybody' },
        },
        {
          ...{ namespace: 'ns', service: 'web', portName: 'http', protocol: 'tcp', family: 4 },
          ...{ ip: '10.1.0.3', port: 8080, node: 'node-b', isLocal: false },
          ...{ state: 'notReady', usedBy: 'nobody', leftOut: 'notReady' },
        },
      ],
    });
  });

  test('knows what was counted for it, and nothing of a frontend that another has', async () => {
    const taken = { externalIPs: ['198.51.100.1'] };
    const older = service('api', '172.30.0.2', taken);
    const frontend = ipBytes(parseIP('172.30.0.1')) + protocolBytes('tcp') + portBytes(80);
    const port = 'ns/web:http';
    const endpoint = protocolBytes('tcp') + ipBytes(parseIP('10.1.0.2')) + portBytes(8080);
    const reason = undefined;
    const totals = new Map([
      [seriesKey({ kind: 'service', port, reason, bytes: frontend }), 7],
      [seriesKey({ kind: 'refused', port, reason: 'source_range', bytes: frontend }), 2],
      [seriesKey({ kind: 'endpoint', port, reason, bytes: endpoint }), 5],
    ]);
    const facts = await factsOf(
      [older, service('web', '172.30.0.1', taken)],
      [slice({ service: 'web', endpoints: ['10.1.0.2'] })],
      serviceCounts(new Map([[4, totals]]), true),
    );
    const found = serviceDetail('ns/web', facts);
    const refused = { noEndpoints: 0, noLocalEndpoints: 0, sourceRange: 2 };
    expect(found).toMatchObject({ connections: 7, refused });
    expect(found?.ports[0]?.frontends).toEqual([
      { kind: 'clusterIP', ip: '172.30.0.1', port: 80, connections: 7, refused },
      { kind: 'externalIP', ip: '198.51.100.1', port: 80, takenBy: 'ns/api' },
    ]);
    expect(found?.endpoints[0]?.connections).toBe(5);
  });

  test('of one family leaves out what slices of the other list', async () => {
    const slices = [
      slice({ service: 'web', endpoints: ['10.1.0.2'] }),
      slice({ service: 'web', suffix: '6', endpoints: ['fd00::2'] }),
    ];
    const facts = await factsOf([service('web', '172.30.0.1')], slices);
    expect(serviceDetail('ns/web', facts)?.endpoints).toMatchObject([
      { ip: '10.1.0.2', usedBy: 'everybody' },
      { ip: 'fd00::2', family: 6, usedBy: 'nobody', leftOut: 'otherFamily' },
    ]);
  });

  test('that is not served is not there', async () => {
    const facts = await factsOf([service('web', 'None')]);
    expect(serviceDetail('ns/web', facts)).toBeUndefined();
    expect(listedService('ns/other', facts)).toBeUndefined();
  });
});

describe('a long list', () => {
  const keys = () => ['d', 'a', 'c', 'e', 'b'];

  test('comes in parts, in the order of its keys', async () => {
    const once = (key: string) => [key];
    const first = await page(keys, { after: undefined, limit: 2 }, once);
    expect(first).toEqual({ items: ['a', 'b'], total: 5, next: 'b' });
    const last = await page(keys, { after: 'c', limit: 2 }, once);
    expect(last).toEqual({ items: ['d', 'e'], total: 5 });
    expect(await page(keys, { after: 'e', limit: 2 }, once)).toEqual({ items: [], total: 5 });
  });

  test('of any length is whole when all parts are had', async () => {
    const many = Array.from({ length: 2_000 }, (_, i) => `key ${(i * 7919) % 2_000}`);
    const found: string[] = [];
    for (let after: string | undefined; ; ) {
      const part = await page(
        () => many,
        { after, limit: 700 },
        (key) => [key],
      );
      found.push(...part.items);
      after = part.next;
      if (after === undefined) break;
    }
    expect(found).toEqual(many.toSorted());
    const rare = (key: string) => (key === 'key 999' ? [key] : []);
    expect((await page(() => many, { after: undefined, limit: 1 }, rare)).items).toEqual([
      'key 999',
    ]);
  });

  test('never splits what a key has, and passes over keys without anything', async () => {
    const some = (key: string) => (key === 'a' ? [] : [key, key]);
    const first = await page(keys, { after: undefined, limit: 3 }, some);
    expect(first).toEqual({ items: ['b', 'b', 'c', 'c'], total: 5, next: 'c' });
  });
});
