import { createServer } from 'node:net';
import { afterEach, describe, expect, test } from 'vitest';
import type { EventNote } from '../../../../src/agent/objects/events.ts';
import { ServiceHealthServers } from '../../../../src/agent/proxy/service-health.ts';
import { type IP, parseIP } from '../../../../src/net/ip.ts';
import type { HealthListener } from '../../../../src/proxy/health.ts';
import { createLogger } from '../../../../src/util/log.ts';

const LOOPBACK = parseIP('127.0.0.1');
const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0)) await close();
});

function start(mostPorts = 100) {
  const facts = { isHealthy: true };
  const events: EventNote[] = [];
  const servers = new ServiceHealthServers({
    most: 200,
    mostPorts,
    isProxyHealthy: () => facts.isHealthy,
    nodeName: 'node-a',
    events: { send: (event) => events.push(event) },
    log: createLogger('silent'),
  });
  closers.push(() => servers.close());
  return { facts, events, servers };
}

function listener(port: number, localEndpoints: number, name = 'web', address: IP = LOOPBACK) {
  const check = { namespace: 'ns', name, port, localEndpoints };
  return { address, check } satisfies HealthListener;
}

/** A port of the loopback that was free a moment ago. */
async function freePort(): Promise<number> {
  const { port, free } = await takePort();
  await free();
  return port;
}

async function takePort(address: string = LOOPBACK) {
  const blocker = createServer();
  await new Promise<void>((resolve) => blocker.listen(0, address, () => resolve()));
  const bound = blocker.address();
  if (typeof bound !== 'object' || bound === null) throw new Error('not bound');
  const free = () => new Promise((resolve) => blocker.close(resolve));
  return { port: bound.port, free };
}

async function ask(port: number, path = '/', address: string = LOOPBACK) {
  try {
    const response = await fetch(`http://${address}:${port}${path}`);
    const { status, headers } = response;
    return {
      status,
      weight: headers.get('x-load-balancing-endpoint-weight'),
      headers,
      body: await response.text(),
    };
  } catch {
    return { status: 'refused' as const };
  }
}

const statusOf = (port: number, address?: string) => async () =>
  (await ask(port, '/', address)).status;

describe('ServiceHealthServers', () => {
  test('any path, byte for byte', async () => {
    const { servers } = start();
    const port = await freePort();
    servers.update(4, [listener(port, 2)]);
    await expect.poll(statusOf(port)).toBe(200);
    const answer = await ask(port, '/whatever?x=y');
    expect(answer).toMatchObject({
      status: 200,
      weight: '2',
      body: [
        '{',
        '\t"service": {',
        '\t\t"namespace": "ns",',
        '\t\t"name": "web"',
        '\t},',
        '\t"localEndpoints": 2,',
        '\t"serviceProxyHealthy": true',
        '}',
      ].join('\n'),
    });
    expect([
      answer.headers?.get('content-type'),
      answer.headers?.get('x-content-type-options'),
    ]).toEqual(['application/json', 'nosniff']);
  });

  test('no more ports than there are descriptors for; the next one comes when one goes', async () => {
    const { servers, events } = start(1);
    const [first, second] = [await freePort(), await freePort()];
    servers.update(4, [listener(first, 1)]);
    await expect.poll(statusOf(first)).toBe(200);
    for (let i = 0; i < 2; i++) servers.update(4, [listener(first, 1), listener(second, 1, 'b')]);
    expect(await statusOf(second)()).toBe('refused');
    expect(events.map(({ note }) => note)).toEqual([
      `node node-a failed to start healthcheck "ns/b" on port ${second}: ` +
        '1 health ports are served already, for want of open files',
    ]);
    servers.update(4, [listener(second, 1, 'b')]);
    await expect.poll(statusOf(second)).toBe(200);
  });

  test('a namespace that wants every port leaves the others theirs', async () => {
    const { servers } = start(3);
    const ports: number[] = [];
    for (let i = 0; i < 5; i++) ports.push(await freePort());
    const greedy = ports.slice(1).map((port, i) => listener(port, 1, `greedy-${i}`));
    servers.update(4, greedy);
    await expect.poll(statusOf(ports[3] ?? 0)).toBe(200);
    const modest = listener(ports[0] ?? 0, 1);
    servers.update(4, [...greedy, { ...modest, check: { ...modest.check, namespace: 'other' } }]);
    await expect.poll(statusOf(ports[0] ?? 0)).toBe(200);
    const answers = await Promise.all(ports.map((port) => statusOf(port)()));
    expect(answers).toEqual([200, 200, 200, 'refused', 'refused']);
  });

  test('503 without endpoints, and while the proxy does not keep up', async () => {
    const { servers, facts } = start();
    const port = await freePort();
    servers.update(4, [listener(port, 0)]);
    await expect.poll(statusOf(port)).toBe(503);
    servers.update(4, [listener(port, 1)]);
    expect((await ask(port)).status).toBe(200);
    facts.isHealthy = false;
    expect(await ask(port)).toMatchObject({
      status: 503,
      weight: '1',
      body: expect.stringContaining('"serviceProxyHealthy": false'),
    });
  });

  test('a port that changes hands, one that goes, one that comes', async () => {
    const { servers } = start();
    const [one, two] = [await freePort(), await freePort()];
    servers.update(4, [listener(one, 1)]);
    await expect.poll(statusOf(one)).toBe(200);
    servers.update(4, [listener(one, 1, 'other'), listener(two, 1)]);
    await expect.poll(statusOf(two)).toBe(200);
    expect((await ask(one)).body).toContain('"other"');
    servers.update(4, [listener(two, 1)]);
    expect([(await ask(one)).status, (await ask(two)).status]).toEqual(['refused', 200]);
  });

  test('one server per address, and the addresses are followed', async () => {
    const { servers } = start();
    const port = await freePort();
    const [first, second] = ['127.0.0.2', '127.0.0.3'];
    servers.update(4, [listener(port, 1, 'web', parseIP(first))]);
    await expect.poll(statusOf(port, first)).toBe(200);
    servers.update(4, [listener(port, 1, 'web', parseIP(second))]);
    await expect.poll(statusOf(port, second)).toBe(200);
    expect([await statusOf(port, first)(), await statusOf(port)()]).toEqual(['refused', 'refused']);
  });

  test('both families beside each other, each with its own count', async () => {
    const { servers } = start();
    const port = await freePort();
    servers.update(4, [listener(port, 1, 'web', parseIP('0.0.0.0'))]);
    servers.update(6, [listener(port, 3, 'web', parseIP('::'))]);
    await expect.poll(statusOf(port)).toBe(200);
    await expect.poll(statusOf(port, '[::1]')).toBe(200);
    expect([(await ask(port)).weight, (await ask(port, '/', '[::1]')).weight]).toEqual(['1', '3']);
  });

  test('a port that is taken: one event, and another attempt with each sync', async () => {
    const { servers, events } = start();
    const { port, free } = await takePort();
    servers.update(4, [listener(port, 1)]);
    await expect.poll(() => events.length).toBe(1);
    const [problem, ...others] = servers.problems();
    expect(others).toEqual([]);
    expect(problem).toMatch(
      new RegExp(`^health of Service ns/web is not served at 127.0.0.1:${port}: .*EADDRINUSE`),
    );
    expect(events[0]).toMatchObject({
      about: { kind: 'Service', namespace: 'ns', name: 'web' },
      type: 'Warning',
      reason: 'FailedToStartServiceHealthcheck',
      action: 'Listen',
      note: expect.stringMatching(
        new RegExp(
          `^node node-a failed to start healthcheck "ns/web" on port ${port}: .*EADDRINUSE`,
        ),
      ),
    });
    await free();
    await expect
      .poll(async () => {
        servers.update(4, [listener(port, 1)]);
        return (await ask(port)).status;
      })
      .toBe(200);
    expect(events.length).toBe(1);
    expect(servers.problems()).toEqual([]);
  });

  test('a Service that goes takes its problem with it', async () => {
    const { servers } = start();
    const { port, free } = await takePort();
    servers.update(4, [listener(port, 1)]);
    await expect.poll(() => servers.problems().length).toBe(1);
    servers.update(4, []);
    expect(servers.problems()).toEqual([]);
    await free();
  });

  test('a server that is closed before it listens stays closed', async () => {
    const { servers } = start();
    const port = await freePort();
    servers.update(4, [listener(port, 1)]);
    servers.update(4, []);
    servers.update(4, [listener(port, 7, 'again')]);
    await expect.poll(statusOf(port)).toBe(200);
    expect((await ask(port)).weight).toBe('7');
    servers.close();
    expect((await ask(port)).status).toBe('refused');
  });
});
