import { type AddressInfo, connect, createServer } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import { fillDefaults } from '../../../src/agent/config/kube-proxy-config.ts';
import type { HealthFacts } from '../../../src/agent/health.ts';
import {
  type HttpReply,
  type HttpRoutes,
  type HttpServerOptions,
  plainText,
  type RunningHttpServer,
  serveHttp,
} from '../../../src/agent/http.ts';
import { createAgentMetrics } from '../../../src/agent/metrics.ts';
import { healthRoutes, metricsRoutes } from '../../../src/agent/routes.ts';
import { parseIP } from '../../../src/net/ip.ts';
import type { Clock } from '../../../src/util/clock.ts';
import { IoError } from '../../../src/util/errors.ts';
import { createLogger } from '../../../src/util/log.ts';
import { FakeClock } from '../../support/fake-clock.ts';

const LOOPBACK = parseIP('127.0.0.1');
const servers: RunningHttpServer[] = [];
afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.close()));
});

function serve(options: Partial<HttpServerOptions> & Pick<HttpServerOptions, 'routes'>) {
  const server = serveHttp({
    name: 'test',
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

const echo: HttpRoutes = new Map<string, () => HttpReply | Promise<HttpReply>>([
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
    { method: 'GET', path: '/throws', status: 500, body: 'internal error\n' },
  ])('$method $path is $status', async ({ method, path, status, body }) => {
    const response = await fetch((await start({ routes: echo })) + path, { method });
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
        schedule: (delayMs, callback) => {
          delays.push(delayMs);
          return fake.schedule(delayMs, callback);
        },
      };
      const log = createLogger('error', { write: (line: string) => void failures.push(line) });
      const server = serve({ routes: echo, addresses: [{ host: LOOPBACK, port }], clock, log });
      await expect.poll(() => failures.length).toBe(1);
      fake.advance(5_000);
      await expect.poll(() => failures.length).toBe(2);
      await free();
      fake.advance(5_000);
      await server.bound;
      expect([delays, server.addresses()]).toEqual([[5_000, 5_000], [{ host: LOOPBACK, port }]]);
      expect(failures[0]).toContain(`listen for test on 127.0.0.1:${port}: listen EADDRINUSE`);
    });

    test('ends it with bindAddressHardFail', async () => {
      const { port, free } = await takePort();
      const addresses = [{ host: LOOPBACK, port }];
      const server = serve({ routes: echo, addresses, bindAddressHardFail: true });
      await expect(server.bound).rejects.toThrow(IoError);
      await free();
    });
  });
});

describe('routes', () => {
  const synced: HealthFacts = {
    families: new Map([[4, { updatedAtMs: 1, queuedAtMs: undefined }]]),
    isNodeEligible: false,
    syncPeriodMs: 30_000,
    nowMs: 2,
  };
  const metrics = createAgentMetrics({ version: '1', nodeVersion: 'v1', hasProcessMetrics: false });

  test('health: drained node, and both answers are counted', async () => {
    const url = await start({ routes: healthRoutes(() => synced, metrics) });
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

  const kubeProxy = fillDefaults({ mode: 'nftables' });
  test.each([
    { path: '/healthz', type: 'text/plain; charset=utf-8', body: /^ok$/ },
    { path: '/proxyMode', type: 'text/plain; charset=utf-8', body: /^nftables$/ },
    {
      path: '/configz',
      type: 'application/json',
      body: /^\{"kubeproxy.config.k8s.io":\{"apiVersion"/,
    },
    { path: '/metrics', type: metrics.contentType, body: /^weft_build_info\{/m },
  ])('metrics server: $path', async ({ path, type, body }) => {
    const routes = metricsRoutes({ metrics, proxyMode: 'nftables', kubeProxy });
    const response = await fetch((await start({ routes })) + path);
    expect([response.status, response.headers.get('content-type')]).toEqual([200, type]);
    expect(await response.text()).toMatch(body);
  });
});
