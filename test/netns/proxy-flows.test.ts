/** What happens to connections while Services change; who reaches what is in the flow table. */
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { parseCidr } from '../../src/net/cidr.ts';
import type { ServiceProxy, ServiceProxyOptions } from '../../src/proxy/service-proxy.ts';
import { IPV4, IPV6, type Net } from '../support/flows/net.ts';
import { endpointsOf, sliceOf } from '../support/flows/objects.ts';
import { createProxyLab, type ProxyLab } from '../support/proxy-lab.ts';
import { service } from '../support/proxy-objects.ts';
import { probe, startServer, total } from '../support/workloads.ts';

let lab: ProxyLab;
let proxy: ServiceProxy;

beforeAll(async () => {
  lab = await createProxyLab();
});

afterAll(() => lab.remove());

afterEach(() => proxy.stop());

/** VIP 1: pod-a; 2: all three. */
async function start(net: Net, options?: Partial<ServiceProxyOptions>): Promise<void> {
  proxy = lab.proxy(options);
  proxy.apply({ kind: 'service', now: service('one', net.vip(1)) });
  proxy.apply({ kind: 'service', now: service('all', net.vip(2)) });
  proxy.apply({ kind: 'slice', now: sliceOf('one', endpointsOf(net, 'a')) });
  setAll(net, 'a', 'b', 'remote');
  proxy.setSynced();
  await proxy.sync();
}

function setAll(net: Net, ...servers: readonly ('a' | 'b' | 'remote')[]): void {
  proxy.apply({ kind: 'slice', now: sliceOf('all', endpointsOf(net, ...servers)) });
}

/** Who answered and which peer it saw, or the error. */
async function visit(from: 'client' | 'node', net: Net): Promise<string> {
  const result = await probe(lab[from].path, { host: net.vip(1), port: 80, timeoutMs: 700 });
  return [result.servers, result.peers, result.errors].flatMap(Object.keys).join(' ');
}

describe.each([IPV4, IPV6])('IPv$family', (net) => {
  const host = net.vip(2);

  test('connections spread evenly', async () => {
    await start(net);
    const result = await probe(lab.client.path, { host, port: 80, count: 300 });
    expect(result.errors).toEqual({});
    expect(Object.keys(result.servers).sort()).toEqual(['a', 'b', 'remote']);
    // 100 each on average with a standard deviation of 8.2: five of them are one run in a million.
    for (const count of Object.values(result.servers))
      expect(Math.abs(count - 100)).toBeLessThan(42);
  });

  test('no new connection to an endpoint that is gone', async () => {
    await start(net);
    setAll(net, 'b', 'remote');
    await proxy.sync();
    const result = await probe(lab.client.path, { host, port: 80, count: 60 });
    expect([total(result.servers), result.servers['a'], result.errors]).toEqual([
      60,
      undefined,
      {},
    ]);
  });

  test('none fails while endpoints come and go', async () => {
    await start(net);
    const probing = probe(lab.client.path, { host, port: 80, count: 1500 });
    let isDone = false;
    const done = probing.finally(() => {
      isDone = true;
    });
    for (let round = 0; !isDone && round < 2000; round++) {
      setAll(net, ...(['a', 'b', 'remote'] as const).filter((_, i) => i !== round % 4));
      await proxy.sync();
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    const result = await done;
    expect([total(result.servers), result.errors]).toEqual([1500, {}]);
  });

  test('a clusterIP that the node has itself keeps its other ports', async () => {
    const prefix = net.family === 4 ? 32 : 128;
    const address = `${net.vip(1)}/${prefix}`;
    lab.node.run('ip', 'address', 'add', address, 'dev', 'lo');
    const cache = await startServer(lab.node.path, 'cache', 9253);
    try {
      await start(net);
      const ask = (from: 'client' | 'node', port: number) =>
        probe(lab[from].path, { host: net.vip(1), port, timeoutMs: 700 });
      expect((await ask('client', 80)).servers).toEqual({ a: 1 });
      expect((await ask('client', 9253)).servers).toEqual({ cache: 1 });
      expect((await ask('client', 9254)).errors).toEqual({ ECONNREFUSED: 1 });
      expect((await ask('node', 9253)).errors).toEqual({ ECONNREFUSED: 1 });
    } finally {
      await cache.end('SIGKILL');
      lab.node.run('ip', 'address', 'delete', address, 'dev', 'lo');
    }
  });

  test.each([
    { name: 'by interface prefix', localDetection: { kind: 'interfacePrefix', prefix: 'br' } },
    {
      name: 'by several networks',
      localDetection: {
        kind: 'cidrs',
        cidrs: ['10.9.0.0/16', '10.1.0.0/24', 'fd00:9::/64', 'fd00:10:1::/64'].map(parseCidr),
      },
    },
  ] as const)('pods are told $name', async ({ localDetection }) => {
    await start(net, { localDetection });
    const seen = [await visit('client', net), await visit('node', net)];
    expect(seen).toEqual([`a ${net.client}`, `a ${net.bridge}`]);
  });
});

test('a flushed ruleset comes back', async () => {
  await start(IPV4);
  lab.node.run('nft', 'flush', 'ruleset');
  proxy.resync();
  await proxy.sync();
  expect(await visit('client', IPV4)).toBe(`a ${IPV4.client}`);
});

test('counters say which endpoint took a connection', async () => {
  lab.node.run('nft', 'flush', 'ruleset');
  await start(IPV4, { countsEndpoints: true });
  await visit('client', IPV4);
  expect(lab.node.run('nft', 'list', 'map', 'ip', 'weft-proxy', 'endpoints')).toMatch(
    /172\.30\.0\.1 \. tcp \. 80 \. 0 counter packets 1 bytes \d+ : 10\.1\.0\.3 \. 8080/,
  );
});
