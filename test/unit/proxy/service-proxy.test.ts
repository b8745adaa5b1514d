import { afterEach, describe, expect, test } from 'vitest';
import { TRIGGER_TIME_ANNOTATION } from '../../../src/kube/resources.ts';
import type { Node, Service } from '../../../src/kube/types.ts';
import { parseIP } from '../../../src/net/ip.ts';
import { ipBytes, portBytes, protocolBytes, readIPBytes } from '../../../src/nftables/bytes.ts';
import type { ProxyMetrics } from '../../../src/proxy/metrics.ts';
import { ServiceProxy, type ServiceProxyOptions } from '../../../src/proxy/service-proxy.ts';
import { createLogger } from '../../../src/util/log.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { fakeProxyOptions } from '../../support/fake-proxier.ts';
import { FakeKernel } from '../../support/fake-table.ts';
import { service, slice } from '../../support/proxy-objects.ts';

const VIP = '172.30.0.1';
const VIP6 = 'fd00:172::1';
let proxy: ServiceProxy;

afterEach(() => proxy.stop());

/** A dual-stack proxy over two fake tables. */
function start(options: Partial<ServiceProxyOptions> = {}) {
  const kernels = { ip: new FakeKernel(), ip6: new FakeKernel() };
  proxy = new ServiceProxy({
    families: [4, 6],
    ...fakeProxyOptions((definition) =>
      (definition.table.family === 'ip' ? kernels.ip : kernels.ip6).open(definition),
    ),
    localDetection: undefined,
    hasNodeObjects: () => true,
    ...options,
  });
  return kernels;
}

function route(kernel: FakeKernel, ip: string): string {
  const found = kernel.route(
    'address',
    ipBytes(parseIP(ip)) + protocolBytes('tcp') + portBytes(80),
  );
  if (typeof found !== 'object') return found ?? 'nowhere';
  return found.map((target) => readIPBytes(target, 0, ip.includes(':') ? 6 : 4)).join(' ');
}

const dual = service('web', VIP, {
  clusterIPs: [VIP, VIP6],
  ipFamilies: ['IPv4', 'IPv6'],
});
const nodeObject = (name: string, ...addresses: readonly string[]): Node => ({
  metadata: { name, namespace: '' },
  status: { addresses: addresses.map((address) => ({ type: 'InternalIP', address })) },
});

test('each family has its own table', async () => {
  const kernels = start();
  proxy.apply({ kind: 'service', now: dual });
  proxy.apply({ kind: 'slice', now: slice({ service: 'web', endpoints: ['10.0.0.1'] }) });
  proxy.apply({
    kind: 'slice',
    now: slice({ service: 'web', suffix: '6', endpoints: ['fd00:10::1'] }),
  });
  proxy.setSynced();
  await proxy.sync();
  expect([route(kernels.ip, VIP), route(kernels.ip6, VIP6)]).toEqual(['10.0.0.1', 'fd00:10::1']);
});

test('a slice that moves to another Service leaves the old one', async () => {
  const kernels = start();
  const other = '172.30.0.2';
  proxy.apply({ kind: 'service', now: service('web', VIP) });
  proxy.apply({ kind: 'service', now: service('other', other) });
  const before = slice({ service: 'web', endpoints: ['10.0.0.1'] });
  const after = {
    ...before,
    metadata: { ...before.metadata, labels: { 'kubernetes.io/service-name': 'other' } },
  };
  proxy.apply({ kind: 'slice', now: before });
  proxy.apply({ kind: 'slice', now: after, was: before });
  proxy.setSynced();
  await proxy.sync();
  expect([route(kernels.ip, VIP), route(kernels.ip, other)]).toEqual([
    'goto reject-chain',
    '10.0.0.1',
  ]);
});

test('only the own Node counts', async () => {
  const kernels = start();
  proxy.apply({ kind: 'node', now: nodeObject('node-b', '192.168.0.2') });
  proxy.apply({ kind: 'node', now: nodeObject('node-a', '192.168.0.1', 'fd00:192::1') });
  proxy.apply({ kind: 'node', was: nodeObject('node-b') });
  proxy.setSynced();
  await proxy.sync();
  const keys = [kernels.ip, kernels.ip6].map((kernel) => kernel.elements('nodeport-ips'));
  expect(keys).toEqual([
    [{ key: ipBytes(parseIP('192.168.0.1')) }],
    [{ key: ipBytes(parseIP('fd00:192::1')) }],
  ]);
});

describe('health', () => {
  test('tells since when a change waits, and when all was well last', async () => {
    const clock = new FakeClock();
    const kernels = start({ clock });
    proxy.setSynced();
    await proxy.sync();
    const syncedAt = clock.now();
    clock.advance(10);
    proxy.apply({ kind: 'service', now: service('web', VIP) });
    const queuedAt = clock.now();
    // One for the run that the change brought about, one for ours.
    kernels.ip.failures = 2;
    clock.advance(10);
    await proxy.sync().catch(() => {});
    expect(proxy.health.get(4)).toEqual({
      queuedAtMs: queuedAt,
      waitedMs: clock.now() - queuedAt,
      updatedAtMs: syncedAt,
      failure: { atMs: clock.now(), reason: 'made to fail' },
    });
    await proxy.sync();
    expect(proxy.health.get(4)).toEqual({
      queuedAtMs: undefined,
      waitedMs: 0,
      updatedAtMs: clock.now(),
    });
  });
});

describe('metrics', () => {
  function recorder() {
    const calls: [string, ...unknown[]][] = [];
    const note =
      (name: string) =>
      (...args: readonly unknown[]) => {
        calls.push([name, ...args]);
      };
    const metrics: ProxyMetrics = {
      syncFinished: note('syncFinished'),
      syncFailed: note('syncFailed'),
      cleanupFailed: note('cleanupFailed'),
      endpointsProgrammed: note('endpointsProgrammed'),
      syncQueued: note('syncQueued'),
      syncCommitted: note('syncCommitted'),
      changesTracked: note('changesTracked'),
      changesTaken: note('changesTaken'),
      withoutLocalEndpoints: note('withoutLocalEndpoints'),
    };
    const of = (name: string) =>
      calls.filter(([called]) => called === name).map(([, ...args]) => args);
    return { metrics, of };
  }

  test.each([
    { name: 'measured from the annotation', at: 500, want: [[4, 0.5]] },
    { name: 'before the start: none', at: -1, want: [] },
    { name: 'no annotation: none', at: undefined, want: [] },
  ])('time to program endpoints, $name', async ({ at, want }) => {
    const clock = new FakeClock();
    const { metrics, of } = recorder();
    const startedAt = clock.now();
    start({ clock, metrics, families: [4] });
    clock.advance(1000);
    const annotations =
      at === undefined ? {} : { [TRIGGER_TIME_ANNOTATION]: new Date(startedAt + at).toISOString() };
    proxy.apply({
      kind: 'slice',
      now: slice({ service: 'web', endpoints: ['10.0.0.1'], annotations }),
    });
    proxy.setSynced();
    await proxy.sync();
    await proxy.sync();
    expect(of('endpointsProgrammed')).toEqual(want);
  });

  test('a removed slice is not timed', async () => {
    const clock = new FakeClock();
    const { metrics, of } = recorder();
    start({ clock, metrics, families: [4] });
    const annotations = { [TRIGGER_TIME_ANNOTATION]: new Date(clock.now() + 5).toISOString() };
    const object = slice({ service: 'web', endpoints: ['10.0.0.1'], annotations });
    proxy.apply({ kind: 'slice', now: object });
    proxy.apply({ kind: 'slice', was: object });
    proxy.setSynced();
    await proxy.sync();
    expect(of('endpointsProgrammed')).toEqual([]);
  });

  test.each([
    {
      name: 'none anywhere',
      spec: { internalTrafficPolicy: 'Local' },
      endpoints: [],
      want: [0, 0],
    },
    {
      name: 'internal',
      spec: { internalTrafficPolicy: 'Local' },
      endpoints: ['10.0.0.1'],
      want: [1, 0],
    },
    {
      name: 'external',
      spec: { externalTrafficPolicy: 'Local', externalIPs: ['203.0.113.7'] },
      endpoints: ['10.0.0.1'],
      want: [0, 1],
    },
    {
      name: 'one here',
      spec: { internalTrafficPolicy: 'Local' },
      endpoints: [{ ip: '10.0.0.1', nodeName: 'node-a' }],
      want: [0, 0],
    },
  ] as const)('ports without local endpoints: $name', async ({ spec, endpoints, want }) => {
    const { metrics, of } = recorder();
    start({ metrics, families: [4] });
    proxy.apply({ kind: 'service', now: service('web', VIP, spec) });
    proxy.apply({ kind: 'slice', now: slice({ service: 'web', endpoints }) });
    proxy.setSynced();
    await proxy.sync();
    expect(of('withoutLocalEndpoints')).toEqual([
      [4, 'internal', want[0]],
      [4, 'external', want[1]],
    ]);
  });

  test('failures, full and partial syncs', async () => {
    const { metrics, of } = recorder();
    const kernels = start({ metrics, families: [4] });
    proxy.setSynced();
    await proxy.sync();
    await proxy.sync();
    proxy.apply({ kind: 'service', now: service('web', VIP) });
    kernels.ip.failures = 1;
    await proxy.sync().catch(() => {});
    expect(of('syncFinished').map(([, , kind]) => kind)).toEqual(['full', 'partial']);
    expect(of('syncFailed')).toEqual([[4, 'partial']]);
  });
});

test('addresses that are nobody’s to serve on are named once, with the Service', () => {
  const lines: Record<string, unknown>[] = [];
  start({ log: createLogger('warn', { write: (line: string) => lines.push(JSON.parse(line)) }) });
  const special = service('web', VIP, { externalIPs: ['127.0.0.1', '203.0.113.1', 'ff02::1'] });
  proxy.apply({ kind: 'service', now: special });
  proxy.apply({
    kind: 'service',
    now: { ...special, metadata: { ...special.metadata, labels: { a: 'b' } } },
  });
  expect(lines.map(({ service: key, problems }) => [key, problems])).toEqual([
    ['ns/web', ['127.0.0.1 is a loopback address', 'ff02::1 is a multicast address']],
  ]);
});

describe('one object with 100,000 mistakes is a few short lines', () => {
  const ports = (each: (i: number) => { port: number; nodePort?: number }) =>
    Array.from({ length: 100_000 }, (_, i) => ({
      ...{ name: `p${i}`, protocol: 'TCP' as const },
      ...each(i),
    }));
  const addresses = Array.from(
    { length: 100_000 },
    (_, i) => `127.${i >> 16}.${(i >> 8) & 255}.${i & 255}`,
  );
  const web = (spec: Partial<Service['spec']>) => service('web', VIP, spec);

  test.each<[string, () => void]>([
    [
      'the same port again and again',
      () => proxy.apply({ kind: 'service', now: web({ ports: ports(() => ({ port: 80 })) }) }),
    ],
    [
      'the same NodePort again and again',
      () =>
        proxy.apply({
          kind: 'service',
          now: web({ ports: ports((i) => ({ port: i % 65_536, nodePort: 30_080 })) }),
        }),
    ],
    [
      'addresses nobody can serve on',
      () => proxy.apply({ kind: 'service', now: web({ externalIPs: addresses }) }),
    ],
    [
      'endpoints nobody can be led to',
      () => proxy.apply({ kind: 'slice', now: slice({ service: 'web', endpoints: addresses }) }),
    ],
    [
      'ports of another Service',
      () => {
        const all = { ports: ports((i) => ({ port: i % 65_536 })).slice(0, 3_000) };
        proxy.apply({ kind: 'service', now: web({ ...all, externalIPs: ['203.0.113.1'] }) });
        proxy.apply({
          kind: 'service',
          now: service('other', '172.30.0.9', { ...all, externalIPs: ['203.0.113.1'] }),
        });
      },
    ],
  ])('%s', async (_name, add) => {
    const lines: string[] = [];
    start({
      families: [4],
      log: createLogger('warn', { write: (line: string) => lines.push(line) }),
    });
    add();
    proxy.setSynced();
    await proxy.sync();
    expect([lines.length, lines.join('').length < 2_000]).toEqual([1, true]);
  });
});

test('a mistake in an annotation is told once, and again when it is another one', () => {
  const lines: Record<string, unknown>[] = [];
  start({ log: createLogger('warn', { write: (line: string) => lines.push(JSON.parse(line)) }) });
  const balancedBy = (balance: string) => ({
    ...dual,
    metadata: { ...dual.metadata, annotations: { 'weft.dev/balance': balance } },
  });
  for (const balance of ['first', 'first', 'random', 'first']) {
    proxy.apply({ kind: 'service', now: balancedBy(balance) });
  }
  expect(lines.map(({ msg, service: key, problems }) => [msg, key, problems])).toEqual(
    Array(2).fill([
      'parts of service passed over',
      'ns/web',
      ['weft.dev/balance is "first": use random or source-hash'],
    ]),
  );
});
