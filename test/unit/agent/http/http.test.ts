import { type AddressInfo, connect, createServer } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { resolveAgentConfig } from '../../../../src/agent/config/agent-config.ts';
import { fillDefaults } from '../../../../src/agent/config/kube-proxy-config.ts';
import type { HealthFacts } from '../../../../src/agent/http/health.ts';
import {
  type HttpQuestion,
  type HttpReply,
  type HttpRoutes,
  type HttpServerOptions,
  plainText,
  type RunningHttpServer,
  serveHttp,
} from '../../../../src/agent/http/http.ts';
import { profilingRoutes } from '../../../../src/agent/http/profiling.ts';
import { healthRoutes, metricsRoutes } from '../../../../src/agent/http/routes.ts';
import { createAgentMetrics } from '../../../../src/agent/metrics/metrics.ts';
import { parseIP } from '../../../../src/net/ip.ts';
import type { Clock } from '../../../../src/util/clock.ts';
import { IoError } from '../../../../src/util/errors.ts';
import { createLogger } from '../../../../src/util/log.ts';
import { FakeClock } from '../../../support/fake-clock.ts';

const LOOPBACK = parseIP('127.0.0.1');
const servers: RunningHttpServer[] = [];
afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.close()));
});

function serve(options: Partial<HttpServerOptions> & Pick<HttpServerOptions, 'routes'>) {
  const server = serveHttp({
    name: 'test',
    most: 100,
    addresses: [{ host: LOOPBACK, port: 0 }],
    bindAddressHardFail: false,
    clock: new FakeClock(),
    log: createLogger('silent'),
    ...options,
  });
  servers.push(server);
  return server;
}

async function start(options: Partial<HttpServerOptions> & Pick<HttpServerOptions, 'routes'>) {
  const server = serve(options);
  await server.bound;
  return `http://127.0.0.1:${server.addresses()[0]?.port}`;
}

const echo: HttpRoutes = new Map<
  string,
  (question: HttpQuestion) => HttpReply | Promise<HttpReply>
>([
  ['PUT /level', ({ query, body }) => plainText(200, `level ${query} ${body}`)],
  ['/a', () => plainText(200, 'content of a')],
  ['/throws', () => Promise.reject(new Error('secret reason'))],
]);

describe('serveHttp', () => {
  test.each([
    { method: 'GET', path: '/a', status: 200, body: 'content of a' },
    { method: 'GET', path: '/a?b=c', status: 200, body: 'content of a' },
    { method: 'HEAD', path: '/a', status: 200, body: '' },
    { method: 'GET', path: '/b', status: 404, body: 'not found\n' },
    { method: 'POST', path: '/b', status: 404, body: 'not found\n' },
    { method: 'POST', path: '/a', status: 405, body: 'only GET and HEAD\n' },
    { method: 'PUT', path: '/level?x=y', status: 200, body: 'level x=y 7' },
    { method: 'GET', path: '/level', status: 404, body: 'not found\n' },
    { method: 'GET', path: '/throws', status: 500, body: 'internal error\n' },
  ])('$method $path is $status', async ({ method, path, status, body }) => {
    const content = method === 'PUT' ? { body: '7' } : {};
    const response = await fetch((await start({ routes: echo })) + path, { method, ...content });
    expect({ status: response.status, body: await response.text() }).toEqual({ status, body });
  });

  test('headers', async () => {
    const url = await start({ routes: echo });
    const headers = [await fetch(`${url}/a`), await fetch(`${url}/a`, { method: 'PUT' })].map(
      (response) => ['x-content-type-options', 'allow'].map((name) => response.headers.get(name)),
    );
    expect(headers).toEqual([
      ['nosniff', null],
      ['nosniff', 'GET, HEAD'],
    ]);
  });

  test('requests that come all at once in one connection are not answered all at once', async () => {
    let underWay = 0;
    let most = 0;
    const slow = async () => {
      most = Math.max(most, ++underWay);
      await new Promise((resolve) => setTimeout(resolve, 20));
      underWay--;
      return plainText(200, 'late\n');
    };
    const url = new URL(await start({ routes: new Map([['/slow', slow]]) }));
    const socket = connect(Number(url.port), url.hostname);
    socket.on('error', () => undefined);
    socket.write('GET /slow HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(50));
    await new Promise((resolve) => socket.resume().once('close', resolve));
    expect(most).toBe(1);
  });

  test('one request after the other goes on by one connection', async () => {
    const url = new URL(await start({ routes: new Map([['/a', () => plainText(200, 'a\n')]]) }));
    const socket = connect(Number(url.port), url.hostname);
    const ask = () =>
      new Promise<string>((resolve) => {
        socket.once('data', (data: Buffer) => resolve(data.toString()));
        socket.write('GET /a HTTP/1.1\r\nHost: a\r\n\r\n');
      });
    for (let i = 0; i < 3; i++) expect(await ask()).toMatch(/^HTTP\/1\.1 200/);
    socket.destroy();
  });

  test('a body without an end is refused', async () => {
    const url = await start({ routes: echo });
    const response = await fetch(`${url}/level`, { method: 'PUT', body: 'x'.repeat(5_000) });
    expect(response.status).toBe(413);
  });

  test('several addresses', async () => {
    const addresses = [
      { host: LOOPBACK, port: 0 },
      { host: parseIP('127.0.0.2'), port: 0 },
    ];
    const server = serve({ routes: echo, addresses });
    await server.bound;
    const hosts = server.addresses().map(({ host, port }) => `http://${host}:${port}/a`);
    const statuses = await Promise.all(hosts.map(async (url) => (await fetch(url)).status));
    expect([hosts.length, statuses]).toEqual([2, [200, 200]]);
  });

  test('a request line without an end does not survive close', async () => {
    const server = serve({ routes: echo });
    await server.bound;
    const socket = connect(server.addresses()[0]?.port ?? 0, '127.0.0.1');
    await new Promise<void>((resolve) => socket.write('GET /a HT', () => resolve()));
    const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
    socket.on('error', () => undefined);
    await server.close();
    await closed;
    expect(socket.destroyed).toBe(true);
  });

  describe('a port that is taken', () => {
    async function takePort() {
      const blocker = createServer();
      await new Promise<void>((resolve) => blocker.listen(0, '127.0.0.1', () => resolve()));
      const { port } = blocker.address() as AddressInfo;
      return { port, free: () => new Promise((resolve) => blocker.close(resolve)) };
    }

    test('is tried again after 5 s until it is free', async () => {
      const { port, free } = await takePort();
      const failures: string[] = [];
      const fake = new FakeClock();
      const delays: number[] = [];
      const clock: Clock = {
        now: () => fake.now(),
        elapsed: () => fake.elapsed(),
        schedule: (delayMs, callback) => {
          delays.push(delayMs);
          return fake.schedule(delayMs, callback);
        },
      };
      const log = createLogger('error', { write: (line: string) => void failures.push(line) });
      const server = serve({ routes: echo, addresses: [{ host: LOOPBACK, port }], clock, log });
      await expect.poll(() => delays.length).toBe(1);
      fake.advance(5_000);
      await expect.poll(() => delays.length).toBe(2);
      expect(failures).toHaveLength(1);
      expect(server.failures()).toHaveLength(1);
      await free();
      fake.advance(5_000);
      await server.bound;
      expect([delays, server.addresses()]).toEqual([[5_000, 5_000], [{ host: LOOPBACK, port }]]);
      expect([failures.length, server.failures()]).toEqual([1, []]);
      expect(failures[0]).not.toContain('stack');
      expect(failures[0]).toContain(`listen for test on 127.0.0.1:${port}: listen EADDRINUSE`);
    });

    test('ends it with bindAddressHardFail', async () => {
      const { port, free } = await takePort();
      const addresses = [{ host: LOOPBACK, port }];
      const failures: string[] = [];
      const onBindFailure = ({ message }: Error) => void failures.push(message);
      const bindAddressHardFail = true;
      const server = serve({ routes: echo, addresses, bindAddressHardFail, onBindFailure });
      await expect(server.bound).rejects.toThrow(IoError);
      expect(failures).toEqual([expect.stringContaining('EADDRINUSE')]);
      await free();
    });
  });
});

describe('routes', () => {
  const synced: HealthFacts = {
    families: new Map([[4, { updatedAtMs: 1, waitedMs: 0 }]]),
    isNodeEligible: false,
    syncPeriodMs: 30_000,
    nowMs: 2,
  };
  const metrics = createAgentMetrics({
    version: '1',
    nodeVersion: 'v1',
    hasProcessMetrics: false,
  });

  test('health: drained node, and both answers are counted', async () => {
    const url = await start({
      routes: healthRoutes(
        () => synced,
        () => [],
        metrics,
      ),
    });
    const healthz = await fetch(`${url}/healthz`);
    const livez = await fetch(`${url}/livez`);
    expect([healthz.status, livez.status, healthz.headers.get('content-type')]).toEqual([
      503,
      200,
      'application/json',
    ]);
    expect(await metrics.render()).toMatch(
      /kubeproxy_proxy_healthz_total\{code="503"\} 1[\s\S]*kubeproxy_proxy_livez_total\{code="200"\} 1/,
    );
  });

  const kubeProxy = fillDefaults({
    mode: 'nftables',
    nodePortAddresses: ['10.0.0.0/8', 'fd00::/8'],
    featureGates: { A: true, B: false },
  });
  const settings = resolveAgentConfig({}, [{ path: 'f', text: 'manifests: /m' }], {
    hostname: 'node-a',
    environment: {},
  });
  const options = {
    metrics,
    proxyMode: 'nftables',
    process: () => ({ version: '1', nodeVersion: 'v1', startedAtMs: 0, upMs: 100_000_000 }),
  };
  test.each([
    { path: '/healthz', type: 'text/plain; charset=utf-8', body: /^ok$/ },
    { path: '/proxyMode', type: 'text/plain; charset=utf-8', body: /^nftables$/ },
    {
      path: '/configz',
      type: 'application/json',
      body: /^\{"kubeproxy.config.k8s.io":\{"apiVersion"/,
    },
    { path: '/metrics', type: metrics.contentType, body: /^weft_build_info\{/m },
    { path: '/metrics/slis', type: metrics.contentType, body: /^# TYPE kubernetes_healthcheck /m },
    { path: '/statusz', type: 'text/plain; charset=utf-8', body: /^Up: 27 hr 46 min 40 sec$/m },
    { path: '/statusz', type: 'text/plain; charset=utf-8', body: /^Paths: \/configz \/flagz /m },
    { path: '/flagz', type: 'text/plain; charset=utf-8', body: /^proxy-mode=nftables$/m },
    { path: '/flagz', type: 'text/plain; charset=utf-8', body: /^nodeport-addresses=10\..*,fd00/m },
    { path: '/flagz', type: 'text/plain; charset=utf-8', body: /^feature-gates=A=true,B=false$/m },
  ])('metrics server: $path', async ({ path, type, body }) => {
    const routes = metricsRoutes({ ...options, config: () => ({ ...settings, kubeProxy }) });
    const response = await fetch((await start({ routes })) + path);
    expect([response.status, response.headers.get('content-type')]).toEqual([200, type]);
    expect(await response.text()).toMatch(body);
  });

  test.each([
    { gate: 'ComponentStatusz', path: '/statusz', other: '/flagz' },
    { gate: 'ComponentFlagz', path: '/flagz', other: '/statusz' },
  ])('the feature gate $gate turns $path off', async ({ gate, path, other }) => {
    const gated = fillDefaults({ featureGates: { [gate]: false } });
    const routes = metricsRoutes({ ...options, config: () => ({ ...settings, kubeProxy: gated }) });
    const url = await start({ routes });
    const statuses = [path, other].map(async (each) => (await fetch(url + each)).status);
    expect(await Promise.all(statuses)).toEqual([404, 200]);
  });

  test('health checks are counted for /metrics/slis, until they begin anew', async () => {
    const own = createAgentMetrics({ version: '1', nodeVersion: 'v1', hasProcessMetrics: false });
    const config = () => ({ ...settings, kubeProxy });
    const url = await start({ routes: metricsRoutes({ ...options, metrics: own, config }) });
    const health = await start({
      routes: healthRoutes(
        () => synced,
        () => [],
        own,
      ),
    });
    const series = async () => {
      const text = await (await fetch(`${url}/metrics/slis`)).text();
      return text.split('\n').filter((line) => line.startsWith('kubernetes_'));
    };
    expect(await series()).toEqual([]);
    await fetch(`${url}/healthz`);
    await fetch(`${url}/healthz`);
    await fetch(`${health}/healthz`);
    await fetch(`${health}/livez`);
    expect(await series()).toEqual([
      'kubernetes_healthcheck{name="ping",type="healthz"} 1',
      'kubernetes_healthcheck{name="proxy",type="healthz"} 0',
      'kubernetes_healthcheck{name="proxy",type="livez"} 1',
      'kubernetes_healthchecks_total{name="ping",type="healthz",status="success"} 2',
      'kubernetes_healthchecks_total{name="proxy",type="healthz",status="error"} 1',
      'kubernetes_healthchecks_total{name="proxy",type="livez",status="success"} 1',
    ]);
    await fetch(`${url}/metrics/slis`, { method: 'DELETE' });
    expect(await series()).toEqual([]);
  });

  describe('/debug', () => {
    const open = async (isOn: boolean) => {
      const levels: string[] = [];
      const profiling = isOn ? profilingRoutes((level) => levels.push(level)) : undefined;
      const config = () => ({ ...settings, kubeProxy });
      const routes = metricsRoutes({ ...options, profiling, config });
      return { url: await start({ routes }), levels };
    };

    test.each([
      ['GET', '/debug/pprof/'],
      ['GET', '/debug/pprof/profile'],
      ['PUT', '/debug/flags/v'],
    ])('without profiling %s %s is not found', async (method, path) => {
      const { url } = await open(false);
      expect((await fetch(url + path, { method })).status).toBe(404);
    });

    test('a CPU profile, one at a time', async () => {
      const { url } = await open(true);
      const first = fetch(`${url}/debug/pprof/profile?seconds=1`);
      await expect
        .poll(async () => (await fetch(`${url}/debug/pprof/heap?seconds=1`)).status)
        .toBe(409);
      const profile = await (await first).text();
      expect(profile).toMatch(/^\{"nodes":\[.*"samples":\[/);
    });

    test('allocations', async () => {
      const { url } = await open(true);
      const response = await fetch(`${url}/debug/pprof/heap?seconds=1`);
      expect(await response.text()).toMatch(/^\{"head":/);
    });

    test.each(['0', '11', 'x'])('seconds=%s is refused', async (seconds) => {
      const { url } = await open(true);
      expect((await fetch(`${url}/debug/pprof/profile?seconds=${seconds}`)).status).toBe(400);
    });

    test('the log level', async () => {
      const { url, levels } = await open(true);
      const put = async (body: string) =>
        (await fetch(`${url}/debug/flags/v`, { method: 'PUT', body })).status;
      expect([await put('4'), await put('nonsense'), await put('0'), levels]).toEqual([
        200,
        400,
        200,
        ['debug', 'info'],
      ]);
    });
  });
});
