import {
  mkdirSync,
  mkdtempSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { stringify } from 'yaml';
import { parseManifest } from '../../../../src/kube/manifests/manifest-file.ts';
import { ManifestSource } from '../../../../src/kube/manifests/manifests.ts';
import { endpointSlices, nodes, services } from '../../../../src/kube/resources.ts';
import type { EndpointSlice, Node, Service } from '../../../../src/kube/types.ts';
import { systemClock } from '../../../../src/util/clock.ts';
import { RecordingHandlers, recordingLog, serviceObject, until } from '../../../support/kube.ts';

let directory: string;
let abort: AbortController;

beforeEach(() => {
  directory = join(mkdtempSync(join(tmpdir(), 'weft-manifests-')), 'manifests');
  mkdirSync(directory);
  abort = new AbortController();
});

afterEach(() => {
  abort.abort();
  rmSync(dirname(directory), { recursive: true });
});

/** Writes as a careful tool does: whole or not at all. */
function put(name: string, ...objects: unknown[]): void {
  const texts = objects.map((object) => (typeof object === 'string' ? object : stringify(object)));
  writeFileSync(join(directory, '.new'), texts.join('---\n'));
  renameSync(join(directory, '.new'), join(directory, name));
}

interface Setup {
  readonly rescanMs?: number;
}

function start({ rescanMs = 20 }: Setup = {}) {
  const log = recordingLog();
  const source = new ManifestSource({
    directory,
    clock: systemClock,
    log: log.log,
    timings: { rescanMs, debounceMs: 5, settleMs: 30 },
  });
  const handlers = new RecordingHandlers<Service>();
  const { synced } = source.watch(services, handlers);
  source.start(abort.signal);
  return { source, handlers, synced, ...log };
}

async function startSynced(setup?: Setup) {
  const started = start(setup);
  await started.synced;
  started.handlers.take();
  return started;
}

const rest = () => new Promise((resolve) => setTimeout(resolve, 80));

const BROKEN_PORT = `apiVersion: v1
kind: Service
metadata: {name: a}
spec:
  clusterIP: 172.30.0.10
  ports:
    - port: 80
    - name: admin
      port: "8080"
`;

describe('reading', () => {
  test('YAML with several documents, JSON and lists', async () => {
    put('1.yaml', serviceObject('a'), '', serviceObject('b'));
    put('2.json', JSON.stringify(serviceObject('c')));
    put('3.yml', { apiVersion: 'v1', kind: 'List', items: [serviceObject('d')] });
    const { kind, apiVersion, ...bare } = serviceObject('e');
    put('4.json', JSON.stringify({ apiVersion, kind: `${kind}List`, items: [bare] }));
    const { handlers, synced, source } = start();
    await synced;
    expect(handlers.events).toEqual(['a', 'b', 'c', 'd', 'e'].map((name) => `add default/${name}`));
    expect(source.problems).toEqual([]);
  });

  test('an empty directory, an empty file and comments are fine', async () => {
    put('1.yaml', '');
    put('2.yaml', '# nothing here\n---\n');
    const { handlers, synced, source } = start();
    await synced;
    expect(handlers.events).toEqual([]);
    expect(source.problems).toEqual([]);
  });

  test('each kind goes to those who watch it; the others are mentioned once', async () => {
    put('1.yaml', serviceObject('a'), { apiVersion: 'apps/v1', kind: 'Deployment' });
    put('2.yaml', {
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: { name: 'a-1' },
      addressType: 'IPv4',
    });
    put('3.yaml', { apiVersion: 'v1', kind: 'Node', metadata: { name: 'n1' } });
    put('4.yaml', { apiVersion: 'v1', kind: 'Node', metadata: { name: 'n2' } });
    const log = recordingLog();
    const source = new ManifestSource({ directory, clock: systemClock, log: log.log });
    const slices = new RecordingHandlers<EndpointSlice>();
    const node = new RecordingHandlers<Node>();
    const all = [source.watch(endpointSlices, slices), source.watch(nodes('n2'), node)];
    source.start(abort.signal);
    await Promise.all(all.map(({ synced }) => synced));
    expect([...slices.events, ...node.events]).toEqual(['add default/a-1', 'add n2']);
    const ignored = log.records.filter(({ msg }) => msg === 'manifest objects passed over');
    expect(ignored.map(({ kind }) => kind)).toContainEqual('v1 Service');
    expect(ignored.map(({ kind }) => kind)).toContainEqual('apps/v1 Deployment');
  });

  test('objects that are not selected are left out', async () => {
    put('1.yaml', serviceObject('a'), serviceObject('headless', { clusterIP: 'None' }));
    const { handlers, synced } = start();
    await synced;
    expect(handlers.events).toEqual(['add default/a']);
  });

  test('hidden files, other extensions and directories do not count', async () => {
    put('.hidden.yaml', serviceObject('a'));
    put('notes.txt', serviceObject('b'));
    mkdirSync(join(directory, 'sub.yaml'));
    const { handlers, synced, source } = start();
    await synced;
    expect(handlers.events).toEqual([]);
    expect(source.problems).toEqual([]);
  });

  test('a link that leads nowhere is a problem until it leads to a file', async () => {
    symlinkSync('.later.yaml', join(directory, 'link.yaml'));
    const { handlers, synced, source } = start();
    await synced;
    const [problem, ...others] = source.problems;
    expect([problem?.file, others]).toEqual(['link.yaml', []]);
    put('.later.yaml', serviceObject('a'));
    await until(() => handlers.events.length > 0);
    expect([handlers.events, source.problems]).toEqual([['add default/a'], []]);
  });

  test('a kind registered later is found in files already read', async () => {
    put('1.yaml', serviceObject('a'), { apiVersion: 'v1', kind: 'Node', metadata: { name: 'n1' } });
    const { source, handlers } = await startSynced();
    const node = new RecordingHandlers<Node>();
    const { synced } = source.watch(nodes(), node);
    expect(source.hasSynced()).toBe(false);
    await synced;
    expect(node.events).toEqual(['add n1']);
    expect(handlers.events).toEqual([]);
  });
});

describe('changes', () => {
  test('of one file: only the differences are told', async () => {
    put('1.yaml', serviceObject('a'), serviceObject('b'), serviceObject('c'));
    const { handlers } = await startSynced();
    put('1.yaml', serviceObject('d'), serviceObject('b', { type: 'NodePort' }), serviceObject('c'));
    await until(() => handlers.events.length >= 3);
    await rest();
    expect(handlers.take()).toEqual(['delete default/a', 'add default/d', 'update default/b']);
  });

  test('a deleted file deletes its objects', async () => {
    put('1.yaml', serviceObject('a'));
    put('2.yaml', serviceObject('b'));
    const { handlers } = await startSynced();
    unlinkSync(join(directory, '1.yaml'));
    await until(() => handlers.events.length > 0);
    expect(handlers.take()).toEqual(['delete default/a']);
  });

  test('an object that moves to another file stays', async () => {
    put('1.yaml', serviceObject('a'));
    const { handlers, source } = await startSynced();
    put('2.yaml', serviceObject('a'));
    await until(() => source.problems.length === 1);
    unlinkSync(join(directory, '1.yaml'));
    await until(() => source.problems.length === 0);
    expect(handlers.events).toEqual([]);
  });

  test('are noticed at once by notification', async () => {
    const { handlers } = await startSynced({ rescanMs: 60_000 });
    await rest();
    put('1.yaml', serviceObject('a'));
    await until(() => handlers.events.length > 0);
    expect(handlers.events).toEqual(['add default/a']);
  });

  test('a ConfigMap mount: all files change together with its link', async () => {
    const write = (version: string, name: string) => {
      mkdirSync(join(directory, version));
      for (const file of ['1.yaml', '2.yaml']) {
        writeFileSync(
          join(directory, version, file),
          stringify(serviceObject(`${name}-${file[0]}`)),
        );
      }
      symlinkSync(version, join(directory, '..data_tmp'));
      renameSync(join(directory, '..data_tmp'), join(directory, '..data'));
    };
    write('..2026_01', 'old');
    for (const file of ['1.yaml', '2.yaml']) {
      symlinkSync(join('..data', file), join(directory, file));
    }
    const { handlers } = await startSynced({ rescanMs: 60_000 });
    expect([...handlers.objects.keys()]).toEqual(['default/old-1', 'default/old-2']);
    await rest();
    write('..2026_02', 'new');
    await until(() => handlers.events.length >= 4);
    expect(handlers.take()).toEqual([
      'delete default/old-1',
      'delete default/old-2',
      'add default/new-1',
      'add default/new-2',
    ]);
  });

  test('a file written slowly in place is read when it is whole', async () => {
    const whole = [serviceObject('a'), serviceObject('b')].map((object) => stringify(object));
    put('1.yaml', whole.join('---\n'));
    const { handlers, source, records } = await startSynced();
    const file = join(directory, '1.yaml');
    const changed = whole.join('---\n').replaceAll('172.30.0.10', '172.30.0.20');
    for (let end = 40; end < changed.length; end += 120) {
      writeFileSync(file, changed.slice(0, end));
      await new Promise((resolve) => setTimeout(resolve, 8));
    }
    writeFileSync(file, changed);
    await until(() => handlers.events.length > 0);
    expect(handlers.events).toEqual(['update default/a', 'update default/b']);
    expect(source.problems).toEqual([]);
    expect(records.filter(({ level }) => level === 'error')).toEqual([]);
  });

  test('a directory that goes away changes nothing until it is back', async () => {
    put('1.yaml', serviceObject('a'));
    const { handlers, source } = await startSynced();
    renameSync(directory, `${directory}-gone`);
    await until(() => source.problems.length === 1);
    expect(source.problems[0]).toMatchObject({ file: directory });
    mkdirSync(`${directory}-new`);
    renameSync(`${directory}-new`, directory);
    await until(() => handlers.events.length > 0);
    expect(handlers.events).toEqual(['delete default/a']);
    put('1.yaml', serviceObject('b'));
    await until(() => handlers.events.length > 1);
    await until(() => source.problems.length === 0);
  });

  test('a directory that was never there is not synced', async () => {
    rmSync(directory, { recursive: true });
    const { source, synced } = start();
    await until(() => source.problems.length === 1);
    expect(source.hasSynced()).toBe(false);
    mkdirSync(directory);
    await synced;
    await until(() => source.problems.length === 0);
  });
});

describe('problems', () => {
  test.each([
    {
      name: 'a port that is a string',
      text: BROKEN_PORT,
      want: { line: 9, column: 13, key: 'spec.ports[1].port' },
    },
    {
      name: 'in the second document',
      text: `${stringify(serviceObject('x'))}---\n${BROKEN_PORT}`,
      want: { line: 21, key: 'spec.ports[1].port' },
    },
    {
      name: 'after a document end marker',
      text: `kind: X\napiVersion: x\n...\n---\n${BROKEN_PORT}`,
      want: { line: 13, column: 13, key: 'spec.ports[1].port' },
    },
    {
      name: 'after a directive',
      text: `%YAML 1.2\n---\n${BROKEN_PORT}`,
      want: { line: 11, column: 13, key: 'spec.ports[1].port' },
    },
    {
      name: 'within a list',
      text: 'apiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Service\n  metadata: {name: 5}\n',
      want: { line: 6, column: 20, key: 'items[0].metadata.name' },
    },
    {
      name: 'in JSON',
      text: '{"apiVersion": "v1", "kind": "Service",\n "metadata": {"name": "a"},\n "spec": {"ports": [{"port": "x"}]}}',
      want: { line: 3, column: 30, key: 'spec.ports[0].port' },
    },
    { name: 'no YAML', text: 'a: [1\nb: 2\n', want: { line: 2, column: 1, key: '' } },
    { name: 'a key twice', text: 'kind: A\nkind: B\n', want: { line: 2, column: 1, key: '' } },
    { name: 'no kind', text: 'apiVersion: v1\n', want: { line: 1, key: 'kind' } },
    { name: 'no object', text: '- 1\n', want: { line: 1, column: 1, key: '(object)' } },
    { name: 'an alias without anchor', text: 'a: *b\n', want: { line: 1, key: '' } },
    {
      name: 'a typing error in an enumeration',
      text: stringify(serviceObject('a', { type: 'Nodeport' })),
      want: { key: 'spec.type', reason: expect.stringContaining('NodePort') },
    },
  ])('$name is reported with its place', async ({ text, want }) => {
    put('bad.yaml', text);
    put('good.yaml', serviceObject('good'));
    const { source, handlers, synced, records } = start();
    await synced;
    expect(source.problems).toEqual([expect.objectContaining({ file: 'bad.yaml', ...want })]);
    expect(handlers.events).toEqual(['add default/good']);
    expect(records).toContainEqual(
      expect.objectContaining({ level: 'error', file: 'bad.yaml', key: want.key }),
    );
  });

  test('a file that breaks keeps its last good objects until it is repaired', async () => {
    put('1.yaml', serviceObject('a', { clusterIP: '172.30.0.1' }), serviceObject('z'));
    put('2.yaml', serviceObject('b'));
    const { source, handlers, records } = await startSynced();
    put('1.yaml', BROKEN_PORT);
    put('2.yaml', serviceObject('c'));
    await until(() => source.problems.length === 1 && handlers.events.length === 2);
    expect(handlers.take()).toEqual(['delete default/b', 'add default/c']);
    await rest();
    expect(records.filter(({ msg }) => msg === 'manifest problem')).toHaveLength(1);
    put('1.yaml', BROKEN_PORT.replace('"8080"', '8080'));
    await until(() => source.problems.length === 0);
    expect(handlers.take()).toEqual(['delete default/z', 'update default/a']);
  });

  test('of two files with the same object the first by name counts, both are named', async () => {
    put('2.yaml', serviceObject('a', { clusterIP: '172.30.0.2' }));
    put('1.yaml', serviceObject('a', { clusterIP: '172.30.0.1' }));
    const { source, handlers, synced } = start();
    await synced;
    expect(handlers.objects.get('default/a')?.spec.clusterIP).toBe('172.30.0.1');
    expect(source.problems).toEqual([
      {
        file: '2.yaml',
        key: '',
        reason: 'v1 Service default/a is already in 1.yaml, ignored here',
      },
    ]);
    unlinkSync(join(directory, '1.yaml'));
    await until(() => handlers.events.length === 2);
    expect(handlers.objects.get('default/a')?.spec.clusterIP).toBe('172.30.0.2');
    expect(source.problems).toEqual([]);
  });
});

test('large YAML leaves others their turn', async () => {
  const objects = Array.from({ length: 600 }, (_, index) => serviceObject(`s-${index}`));
  const text = objects.map((object) => stringify(object)).join('---\n');
  let turns = 0;
  const count = setInterval(() => turns++, 1);
  const parsed = await parseManifest(text, new Map([['v1 Service', services]]));
  clearInterval(count);
  const keys = [...parsed.values()].flatMap(({ objects: found }) => found.map(({ key }) => key));
  expect(keys).toEqual(objects.map(({ metadata }) => `default/${metadata.name}`));
  expect(turns).toBeGreaterThan(5);
});

test('stops with the signal', async () => {
  const { handlers } = await startSynced();
  abort.abort();
  put('1.yaml', serviceObject('a'));
  await rest();
  expect(handlers.events).toEqual([]);
});
