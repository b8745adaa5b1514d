import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { ClusterAccess } from '../../../../src/kube/access/access.ts';
import { CombinedCredentials } from '../../../../src/kube/access/credentials.ts';
import { fixedText } from '../../../../src/kube/access/file-cache.ts';
import { ApiClient, type ClientTimings } from '../../../../src/kube/api/client.ts';
import { ServerSource } from '../../../../src/kube/api/server-source.ts';
import { nodes, services } from '../../../../src/kube/resources.ts';
import type { Service } from '../../../../src/kube/types.ts';
import { systemClock } from '../../../../src/util/clock.ts';
import { createAuthority } from '../../../support/certificates.ts';
import { FakeApiServer, type FakeApiServerOptions } from '../../../support/fake-api-server.ts';
import { RecordingHandlers, recordingLog, serviceObject } from '../../../support/kube.ts';
import { until } from '../../../support/until.ts';

const authority = createAuthority();
let abort: AbortController;
let servers: FakeApiServer[];
beforeEach(() => {
  abort = new AbortController();
  servers = [];
});
afterEach(async () => {
  abort.abort();
  await Promise.all(servers.map((server) => server.stop()));
});

/** A server of the same cluster, with Service `a`, which listens. */
async function startServer(options: FakeApiServerOptions = {}): Promise<FakeApiServer> {
  const server = new FakeApiServer({ authority, ...options });
  await server.start();
  server.put('services', serviceObject('a'));
  servers.push(server);
  return server;
}

function accessTo(server: FakeApiServer, change: Partial<ClusterAccess> = {}): ClusterAccess {
  return {
    server: new URL(server.url),
    credentials: new CombinedCredentials({
      token: fixedText('t'),
      certificateAuthority: fixedText(authority.certificate),
    }),
    isTlsVerified: true,
    ...change,
  };
}

/** A client of the servers in this order, and which of them it told of. */
function connect(accesses: readonly ClusterAccess[], timings: Partial<ClientTimings> = {}) {
  const [access, ...alternatives] = accesses;
  if (access === undefined) throw new Error('no server');
  const chosen: string[] = [];
  const client = new ApiClient({
    ...{ access, alternatives, version: 'test', clock: systemClock, random: () => 0, timings },
    onServer: ({ server }) => chosen.push(server.origin),
  });
  abort.signal.addEventListener('abort', () => client.close());
  const count = async () => {
    const request = { resource: services, usesFieldSelector: true, signal: abort.signal };
    return (await client.list(request, () => 0)).objects.length;
  };
  return { client, chosen, count };
}

describe.each([{}, { speaksOnlyHttp1: true }])('of several servers %j', (options) => {
  test('one that is dead at the start is passed over, once', async () => {
    const [dead, alive] = [await startServer(options), await startServer(options)];
    await dead.stop();
    const { count, chosen, client } = connect([accessTo(dead), accessTo(alive)]);
    expect([await count(), await count()]).toEqual([1, 1]);
    expect(chosen).toEqual([alive.url]);
    expect(client.access.server.origin).toBe(alive.url);
  });

  test('one that dies is left, and not gone back to while the other answers', async () => {
    const [first, second] = [await startServer(options), await startServer(options)];
    const { count, chosen } = connect([accessTo(first), accessTo(second)]);
    await count();
    await first.stop();
    expect(await count()).toBe(1);
    await first.start();
    const before = first.requests.length;
    expect([await count(), await count()]).toEqual([1, 1]);
    expect(first.requests).toHaveLength(before);
    await second.stop();
    expect(await count()).toBe(1);
    expect(chosen).toEqual([first.url, second.url, first.url]);
  });

  test('one that is silent is left after its time', async () => {
    const [silent, other] = [await startServer(options), await startServer(options)];
    silent.isSilent = true;
    const { count, chosen } = connect([accessTo(silent), accessTo(other)], {
      requestTimeoutMs: 1_500,
    });
    expect([await count(), chosen]).toEqual([1, [other.url]]);
  });

  test('all are tried once before it fails', async () => {
    const [first, second] = [await startServer(options), await startServer(options)];
    await Promise.all([first.stop(), second.stop()]);
    const { count, chosen } = connect([accessTo(first), accessTo(second)]);
    await expect(count()).rejects.toMatchObject({ code: 'IO' });
    await second.start();
    expect([await count(), chosen]).toEqual([1, [second.url]]);
  });
});

test('one with the certificate of another authority is not trusted', async () => {
  const impostor = await startServer({ authority: createAuthority() });
  const alone = connect([accessTo(impostor)]);
  await expect(alone.count()).rejects.toThrow(/certificate/);
  const honest = await startServer();
  const { count, chosen } = connect([accessTo(impostor), accessTo(honest)]);
  expect([await count(), chosen]).toEqual([1, [honest.url]]);
  expect(impostor.requests).toEqual([]);
});

test('the name in the certificate is that of each server', async () => {
  const [first, second] = [await startServer(), await startServer({ names: ['DNS:kubernetes'] })];
  const misnamed = accessTo(first, { tlsServerName: 'kubernetes' });
  const named = accessTo(second, { tlsServerName: 'kubernetes' });
  const { count, chosen } = connect([misnamed, named]);
  expect([await count(), chosen]).toEqual([1, [second.url]]);
});

test('what is written is not sent twice, and the next goes to another server', async () => {
  const [first, second] = [await startServer(), await startServer()];
  const { client } = connect([accessTo(first), accessTo(second)]);
  first.resetNext(({ method }) => method === 'POST');
  const create = () =>
    client.create('/api/v1/namespaces/default/events', { metadata: { name: 'e' } }, abort.signal);
  await expect(create()).rejects.toThrow();
  await create();
  expect([first.created.length, second.created.length]).toEqual([0, 1]);
});

test('one that reports only faults of its own is left', async () => {
  const [broken, other] = [await startServer(), await startServer()];
  for (let i = 0; i < 3; i++) broken.failNext(() => true, 500);
  const { count, chosen } = connect([accessTo(broken), accessTo(other)]);
  for (let i = 0; i < 3; i++) await expect(count()).rejects.toMatchObject({ status: 500 });
  expect([await count(), chosen]).toEqual([1, [other.url]]);
});

test('refusals are answers: nobody else is asked', async () => {
  const [refusing, other] = [await startServer(), await startServer()];
  const { count } = connect([accessTo(refusing), accessTo(other)]);
  for (let i = 0; i < 5; i++) {
    refusing.failNext(() => true, 403);
    await expect(count()).rejects.toMatchObject({ status: 403 });
  }
  expect(other.requests).toEqual([]);
});

test('watches of all kinds move together, and miss nothing', async () => {
  const [first, second] = [await startServer(), await startServer()];
  for (const server of [first, second]) server.put('nodes', { metadata: { name: 'n' } });
  const { client, chosen } = connect([accessTo(first), accessTo(second)]);
  const backoff = { minMs: 5, maxMs: 20 };
  const { log } = recordingLog();
  const source = new ServerSource({ client, clock: systemClock, random: () => 0, log, backoff });
  const handlers = new RecordingHandlers<Service>();
  source.watch(services, handlers);
  source.watch(nodes(), { onAdd: () => {}, onUpdate: () => {}, onDelete: () => {} });
  source.start(abort.signal);
  await until('both kinds are watched', () => first.watchCount === 2);
  await first.stop();
  await until('both are watched at the other', () => second.watchCount === 2);
  second.put('services', serviceObject('b'));
  await until('it is told', () => handlers.events.includes('add default/b'));
  expect(handlers.events.filter((event) => event.startsWith('delete'))).toEqual([]);
  expect(chosen).toEqual([first.url, second.url]);
});
