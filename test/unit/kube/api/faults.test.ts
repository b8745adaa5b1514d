import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { endpointSlices, serviceCIDRs, services } from '../../../../src/kube/resources.ts';
import type { EndpointSlice, Service, ServiceCIDR } from '../../../../src/kube/types.ts';
import { keyOf } from '../../../support/fake-api-objects.ts';
import { RecordingHandlers, serviceObject, until } from '../../../support/kube.ts';
import {
  abort,
  connect,
  directory,
  listRequests,
  prepare,
  type Setup,
  server,
  useApiServer,
  watchRequests,
  watchServices,
} from './reflector-setup.ts';

useApiServer();

/** What the server holds, by key, as the handlers should end up holding it. */
function held(): Record<string, unknown> {
  const ofServer = server.objects.list('services');
  return Object.fromEntries(
    ofServer.map((object) => [keyOf(object), object.metadata.resourceVersion]),
  );
}

function told(handlers: RecordingHandlers<Service>): Record<string, unknown> {
  return Object.fromEntries(
    [...handlers.objects].map(([key, { metadata }]) => [key, metadata.resourceVersion]),
  );
}

async function untilSame(handlers: RecordingHandlers<Service>): Promise<void> {
  const sorted = (record: Record<string, unknown>) => JSON.stringify(Object.entries(record).sort());
  await until(() => sorted(told(handlers)) === sorted(held()), 'the server and us to agree');
}

const changed = (name: string, last: number) =>
  serviceObject(name, { clusterIP: `172.30.0.${last}` });

describe('connections', () => {
  test('a watch cut within an event resumes before it', async () => {
    const { handlers, source } = await watchServices({}, ['a']);
    const before = String(server.objects.version);
    server.watches.cutNextEvent(40);
    server.put('services', changed('a', 77));
    await untilSame(handlers);
    expect(watchRequests()[1]?.query.get('resourceVersion')).toBe(before);
    expect(listRequests()).toHaveLength(1);
    expect(source.counts()[0]?.counts.failures).toEqual({ connection: 1 });
  });

  test('a list cut in the middle is read again, and nothing of it counts', async () => {
    const { source } = await prepare();
    server.put('services', serviceObject('a'));
    server.cutNext(({ isWatch }) => !isWatch);
    const handlers = new RecordingHandlers<Service>();
    const { synced } = source.watch(services, handlers);
    source.start(abort.signal);
    await synced;
    expect(handlers.events).toEqual(['add default/a']);
    expect(source.counts()[0]?.counts.failures).toEqual({ connection: 1 });
  });

  test('a slow list is waited for as long as it moves', async () => {
    const { source } = await prepare({ timings: { requestTimeoutMs: 150 } });
    for (const name of ['a', 'b', 'c']) server.put('services', serviceObject(name));
    server.slowness = { pieces: 12, everyMs: 25 };
    const handlers = new RecordingHandlers<Service>();
    const { synced } = source.watch(services, handlers);
    source.start(abort.signal);
    await synced;
    expect(handlers.objects.size).toBe(3);
    expect(source.counts()[0]?.counts).toMatchObject({ lists: 1, failures: {} });
  });

  test('a server that is killed and comes back is followed again, without a list', async () => {
    const { handlers } = await watchServices({}, ['a']);
    await server.stop();
    server.putSilently('services', serviceObject('b'));
    await new Promise((resolve) => setTimeout(resolve, 50));
    expect(handlers.events).toEqual(['add default/a']);
    await server.start();
    await untilSame(handlers);
    expect(listRequests()).toHaveLength(1);
  });

  test('several kinds share connections for their lists', async () => {
    const { source } = await prepare({ pageSize: 1 });
    for (const name of ['a', 'b', 'c']) server.put('services', serviceObject(name));
    const { synced } = source.watch(services, new RecordingHandlers<Service>());
    source.start(abort.signal);
    await synced;
    await until(() => server.watches.size === 1);
    expect(listRequests()).toHaveLength(3);
    expect(server.connectionCount).toBe(1);
  });
});

describe('order of events', () => {
  const rearranged: { name: string; order: (events: readonly never[]) => readonly never[] }[] = [
    { name: 'reversed', order: (events) => events.toReversed() },
    { name: 'each twice', order: (events) => events.flatMap((event) => [event, event]) },
    { name: 'all again', order: (events) => [...events, ...events] },
    { name: 'the first one last', order: ([first, ...rest]) => [...rest, first as never] },
  ];
  test.each(rearranged)('events $name end in the state of the server', async ({ order }) => {
    const { handlers } = await watchServices({}, ['a', 'b']);
    server.watches.holdEvents();
    server.put('services', changed('a', 41));
    server.put('services', serviceObject('c'));
    server.put('services', changed('a', 42));
    server.delete('services', 'default/b');
    server.delete('services', 'default/c');
    server.put('services', changed('d', 43));
    server.watches.releaseEvents(order as never);
    await untilSame(handlers);
    // It stays so.
    server.put('services', serviceObject('last'));
    await untilSame(handlers);
    expect(handlers.events.filter((event) => event === 'delete default/b')).toHaveLength(1);
  });
});

describe('a server that went back to older data', () => {
  const many = Array.from({ length: 6 }, (_, index) => `s-${index}`);

  async function rewound(setup: Setup) {
    const started = await watchServices(setup, many);
    const backup = server.objects.version;
    server.put('services', changed('s-0', 90));
    server.put('services', serviceObject('new'));
    server.delete('services', 'default/s-1');
    await untilSame(started.handlers);
    await server.stop();
    server.objects.rewind(backup);
    // Versions of the lost future are used again, for other contents.
    server.putSilently('services', changed('s-0', 91));
    await server.start();
    return started;
  }

  test('is noticed by its bookmark', async () => {
    const { handlers, source, log } = await rewound({});
    await until(() => watchRequests().length === 2 && server.watches.size === 1);
    server.watches.sendBookmarks(server.objects.version);
    await untilSame(handlers);
    expect(handlers.objects.get('default/s-0')?.spec.clusterIP).toBe('172.30.0.91');
    expect(handlers.objects.has('default/new')).toBe(false);
    expect(source.counts()[0]?.counts.failures.rewound).toBeGreaterThan(0);
    expect(log.text()).toContain('the server went back to older data');
  });

  test('is noticed when it refuses the version', async () => {
    const { handlers, source } = await rewound({ server: { futureWatch: 'refused' } });
    await untilSame(handlers);
    expect(handlers.objects.get('default/s-0')?.spec.clusterIP).toBe('172.30.0.91');
    expect(source.counts()[0]?.counts.failures.rewound).toBe(1);
  });
});

describe('a list of half the objects', () => {
  const names = Array.from({ length: 40 }, (_, index) => `s-${String(index).padStart(2, '0')}`);
  const isOdd = ({ metadata: { name } }: { metadata: { name: string } }) =>
    Number(name.slice(2)) % 4 === 1;

  async function lied(source: Setup['source']) {
    const started = await watchServices({ source: source ?? {} }, names);
    started.handlers.take();
    server.isListed = isOdd;
    server.putSilently('services', changed('s-01', 99));
    server.objects.compact();
    server.resetConnections();
    await until(() => listRequests().length === 2 && server.watches.size === 1);
    return started;
  }

  test('changes what it holds and deletes nothing', async () => {
    const { handlers, source, log } = await lied({});
    await until(() => handlers.events.length > 0);
    expect(handlers.take()).toEqual(['update default/s-01']);
    expect(source.counts()[0]?.counts).toMatchObject({ objects: 40, withheld: 30 });
    const [warning] = log.records.filter(({ withheld }) => withheld !== undefined);
    expect(warning).toMatchObject({ level: 'warn', kind: 'Service', held: 40, listed: 10 });
  });

  test('is forgotten when the next list is whole', async () => {
    const { handlers, source } = await lied({ massDeletionHoldMs: 100 });
    server.isListed = () => true;
    await until(() => source.counts()[0]?.counts.withheld === 0);
    expect(handlers.events).toEqual(['update default/s-01']);
    expect(listRequests()).toHaveLength(3);
  });

  test('counts when the next list says the same', async () => {
    const { handlers } = await lied({ massDeletionHoldMs: 100 });
    await until(() => handlers.objects.size === 10);
    expect(listRequests()).toHaveLength(3);
  });

  test('counts at once where mass deletion is allowed', async () => {
    const { handlers } = await lied({ allowMassDeletion: true });
    await until(() => handlers.objects.size === 10);
    expect(listRequests()).toHaveLength(2);
  });

  test('does not stop what the watch tells', async () => {
    const { handlers, source } = await lied({});
    handlers.take();
    server.delete('services', 'default/s-02');
    server.put('services', changed('s-03', 98));
    await until(() => handlers.events.length === 2);
    expect(handlers.take()).toEqual(['delete default/s-02', 'update default/s-03']);
    expect(source.counts()[0]?.counts.withheld).toBe(28);
  });

  test('endpoints count one by one, also in slices that stay', async () => {
    const { source } = await prepare();
    const slice = (count: number) => ({
      kind: 'EndpointSlice',
      metadata: { name: 'web-1', namespace: 'default' },
      addressType: 'IPv4',
      endpoints: Array.from({ length: count }, (_, index) => ({ addresses: [`10.0.0.${index}`] })),
    });
    server.put('endpointslices', slice(30));
    const handlers = new RecordingHandlers<EndpointSlice>();
    const { synced } = source.watch(endpointSlices, handlers);
    source.start(abort.signal);
    await synced;
    await until(() => server.watches.size === 1);
    server.putSilently('endpointslices', slice(3));
    server.objects.compact();
    server.resetConnections();
    await until(() => source.counts()[0]?.counts.withheld === 1);
    expect(handlers.objects.get('default/web-1')?.endpoints).toHaveLength(30);
  });
});

describe('kinds that are not everywhere', () => {
  test.each([404, 403])('answered with %i count as empty', async (status) => {
    const { source } = await prepare();
    if (status === 404) server.missingKinds.add('servicecidrs');
    else server.failNext(() => true, 403);
    const { synced } = source.watch(serviceCIDRs, new RecordingHandlers<ServiceCIDR>());
    source.start(abort.signal);
    await synced;
    expect(source.hasSynced()).toBe(true);
  });

  test('are read where they are', async () => {
    const { source } = await prepare();
    server.put('servicecidrs', {
      metadata: { name: 'kubernetes' },
      spec: { cidrs: ['fd00::/108'] },
    });
    const handlers = new RecordingHandlers<ServiceCIDR>();
    const { synced } = source.watch(serviceCIDRs, handlers);
    source.start(abort.signal);
    await synced;
    expect(handlers.objects.get('kubernetes')?.spec.cidrs).toEqual(['fd00::/108']);
  });

  test('a kind that must be there is waited for', async () => {
    const { source } = await prepare();
    server.missingKinds.add('services');
    source.watch(services, new RecordingHandlers<Service>());
    source.start(abort.signal);
    await until(() => (source.counts()[0]?.counts.failures.missing ?? 0) > 1);
    expect(source.hasSynced()).toBe(false);
  });
});

describe('a token that expires', () => {
  test('is read again from its file, and the watch goes on where it was', async () => {
    await prepare({ server: { authorization: 'Bearer one' } });
    const tokenFile = join(directory, 'token');
    writeFileSync(tokenFile, 'one');
    server.kubeconfig(join(directory, 'config'), { tokenFile });
    const { source } = await connect({ keepsConfig: true });
    const handlers = new RecordingHandlers<Service>();
    source.watch(services, handlers);
    source.start(abort.signal);
    await until(() => server.watches.size === 1);
    server.authorization = 'Bearer two';
    server.watches.end();
    await until(() => (source.counts()[0]?.counts.failures.unauthorized ?? 0) > 0);
    writeFileSync(tokenFile, 'two');
    server.put('services', serviceObject('a'));
    await until(() => handlers.events.length === 1);
    expect(listRequests()).toHaveLength(1);
  });
});

describe('selectors', () => {
  test('the label that hands a Service to another proxy deletes it, its removal brings it back', async () => {
    const { handlers } = await watchServices({}, ['a']);
    handlers.take();
    server.put(
      'services',
      serviceObject('a', {}, { 'service.kubernetes.io/service-proxy-name': 'x' }),
    );
    server.put('services', serviceObject('a'));
    await until(() => handlers.events.length === 2);
    expect(handlers.take()).toEqual(['delete default/a', 'add default/a']);
  });
});

describe('creation', () => {
  test('sends the object and reports a refusal', async () => {
    const { client } = await prepare();
    const path = '/apis/events.k8s.io/v1/namespaces/default/events';
    const event = { metadata: { name: 'e1', namespace: 'default' }, reason: 'Starting' };
    await client.create(path, event, abort.signal);
    expect(server.created).toEqual([{ path, object: event }]);
    server.failNext(() => true, 403);
    await expect(client.create(path, event, abort.signal)).rejects.toMatchObject({ status: 403 });
  });
});
