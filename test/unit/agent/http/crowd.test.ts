import { once } from 'node:events';
import { connect, createServer, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { plainText, type RunningHttpServer, serveHttp } from '../../../../src/agent/http/http.ts';
import { ServiceHealthServers } from '../../../../src/agent/proxy/service-health.ts';
import { parseIP } from '../../../../src/net/ip.ts';
import { systemClock } from '../../../../src/util/clock.ts';
import { createLogger } from '../../../../src/util/log.ts';
import { until } from '../../../support/until.ts';

const LOOPBACK = parseIP('127.0.0.1');
const BIG = 'x'.repeat(3 << 20);
/** Who has no seat is refused at once: this waits for nothing but a busy machine. */
const PROBE_MS = 10_000;
const LONG = { timeout: 60_000 };
const ONE = ['127.0.0.1'];
const SEVERAL = ['127.0.0.2', '127.0.0.3', '127.0.0.4', '127.0.0.5', '127.0.0.6'];
const CROWDS = [
  { name: 'silent connections of one client', sources: ONE, sends: '' },
  { name: 'silent connections of several clients', sources: SEVERAL, sends: '' },
  { name: 'half-sent requests', sources: SEVERAL, sends: 'GET /healthz HTTP/1.1\r\nHost: a\r\n' },
  {
    name: 'requests whose body does not come',
    sources: SEVERAL,
    sends: 'PUT /level HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc',
  },
  {
    name: 'clients that do not read their answers',
    sources: SEVERAL,
    sends: 'GET /big HTTP/1.1\r\nHost: a\r\n\r\n',
  },
  {
    name: 'connections kept after an answer',
    sources: SEVERAL,
    sends: 'GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n',
  },
];

let server: RunningHttpServer;
let port = 0;
const clients: Socket[] = [];

beforeEach(async () => {
  server = serveHttp({
    name: 'test',
    most: 100,
    addresses: [{ host: LOOPBACK, port: 0 }],
    bindAddressHardFail: false,
    clock: systemClock,
    log: createLogger('silent'),
    routes: new Map([
      ['/healthz', () => plainText(200, 'ok')],
      ['/big', () => plainText(200, BIG)],
      ['PUT /level', ({ body }: { readonly body: string }) => plainText(200, body)],
    ]),
  });
  await server.bound;
  port = server.addresses()[0]?.port ?? 0;
});

afterEach(async () => {
  for (const client of clients.splice(0)) client.destroy();
  await server.close();
});

/** A port of the loopback that was free a moment ago. */
async function freePort(): Promise<number> {
  const holder = createServer().listen(0, '127.0.0.1');
  await once(holder, 'listening');
  const address = holder.address();
  holder.close();
  await once(holder, 'close');
  if (typeof address !== 'object' || address === null) throw new Error('not bound');
  return address.port;
}

/** Connections that stay as long as the server leaves them. */
async function crowd(count: number, sources: readonly string[], sends: string, to = port) {
  const connected = Array.from({ length: count }, async (_, i) => {
    const localAddress = sources[i % sources.length] ?? '';
    const client = connect({ host: '127.0.0.1', port: to, localAddress });
    clients.push(client);
    client.on('error', () => {});
    if (!sends.includes('/big')) client.resume();
    await new Promise((resolve) => client.once('connect', resolve).once('close', resolve));
    if (sends !== '') client.write(sends);
  });
  await Promise.all(connected);
  await sleep(50);
}

async function probes(path: string, to = port): Promise<number> {
  let answered = 0;
  for (let i = 0; i < 50; i++) {
    const signal = AbortSignal.timeout(PROBE_MS);
    const headers = { Connection: 'close' };
    const reply = fetch(`http://127.0.0.1:${to}${path}`, { signal, headers });
    if ((await reply.catch(() => undefined))?.ok === true) answered++;
  }
  return answered;
}

test.each(CROWDS)(
  '50 of 50 probes are answered beside 130 $name',
  LONG,
  async ({ sources, sends }) => {
    await crowd(130, sources, sends);
    expect(await probes('/healthz')).toBe(50);
  },
);

test('a client that sends a byte now and then gives way too', LONG, async () => {
  await crowd(130, SEVERAL, 'G');
  const drip = setInterval(() => {
    for (const client of clients) if (!client.destroyed) client.write('E');
  }, 20);
  expect(await probes('/healthz')).toBe(50);
  clearInterval(drip);
});

test('connections that come again and again keep nobody out', LONG, async () => {
  let isOver = false;
  const again = Array.from({ length: 120 }, async () => {
    while (!isOver) {
      const client = connect({ host: '127.0.0.1', port, localAddress: '127.0.0.2' });
      await new Promise((resolve) =>
        client
          .on('error', () => {})
          .once('close', resolve)
          .resume(),
      );
    }
  });
  await sleep(100);
  const answered = await probes('/healthz');
  isOver = true;
  await server.close();
  await Promise.all(again);
  expect(answered).toBe(50);
});

describe('health ports of Services', () => {
  test('share their seats, and probes of each are answered', LONG, async () => {
    const ports = await Promise.all([freePort(), freePort(), freePort()]);
    const log = createLogger('silent');
    const servers = new ServiceHealthServers({
      isProxyHealthy: () => true,
      nodeName: 'node',
      mostPorts: 100,
      most: 200,
      events: { send: () => {} },
      log,
    });
    const wanted = ports.map((port) => ({
      address: LOOPBACK,
      check: { namespace: 'default', name: `s${port}`, port, localEndpoints: 1 },
    }));
    servers.update(4, wanted);
    await until('all listen', async () => (await probes('/', ports[2])) === 50);
    for (const to of ports) await crowd(130, SEVERAL, '', to);
    await until('the others are closed', () => {
      return clients.filter((client) => !client.destroyed).length <= 200;
    });
    const answered = await Promise.all(ports.map((to) => probes('/', to)));
    servers.close();
    expect(answered).toEqual([50, 50, 50]);
  });
});
