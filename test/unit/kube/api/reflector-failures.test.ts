import { describe, expect, test } from 'vitest';
import { Reflector } from '../../../../src/kube/api/reflector.ts';
import { nodes, services } from '../../../../src/kube/resources.ts';
import type { Service } from '../../../../src/kube/types.ts';
import { systemClock } from '../../../../src/util/clock.ts';
import { RecordingHandlers, recordingLog, serviceObject, until } from '../../../support/kube.ts';
import {
  abort,
  impatientClock,
  prepare,
  server,
  useApiServer,
  watchRequests,
  watchServices,
} from './reflector-setup.ts';

useApiServer();

describe('back-off', () => {
  test('doubles up to its limit and starts over after an event', async () => {
    const { clock, delays } = impatientClock();
    const { source } = await prepare({ clock });
    for (let index = 0; index < 7; index++) server.failNext(() => true, 500);
    const handlers = new RecordingHandlers<Service>();
    const { synced } = source.watch(services, handlers);
    source.start(abort.signal);
    await synced;
    expect(delays).toEqual([800, 1600, 3200, 6400, 12_800, 25_600, 30_000]);
    await until(() => server.watchCount === 1);
    server.put('services', serviceObject('a'));
    await until(() => handlers.events.length === 1);
    server.resetConnections();
    await until(() => delays.length === 8);
    expect(delays[7]).toBe(800);
  });

  test.each([
    { retryAfter: '7', waitsMs: 7_000 },
    { retryAfter: '99999999999', waitsMs: 300_000 },
  ])('waits as long as the server asks within reason: $retryAfter s', async (row) => {
    const { clock, delays } = impatientClock();
    const { source } = await prepare({ clock });
    server.failNext(() => true, 429, { 'retry-after': row.retryAfter });
    const { synced } = source.watch(services, new RecordingHandlers<Service>());
    source.start(abort.signal);
    await synced;
    expect(delays).toEqual([row.waitsMs]);
    expect(source.counts()[0]?.counts.failures).toEqual({ throttled: 1 });
  });

  test('slows down when the server ends watches at once', async () => {
    const { clock, delays } = impatientClock();
    await watchServices({ clock });
    server.watches.end();
    await until(() => watchRequests().length === 2 && server.watchCount === 1);
    server.watches.end();
    await until(() => watchRequests().length === 3);
    expect(delays).toEqual([800, 1600]);
  });

  test('a server that never answers is given up and asked again', async () => {
    const { source } = await prepare({ timings: { requestTimeoutMs: 30 } });
    server.isSilent = true;
    const { synced } = source.watch(services, new RecordingHandlers<Service>());
    source.start(abort.signal);
    await until(() => server.requests.length === 2);
    const failing = () => source.counts()[0]?.counts.failing;
    await until(() => failing() !== undefined);
    expect(failing()).toMatchObject({ kind: 'timeout', words: expect.stringMatching(/no answer/) });
    server.isSilent = false;
    await synced;
    await until(() => server.watchCount === 1);
    expect(failing()).toBeUndefined();
    expect(source.counts()[0]?.counts.failures.timeout).toBeGreaterThan(0);
  });

  test('a server that goes away is named in a line without a stack', async () => {
    const { source, log } = await watchServices();
    await server.stop();
    await until(() => source.counts()[0]?.counts.failing?.kind === 'refused');
    await until(() => log.text().includes('connection refused'));
    expect(log.text()).not.toContain('"stack"');
  });

  test('a server that is gone for long is told of in one line, and that it is back in another', async () => {
    const { clock } = impatientClock();
    const { source, log } = await watchServices({ clock });
    await server.stop();
    const failures = () => source.counts()[0]?.counts.failures.connection ?? 0;
    await until(() => failures() > 30);
    const warnings = () => log.text().match(/"level":"?(warn|40)\b.*list or watch failed/g) ?? [];
    expect(warnings()).toHaveLength(1);
    expect(log.text()).not.toContain('the server answers');
    await server.start();
    await until(() => server.watchCount === 1, 'the watch');
    server.put('services', serviceObject('c'));
    await server.stop();
    await until(() => log.text().includes('the server answers'));
    await until(() => warnings().length === 2);
  });

  test('a server that is not there yet is found later', async () => {
    const { source } = await prepare();
    server.resetNext(() => true);
    const { synced } = source.watch(services, new RecordingHandlers<Service>());
    source.start(abort.signal);
    await synced;
    expect(source.counts()[0]?.counts.failures).toEqual({ connection: 1 });
  });
});

test('a kept connection that the server closed meanwhile is replaced unnoticed', async () => {
  const { source } = await prepare();
  server.resetNext(({ isWatch }) => isWatch);
  source.watch(services, new RecordingHandlers<Service>());
  source.start(abort.signal);
  await until(() => server.watchCount === 1);
  expect(source.counts()[0]?.counts).toMatchObject({ watches: 1, failures: {} });
  expect(watchRequests()).toHaveLength(2);
});

describe('field selector refused', () => {
  test('filters here, with the same events as the server', async () => {
    const { source } = await prepare({ server: { refusesFieldSelectors: true } });
    server.put('services', serviceObject('a'));
    server.put('services', serviceObject('headless', { clusterIP: 'None' }));
    const handlers = new RecordingHandlers<Service>();
    const { synced } = source.watch(services, handlers);
    source.start(abort.signal);
    await synced;
    await until(() => server.watchCount === 1);
    server.put('services', serviceObject('a', { clusterIP: 'None' }));
    server.put('services', serviceObject('headless', { clusterIP: '172.30.0.12' }));
    await until(() => handlers.events.length === 3);
    expect(handlers.events).toEqual(['add default/a', 'delete default/a', 'add default/headless']);
    const asked = server.requests.map(({ query }) => query.has('fieldSelector'));
    expect(asked).toEqual([true, false, false]);
  });
});

describe('life', () => {
  test('stops with the signal and says nothing more', async () => {
    const { handlers } = await watchServices();
    handlers.take();
    abort.abort();
    await until(() => server.watchCount === 0);
    const asked = server.requests.length;
    server.put('services', serviceObject('late'));
    await new Promise((resolve) => setTimeout(resolve, 60));
    expect(handlers.events).toEqual([]);
    expect(server.requests).toHaveLength(asked);
  });

  test('a kind registered after the start is read too', async () => {
    const { source } = await watchServices();
    server.put('nodes', { kind: 'Node', metadata: { name: 'n1' } });
    const handlers = new RecordingHandlers();
    await source.watch(nodes(), handlers).synced;
    expect(handlers.events).toEqual(['add n1']);
  });

  test('a handler that throws ends the run: its consumer would stay wrong', async () => {
    const { client } = await prepare();
    server.put('services', serviceObject('a'));
    const handlers = new RecordingHandlers<Service>();
    handlers.onAdd = () => {
      throw new Error('bug');
    };
    const reflector = new Reflector({
      client,
      resource: services,
      handlers,
      clock: systemClock,
      random: () => 0,
      log: recordingLog().log,
    });
    await expect(reflector.run(abort.signal)).rejects.toThrow('add handler for default/a: bug');
    expect(reflector.replica.hasSynced).toBe(false);
  });

  test('a refused token is counted and never logged', async () => {
    const { source, log } = await prepare({ server: { authorization: 'Bearer s3cret' } });
    server.authorization = 'Bearer other';
    source.watch(services, new RecordingHandlers<Service>());
    source.start(abort.signal);
    await until(() => source.counts()[0]?.counts.failures.unauthorized === 1);
    await until(() => log.text().includes('list or watch failed'));
    expect(log.text()).not.toContain('s3cret');
  });

  test('counts what happened', async () => {
    const { source } = await watchServices();
    expect(source.counts()).toEqual([
      {
        plural: 'services',
        counts: {
          lists: 1,
          watches: 1,
          events: 0,
          objects: 2,
          withheld: 0,
          isRestored: false,
          failures: {},
        },
      },
    ]);
  });
});
