import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ApiObjects } from '../../../support/fake-api-objects.ts';
import { eventOf, parseSelectors } from '../../../support/fake-api-selectors.ts';
import { FakeApiServer, type FakeApiServerOptions } from '../../../support/fake-api-server.ts';
import { httpsGet } from '../../../support/https-get.ts';
import { serviceObject, until } from '../../../support/kube.ts';

describe('selectors', () => {
  const object = {
    metadata: { name: 'a', namespace: 'x', labels: { app: 'web', tier: 'front' } },
    spec: { clusterIP: 'None' },
  };
  test.each([
    { labels: 'app', want: true },
    { labels: 'zone', want: false },
    { labels: '!zone', want: true },
    { labels: '!app', want: false },
    { labels: 'app=web,tier==front', want: true },
    { labels: 'app=web,tier=back', want: false },
    { labels: 'zone!=z1', want: true },
    { labels: 'app in (web, api),tier', want: true },
    { labels: 'app notin (web, api)', want: false },
    { labels: 'zone in (z1)', want: false },
    { labels: 'zone notin (z1)', want: true },
    { fields: 'spec.clusterIP!=None', want: false },
    { fields: 'metadata.name=a,metadata.namespace=x', want: true },
    { fields: 'spec.type=', want: true },
  ])('$labels $fields: $want', ({ labels = null, fields = null, want }) => {
    expect(parseSelectors(labels, fields)(object)).toBe(want);
  });

  test.each([
    { before: true, after: true, want: 'MODIFIED' },
    { before: false, after: true, want: 'ADDED' },
    { before: true, after: false, want: 'DELETED' },
    { before: false, after: false, want: undefined },
    { before: undefined, after: true, want: 'ADDED' },
    { before: true, after: undefined, want: 'DELETED' },
    { before: false, after: undefined, want: undefined },
  ])('matched $before, then $after: $want', ({ before, after, want }) => {
    const version = (isSelected: boolean | undefined, resourceVersion: string) =>
      isSelected === undefined
        ? undefined
        : { metadata: { name: 'a', resourceVersion, labels: isSelected ? { on: '' } : {} } };
    const change = {
      version: 7,
      plural: 'services',
      before: version(before, '3'),
      after: version(after, '7'),
    };
    const event = eventOf(change, parseSelectors('on', null));
    expect(event?.type).toBe(want);
    if (event !== undefined) {
      // A deletion shows the last state that matched, with the version of the change.
      expect(event.object).toMatchObject({
        metadata: { resourceVersion: '7', labels: { on: '' } },
      });
    }
  });
});

test('objects can be listed as of any version, and go back to it', () => {
  const objects = new ApiObjects();
  const states: { version: number; names: string[] }[] = [];
  const note = () => {
    const names = objects.list('services').map(({ metadata }) => metadata.name);
    states.push({ version: objects.version, names });
  };
  objects.put('services', serviceObject('a'));
  note();
  objects.put('services', serviceObject('b'));
  note();
  objects.delete('services', 'default/a');
  note();
  objects.put('services', serviceObject('a', { type: 'NodePort' }));
  note();
  for (const { version, names } of states) {
    expect(objects.list('services', version).map(({ metadata }) => metadata.name)).toEqual(names);
  }
  for (const { version, names } of states.toReversed()) {
    objects.rewind(version);
    expect(objects.version).toBe(version);
    expect(objects.list('services').map(({ metadata }) => metadata.name)).toEqual(names);
  }
});

describe('answers', () => {
  let server: FakeApiServer;

  async function start(options: FakeApiServerOptions = {}): Promise<void> {
    server = new FakeApiServer(options);
    await server.start();
  }

  beforeEach(() => start());
  afterEach(() => server.stop());

  const get = (path: string, headers = {}) =>
    httpsGet(`${server.url}${path}`, server.authority.certificate, headers);

  interface List {
    readonly metadata: { readonly resourceVersion: string; readonly continue?: string };
    readonly items: readonly { readonly metadata: { readonly name: string } }[];
  }

  async function list(query = ''): Promise<List & { readonly names: string[] }> {
    const { body } = await get(`/api/v1/services?${query}`);
    // The server answers lists with lists.
    const found = JSON.parse(body) as List;
    return { ...found, names: found.items.map(({ metadata }) => metadata.name) };
  }

  test('pages show one snapshot, whatever happens in between', async () => {
    for (const name of ['a', 'b', 'c']) server.put('services', serviceObject(name));
    const first = await list('limit=2');
    expect(first.names).toEqual(['a', 'b']);
    server.delete('services', 'default/c');
    server.put('services', serviceObject('aa'));
    const second = await list(`limit=2&continue=${first.metadata.continue}`);
    expect(second.names).toEqual(['c']);
    expect(second.metadata).toEqual({ resourceVersion: first.metadata.resourceVersion });
    expect((await list()).names).toEqual(['a', 'aa', 'b']);
  });

  test('a continue token from before a compaction is expired', async () => {
    for (const name of ['a', 'b']) server.put('services', serviceObject(name));
    const { metadata } = await list('limit=1');
    server.objects.compact();
    expect((await get(`/api/v1/services?limit=1&continue=${metadata.continue}`)).status).toBe(410);
  });

  test('a token that was replaced is refused', async () => {
    server.authorization = 'Bearer one';
    const headers = { authorization: 'Bearer one' };
    expect((await get('/api/v1/services', headers)).status).toBe(200);
    server.authorization = 'Bearer two';
    expect((await get('/api/v1/services', headers)).status).toBe(401);
  });

  test('a kind it does not know is 404', async () => {
    server.missingKinds.add('servicecidrs');
    expect((await get('/apis/networking.k8s.io/v1/servicecidrs')).status).toBe(404);
  });

  test('lists leave out what they are told to', async () => {
    for (const name of ['a', 'b']) server.put('services', serviceObject(name));
    server.isListed = ({ metadata }) => metadata.name !== 'a';
    expect((await list()).names).toEqual(['b']);
  });

  async function watchLines(query: string, act: () => void, count: number): Promise<unknown[]> {
    const lines: unknown[] = [];
    const path = `${server.url}/api/v1/services?watch=1&${query}`;
    const ended = httpsGet(path, server.authority.certificate, {}, (line) => {
      lines.push(JSON.parse(line));
    });
    await until(() => server.watches.size === 1);
    act();
    await until(() => lines.length >= count, `${count} events`);
    server.watches.end();
    await ended;
    return lines;
  }

  test('a watch tells what happened since its version, and what happens', async () => {
    server.put('services', serviceObject('a'));
    const since = server.objects.version;
    server.put('services', serviceObject('b'));
    const act = () => server.delete('services', 'default/a');
    expect(await watchLines(`resourceVersion=${since}`, act, 2)).toMatchObject([
      { type: 'ADDED', object: { metadata: { name: 'b' } } },
      { type: 'DELETED', object: { metadata: { name: 'a', resourceVersion: String(since + 2) } } },
    ]);
  });

  test('a watch from the future is silent until its time comes', async () => {
    const since = server.objects.version + 1;
    const act = () => {
      server.put('services', serviceObject('a'));
      server.put('services', serviceObject('b'));
    };
    expect(await watchLines(`resourceVersion=${since}`, act, 1)).toMatchObject([
      { object: { metadata: { name: 'b' } } },
    ]);
  });

  test('events can be held back and rearranged', async () => {
    const act = () => {
      server.watches.holdEvents();
      server.put('services', serviceObject('a'));
      server.put('services', serviceObject('b'));
      server.watches.releaseEvents((events) => [...events.toReversed(), ...events]);
    };
    const query = `resourceVersion=${server.objects.version}`;
    const lines = await watchLines(query, act, 4);
    expect(lines).toMatchObject(
      ['b', 'a', 'a', 'b'].map((name) => ({ object: { metadata: { name } } })),
    );
  });

  test('it comes back on its port with its objects', async () => {
    server.put('services', serviceObject('a'));
    const { url } = server;
    await server.stop();
    await expect(get('/api/v1/services')).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    await server.start();
    expect(server.url).toBe(url);
    expect((await list()).names).toEqual(['a']);
  });
});
