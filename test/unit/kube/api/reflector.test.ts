import { describe, expect, test } from 'vitest';
import { endpointSlices, nodes, services } from '../../../../src/kube/resources.ts';
import type { Service } from '../../../../src/kube/types.ts';
import { RecordingHandlers, serviceObject, until } from '../../../support/kube.ts';
import {
  abort,
  impatientClock,
  listRequests,
  prepare,
  server,
  useApiServer,
  watchRequests,
  watchServices,
} from './reflector-setup.ts';

useApiServer();

describe('list', () => {
  test('tells of every object before synced', async () => {
    const { handlers, source } = await watchServices();
    expect(handlers.events).toEqual(['add default/a', 'add default/b']);
    expect(source.hasSynced()).toBe(true);
  });

  test('is not synced before the first list succeeded', async () => {
    const { source } = await prepare();
    server.isSilent = true;
    source.watch(services, new RecordingHandlers<Service>());
    source.start(abort.signal);
    await until(() => server.requests.length === 1);
    expect(source.hasSynced()).toBe(false);
  });

  test('reads page by page', async () => {
    const { handlers } = await watchServices({ pageSize: 2 }, ['a', 'b', 'c', 'd', 'e']);
    expect(handlers.objects.size).toBe(5);
    expect(listRequests().map(({ query }) => query.get('limit'))).toEqual(['2', '2', '2']);
  });

  test('restarts without pages when a continue token expired', async () => {
    const { source } = await prepare({ pageSize: 1 });
    for (const name of ['a', 'b', 'c']) server.put('services', serviceObject(name));
    server.failNext(({ query }) => query.has('continue'), 410);
    const handlers = new RecordingHandlers<Service>();
    const { synced } = source.watch(services, handlers);
    source.start(abort.signal);
    await synced;
    expect(handlers.events).toEqual(['add default/a', 'add default/b', 'add default/c']);
    expect(listRequests().map(({ query }) => query.get('limit'))).toEqual(['1', '1', null]);
  });

  test('that is refused as expired is asked for again', async () => {
    const { source } = await prepare();
    server.failNext(() => true, 410);
    const { synced } = source.watch(services, new RecordingHandlers<Service>());
    source.start(abort.signal);
    await synced;
    expect(source.counts()[0]?.counts).toMatchObject({ lists: 2, failures: { expired: 1 } });
  });

  test.each([
    {
      resource: services,
      path: '/api/v1/services',
      label: '!service.kubernetes.io/service-proxy-name',
      field: 'spec.clusterIP!=None',
    },
    {
      resource: endpointSlices,
      path: '/apis/discovery.k8s.io/v1/endpointslices',
      label: '!service.kubernetes.io/headless',
      field: null,
    },
    { resource: nodes('n1'), path: '/api/v1/nodes', label: null, field: 'metadata.name=n1' },
    { resource: nodes(), path: '/api/v1/nodes', label: null, field: null },
  ])('asks for $path with its selectors', async ({ resource, path, label, field }) => {
    const { source } = await prepare();
    const ignore = { onAdd: () => {}, onUpdate: () => {}, onDelete: () => {} };
    // The rows differ in object type only, and these handlers look at none.
    source.watch(resource as never, ignore);
    source.start(abort.signal);
    await until(() => server.watchCount === 1);
    const seen = server.requests.map(({ path: asked, query }) => ({
      path: asked,
      label: query.get('labelSelector'),
      field: query.get('fieldSelector'),
    }));
    expect(seen).toEqual([
      { path, label, field },
      { path, label, field },
    ]);
  });

  test('says who it is and wants JSON', async () => {
    await watchServices();
    const [request] = server.requests;
    expect(request).toMatchObject({ userAgent: 'weft/0.0.0-test', accept: 'application/json' });
  });
});

describe('watch', () => {
  test('passes on additions, changes and deletions', async () => {
    const { handlers } = await watchServices({}, ['a']);
    handlers.take();
    server.put('services', serviceObject('b'));
    server.put('services', serviceObject('a', { clusterIP: '172.30.0.11' }));
    server.delete('services', 'default/b');
    await until(() => handlers.events.length === 3);
    expect(handlers.take()).toEqual(['add default/b', 'update default/a', 'delete default/b']);
    expect(handlers.objects.get('default/a')?.spec.clusterIP).toBe('172.30.0.11');
  });

  test('asks for bookmarks and a bounded time', async () => {
    await watchServices();
    const query = watchRequests()[0]?.query;
    expect(query?.get('allowWatchBookmarks')).toBe('true');
    expect(query?.get('timeoutSeconds')).toBe('300');
  });

  test('an object that stops matching is deleted', async () => {
    const { handlers } = await watchServices({}, ['a']);
    server.put('services', serviceObject('a', { clusterIP: 'None' }));
    await until(() => handlers.events.length === 2);
    expect(handlers.events).toEqual(['add default/a', 'delete default/a']);
  });

  test('a deletion carries the last known object', async () => {
    const { handlers } = await watchServices({}, ['a']);
    const known = handlers.objects.get('default/a');
    let deleted: Service | undefined;
    handlers.onDelete = (object) => {
      deleted = object;
    };
    server.delete('services', 'default/a');
    await until(() => deleted !== undefined);
    expect(deleted).toBe(known);
  });

  test('resumes after a bookmark from exactly there', async () => {
    const { handlers } = await watchServices();
    const bookmark = server.sendBookmarks();
    await new Promise((resolve) => setTimeout(resolve, 20));
    server.watches.end();
    await until(() => watchRequests().length === 2);
    expect(watchRequests()[1]?.query.get('resourceVersion')).toBe(bookmark);
    expect(listRequests()).toHaveLength(1);
    expect(handlers.events).toHaveLength(2);
  });

  test('resumes after a reset from the last event and misses nothing', async () => {
    const { handlers } = await watchServices({}, ['a']);
    server.put('services', serviceObject('b'));
    await until(() => handlers.events.length === 2);
    const last = String(server.objects.version);
    server.putSilently('services', serviceObject('c'));
    server.resetConnections();
    await until(() => handlers.events.length === 3);
    expect(handlers.events[2]).toBe('add default/c');
    expect(watchRequests().at(-1)?.query.get('resourceVersion')).toBe(last);
    expect(listRequests()).toHaveLength(1);
  });

  test('a silent watch is cut and resumed', async () => {
    const { source } = await watchServices({ timings: { watchIdleMs: 60 } });
    await until(() => watchRequests().length >= 2);
    expect(source.counts()[0]?.counts.failures).toMatchObject({ timeout: expect.any(Number) });
    expect(listRequests()).toHaveLength(1);
  });

  test('bookmarks keep a watch alive', async () => {
    await watchServices({ timings: { watchIdleMs: 150 } });
    for (let index = 0; index < 10; index++) {
      await new Promise((resolve) => setTimeout(resolve, 30));
      server.sendBookmarks();
    }
    expect(watchRequests()).toHaveLength(1);
  });

  test('reads events however they are cut into chunks', async () => {
    const { handlers } = await watchServices({}, ['a']);
    const object = serviceObject('ü', { externalIPs: ['203.0.113.1'] });
    const metadata = { ...object.metadata, resourceVersion: '2000' };
    const event = { type: 'ADDED', object: { ...object, metadata } };
    for (const byte of Buffer.from(`${JSON.stringify(event)}\n`)) {
      server.watches.sendRaw(Buffer.from([byte]));
      if (byte > 127) await new Promise((resolve) => setTimeout(resolve, 5));
    }
    await until(() => handlers.events.length === 2);
    expect(handlers.events[1]).toBe('add default/ü');
  });

  test('an unreadable line ends the watch, which resumes', async () => {
    const { source } = await watchServices();
    server.watches.sendRaw(Buffer.from('{"type":\n'));
    await until(() => watchRequests().length === 2);
    expect(source.counts()[0]?.counts.failures).toEqual({ decode: 1 });
    expect(listRequests()).toHaveLength(1);
  });

  test('an object that cannot be read leaves the last good one', async () => {
    const { handlers, source } = await watchServices({}, ['a']);
    server.put('services', serviceObject('a', { ports: [{ port: 'http' }] }));
    server.put('services', serviceObject('b'));
    await until(() => handlers.events.length === 2);
    expect(handlers.events).toEqual(['add default/a', 'add default/b']);
    expect(source.counts()[0]?.counts.failures).toEqual({ decode: 1 });
  });
});

describe('relist', () => {
  test.each([{ expiredWatch: 'status' }, { expiredWatch: 'event' }] as const)(
    'after 410 as $expiredWatch emits only real differences',
    async ({ expiredWatch }) => {
      const { handlers, source } = await watchServices({ server: { expiredWatch } }, [
        'a',
        'b',
        'c',
      ]);
      handlers.take();
      server.deleteSilently('services', 'default/a');
      server.putSilently('services', serviceObject('b', { clusterIP: '172.30.0.99' }));
      server.putSilently('services', serviceObject('d'));
      server.objects.compact();
      server.resetConnections();
      await until(() => handlers.events.length >= 3);
      expect(handlers.take()).toEqual(['delete default/a', 'update default/b', 'add default/d']);
      expect(source.counts()[0]?.counts).toMatchObject({ lists: 2, objects: 3 });
    },
  );

  test('of identical objects tells nothing', async () => {
    const { handlers } = await watchServices();
    handlers.take();
    server.objects.compact();
    server.resetConnections();
    await until(() => listRequests().length === 2 && server.watchCount === 1);
    expect(handlers.events).toEqual([]);
  });

  test('follows an ERROR event of any status', async () => {
    const { handlers } = await watchServices();
    server.deleteSilently('services', 'default/a');
    server.watches.sendError(500, 'InternalError');
    await until(() => handlers.events.length === 3);
    expect(handlers.events[2]).toBe('delete default/a');
    expect(listRequests()).toHaveLength(2);
  });

  test('expiring again and again is slowed down', async () => {
    const { clock, delays } = impatientClock();
    await watchServices({ clock });
    for (let round = 2; round <= 5; round++) {
      server.watches.sendError(410, 'Expired');
      await until(() => listRequests().length === round && server.watchCount === 1);
    }
    expect(delays).toEqual([0, 1600, 3200, 6400]);
  });

  test('is not needed when a watch is answered with a server fault', async () => {
    const { source } = await watchServices();
    server.failNext(({ isWatch }) => isWatch, 503);
    server.watches.end();
    await until(() => watchRequests().length === 3);
    expect(listRequests()).toHaveLength(1);
    expect(source.counts()[0]?.counts.failures).toEqual({ server: 1 });
  });
});
