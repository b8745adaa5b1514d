import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { netnses } from '../../src/kernel/netns.ts';
import type { Netns } from '../../src/kernel/types.ts';
import type { Service } from '../../src/kube/types.ts';
import { listElements } from '../../src/nftables/element-listing.ts';
import { watchTables } from '../../src/nftables/monitor.ts';
import { ConnectionCounters } from '../../src/proxy/counters/counters.ts';
import { proxyTable } from '../../src/proxy/modes/nftables/layout.ts';
import type { ServiceProxy } from '../../src/proxy/service-proxy.ts';
import { createLogger } from '../../src/util/log.ts';
import { watchHolds } from '../support/cpu-time.ts';
import { createProxyLab, type ProxyLab } from '../support/proxy-lab.ts';
import { service, slice } from '../support/proxy-objects.ts';
import { type ProbeTarget, probe } from '../support/workloads.ts';

const VIP = '172.30.0.1';
const VIP6 = 'fd00:172::1';
const LB = '198.51.100.7';
const NODE_PORT = 30080;
const [A, B] = ['10.1.0.3', '10.1.0.4'];

let lab: ProxyLab;
let netns: Netns;
const running: { stop(): Promise<void> }[] = [];

beforeAll(async () => {
  lab = await createProxyLab();
  netns = netnses.open(lab.node.path);
});

afterAll(async () => {
  netns.close();
  await lab.remove();
});

afterEach(async () => {
  for (const part of running.splice(0)) await part.stop();
  lab.node.run('nft', 'flush', 'ruleset');
});

/** Counters of the node, on a clock that lets each scrape read. */
function startCounters() {
  let now = 0;
  const clock = { now: () => now, elapsed: () => now, schedule: () => () => {} };
  const counters = new ConnectionCounters({
    families: [4, 6],
    hasEndpoints: true,
    list: (family, set, onPart) => listElements({ netns }, proxyTable(family), set, onPart),
    clock,
    log: createLogger('warn'),
  });
  const watch = watchTables(
    netns,
    () => {},
    (message) => counters.onRulesetMessage(message),
  );
  running.push({ stop: async () => watch.close() });
  /** Samples by metric and by what tells the series of these tests apart. */
  const read = async () => {
    now += 10_000;
    const samples: Record<string, number> = {};
    for (const [, metric, labels = '', value] of (await counters.text()).matchAll(
      /^weft_(.*?)\{(.*)\} (\d+)$/gm,
    )) {
      const label = (name: string) => new RegExp(`${name}="(.*?)"`).exec(labels)?.[1] ?? '';
      const what = label('frontend') || label('endpoint');
      const name = [metric, label('service'), what, label('reason')].filter((part) => part !== '');
      samples[name.join(' ')] = Number(value);
    }
    return samples;
  };
  return { counters, read };
}

async function startProxy(counters: ConnectionCounters): Promise<ServiceProxy> {
  const proxy = lab.proxy({ listeners: [counters], countsEndpoints: true });
  running.unshift(proxy);
  return proxy;
}

const web = (spec: Partial<Service['spec']> = {}): Service => ({
  ...service('web', VIP, {
    type: 'LoadBalancer',
    ports: [{ name: 'http', protocol: 'TCP', port: 80, nodePort: NODE_PORT }],
    ...spec,
  }),
  status: { loadBalancer: { ingress: [{ ip: LB }] } },
});
const endpoints = (...ips: readonly string[]) => slice({ service: 'web', endpoints: ips });

const connect = (count: number, target: Partial<ProbeTarget> = {}, from = lab.client) =>
  probe(from.path, { host: VIP, port: 80, count, timeoutMs: 300, ...target });

test('connections by frontend and endpoint, over both families', async () => {
  const { counters, read } = startCounters();
  const proxy = await startProxy(counters);
  proxy.apply({ kind: 'service', now: web() });
  proxy.apply({ kind: 'service', now: service('six', VIP6) });
  proxy.apply({ kind: 'slice', now: endpoints(A) });
  proxy.apply({ kind: 'slice', now: slice({ service: 'six', endpoints: ['fd00:10:1::4'] }) });
  proxy.setSynced();
  await proxy.sync();
  await connect(3);
  await connect(2, { host: LB }, lab.outside);
  await connect(4, { host: '203.0.113.1', port: NODE_PORT }, lab.outside);
  await connect(5, { host: VIP6 });
  expect(await read()).toEqual({
    [`service_connections_total web ${VIP}:80`]: 3,
    [`service_connections_total web ${LB}:80`]: 2,
    [`service_connections_total web nodePort:${NODE_PORT}`]: 4,
    [`service_connections_total six [${VIP6}]:80`]: 5,
    [`endpoint_connections_total web ${A}:8080`]: 9,
    'endpoint_connections_total six [fd00:10:1::4]:8080': 5,
  });
});

test('connections that session affinity leads to the endpoint of the first', async () => {
  const { counters, read } = startCounters();
  const proxy = await startProxy(counters);
  proxy.apply({ kind: 'service', now: web({ sessionAffinity: 'ClientIP' }) });
  proxy.apply({ kind: 'slice', now: endpoints(A) });
  proxy.setSynced();
  await proxy.sync();
  await connect(4);
  await connect(3, { host: '203.0.113.1', port: NODE_PORT });
  expect((await read())[`endpoint_connections_total web ${A}:8080`]).toBe(7);
});

test('what is refused, and why', async () => {
  const { counters, read } = startCounters();
  const proxy = await startProxy(counters);
  proxy.apply({ kind: 'service', now: web({ loadBalancerSourceRanges: ['192.0.2.0/24'] }) });
  proxy.apply({ kind: 'service', now: service('empty', '172.30.0.2') });
  proxy.apply({
    kind: 'service',
    now: service('local', '172.30.0.3', { internalTrafficPolicy: 'Local' }),
  });
  proxy.apply({ kind: 'slice', now: endpoints(A) });
  proxy.apply({ kind: 'slice', now: slice({ service: 'local', endpoints: ['10.2.0.2'] }) });
  proxy.setSynced();
  await proxy.sync();
  await connect(3, { host: '172.30.0.2' });
  await connect(1, { host: '172.30.0.3' });
  await connect(1, { host: LB }, lab.outside);
  const samples = await read();
  const refused = (text: string) => samples[`service_refused_packets_total ${text}`];
  expect(refused('empty 172.30.0.2:80 no_endpoints')).toBe(3);
  expect(refused('local 172.30.0.3:80 no_local_endpoints')).toBe(1);
  expect(refused(`web ${LB}:80 source_range`)).toBe(1);
});

test('no connection is lost to replaced elements, a resync or a restart of the agent', async () => {
  const { counters, read } = startCounters();
  const proxy = await startProxy(counters);
  proxy.apply({ kind: 'service', now: web() });
  proxy.apply({ kind: 'slice', now: endpoints(A) });
  proxy.setSynced();
  await proxy.sync();
  const total = async () => (await read())[`service_connections_total web ${VIP}:80`];
  await connect(3);
  expect(await total()).toBe(3);
  // Every change of the number of endpoints replaces the element that counts.
  for (const ips of [[A, B], [B], [], [A]]) {
    await connect(2);
    proxy.apply({ kind: 'slice', now: endpoints(...ips) });
    await proxy.sync();
  }
  await connect(1);
  expect(await total()).toBe(10);
  proxy.resync();
  await proxy.sync();
  expect(await total()).toBe(10);

  await proxy.stop();
  const after = startCounters();
  await connect(1);
  expect((await after.read())[`service_connections_total web ${VIP}:80`]).toBe(2);
});

test('50,000 endpoints are read without holding the event loop', async () => {
  const { counters, read } = startCounters();
  const proxy = await startProxy(counters);
  const octets = (i: number) => `${(i >> 16) & 255}.${(i >> 8) & 255}.${i & 255}`;
  for (let i = 0; i < 10_000; i++) {
    const ips = [0, 1, 2, 3, 4].map((endpoint) => `10.${octets((200 << 16) + i * 5 + endpoint)}`);
    proxy.apply({ kind: 'service', now: service(`s${i}`, `172.${octets((30 << 16) + i + 256)}`) });
    proxy.apply({ kind: 'slice', now: slice({ service: `s${i}`, endpoints: ips }) });
  }
  proxy.setSynced();
  await proxy.sync();
  await connect(2, { host: '172.30.1.7' });
  // The first reading falls into the notices of all that was just programmed.
  await read();
  const holds = watchHolds();
  const samples = await read();
  const holdMs = holds.stop();
  console.log({ holdMs });
  expect(samples['service_connections_total s7 172.30.1.7:80']).toBe(2);
  expect(holdMs).toBeLessThan(30);
});
