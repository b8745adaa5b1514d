import { mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ManifestSource } from '../../../../src/kube/manifests/manifests.ts';
import { endpointSlices, services } from '../../../../src/kube/resources.ts';
import type { EndpointSlice, Service } from '../../../../src/kube/types.ts';
import { systemClock } from '../../../../src/util/clock.ts';
import { RecordingHandlers, recordingLog, serviceObject, until } from '../../../support/kube.ts';

let directory: string;
let abort: AbortController;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'weft-manifests-'));
  abort = new AbortController();
});

afterEach(() => {
  abort.abort();
  rmSync(directory, { recursive: true });
});

function put(name: string, ...items: unknown[]): void {
  writeFileSync(
    join(directory, '.new'),
    JSON.stringify({ apiVersion: 'v1', kind: 'List', items, metadata: {} }),
  );
  renameSync(join(directory, '.new'), join(directory, name));
}

async function start() {
  const { log, records } = recordingLog();
  const timings = { rescanMs: 20, debounceMs: 5, settleMs: 30 };
  const source = new ManifestSource({ directory, clock: systemClock, log, timings });
  const slices: Map<string, EndpointSlice> = new Map();
  const note = (slice: EndpointSlice) => void slices.set(slice.metadata.name, slice);
  const all = [
    source.watch(services, new RecordingHandlers<Service>()),
    source.watch(endpointSlices, {
      onAdd: note,
      onUpdate: note,
      onDelete: ({ metadata }) => void slices.delete(metadata.name),
    }),
  ];
  source.start(abort.signal);
  await Promise.all(all.map(({ synced }) => synced));
  return { source, slices, records };
}

const meta = (name: string, more: object = {}) => ({ name, namespace: 'ns', ...more });

const endpoints = (name: string, ips: readonly string[], more: object = {}) => ({
  apiVersion: 'v1',
  kind: 'Endpoints',
  metadata: meta(name, more),
  subsets: [
    {
      addresses: ips.map((ip) => ({ ip, nodeName: 'node-a' })),
      notReadyAddresses: [{ ip: '10.9.9.9' }],
      ports: [{ name: 'http', port: 8080 }],
    },
  ],
});

const slice = (name: string, more: object = {}) => ({
  apiVersion: 'discovery.k8s.io/v1',
  kind: 'EndpointSlice',
  metadata: meta(name, { labels: { 'kubernetes.io/service-name': 'web' } }),
  addressType: 'IPv4',
  endpoints: [{ addresses: ['10.1.0.7'] }],
  ports: [{ port: 80 }],
  ...more,
});

describe('Endpoints', () => {
  test('count as slices, one per subset and family', async () => {
    put('a.json', endpoints('web', ['10.1.0.1', '10.1.0.2', 'fd00::1']));
    const { slices, source } = await start();
    expect(source.passedOver).toEqual([]);
    expect([...slices.keys()].sort()).toEqual(['web-subset0-ipv4', 'web-subset0-ipv6']);
    expect(slices.get('web-subset0-ipv4')).toMatchObject({
      metadata: { namespace: 'ns', labels: { 'kubernetes.io/service-name': 'web' } },
      addressType: 'IPv4',
      endpoints: [
        { addresses: ['10.1.0.1'], conditions: { ready: true }, nodeName: 'node-a' },
        { addresses: ['10.1.0.2'], conditions: { ready: true }, nodeName: 'node-a' },
        { addresses: ['10.9.9.9'], conditions: { ready: false } },
      ],
      ports: [{ name: 'http', protocol: 'TCP', port: 8080 }],
    });
  });

  test('follow their file, and give way to slices of their Service', async () => {
    put('a.json', endpoints('web', ['10.1.0.1']));
    const { slices, source } = await start();
    put('a.json', endpoints('web', ['10.1.0.5']));
    const ipv4 = () => slices.get('web-subset0-ipv4')?.endpoints[0]?.addresses[0];
    await until(() => ipv4() === '10.1.0.5');
    put('b.json', slice('web-x'));
    await until(() => slices.has('web-x'));
    expect([...slices.keys()]).toEqual(['web-x']);
    expect(source.passedOver).toEqual([
      {
        kind: 'v1 Endpoints',
        reason: 'discovery.k8s.io/v1 EndpointSlice objects are there too',
        count: 1,
        keys: ['ns/web'],
      },
    ]);
    rmSync(join(directory, 'b.json'));
    await until(() => ipv4() === '10.1.0.5');
    rmSync(join(directory, 'a.json'));
    await until(() => slices.size === 0);
  });

  test.each([
    ['labels', { 'endpointslice.kubernetes.io/skip-mirror': 'true' }, /skip-mirror/],
    ['annotations', { 'control-plane.alpha.kubernetes.io/leader': '{}' }, /leader/],
  ])('that Kubernetes would not mirror by their %s are passed over', async (key, value, reason) => {
    put('a.json', endpoints('web', ['10.1.0.1'], { [key]: value }));
    const { slices, source } = await start();
    expect(slices.size).toBe(0);
    expect(source.passedOver).toMatchObject([{ count: 1, reason: expect.stringMatching(reason) }]);
  });
});

test('slices of v1beta1 tell node and zone in their topology', async () => {
  const topology = { 'kubernetes.io/hostname': 'node-b', 'topology.kubernetes.io/zone': 'z1' };
  const old = { addresses: ['10.1.0.1'], topology };
  put('a.json', slice('web-1', { apiVersion: 'discovery.k8s.io/v1beta1', endpoints: [old] }));
  const { slices } = await start();
  expect(slices.get('web-1')?.endpoints).toMatchObject([{ nodeName: 'node-b', zone: 'z1' }]);
});

test.each([
  ['a Service without clusterIP', serviceObject('a', { clusterIP: '' }), /no clusterIP/],
  ['a slice of names', slice('web-1', { addressType: 'FQDN' }), /FQDN/],
  ['a slice of no Service', slice('web-1', { metadata: meta('web-1') }), /lacks the label/],
  ['a kind nobody reads', { apiVersion: 'apps/v1', kind: 'Deployment' }, /does not read/],
])('%s is passed over with a line', async (_, object, reason) => {
  put('a.json', object);
  const { source, records } = await start();
  expect(source.passedOver).toMatchObject([{ count: 1, reason: expect.stringMatching(reason) }]);
  const lines = records.filter(({ msg }) => msg === 'manifest objects passed over');
  expect(lines).toMatchObject([{ level: 'warn', count: 1 }]);
});

test.each([
  ['headless', { clusterIP: 'None' }],
  ['an ExternalName', { type: 'ExternalName', clusterIP: undefined }],
])('a Service that is %s by intent is not mentioned', async (_, spec) => {
  put('a.json', serviceObject('a', spec));
  expect((await start()).source.passedOver).toEqual([]);
});

test('many objects of one kind make one line, and some are named', async () => {
  const objects = Array.from({ length: 50 }, (_, i) => serviceObject(`s${i}`, { clusterIP: '' }));
  put('a.json', ...objects);
  const { source, records } = await start();
  expect(source.passedOver).toMatchObject([{ count: 50, keys: { length: 5 } }]);
  expect(records.filter(({ msg }) => msg === 'manifest objects passed over')).toHaveLength(1);
});

test('a link that leads to itself is a problem of its own, the others are read', async () => {
  symlinkSync('loop.json', join(directory, 'loop.json'));
  put('a.json', slice('web-1'));
  const { slices, source } = await start();
  expect([...slices.keys()]).toEqual(['web-1']);
  expect(source.problems).toMatchObject([
    { file: 'loop.json', reason: expect.stringContaining('ELOOP') },
  ]);
});
