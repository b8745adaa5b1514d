import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { nodes, serviceCIDRs, services } from '../../../../src/kube/resources.ts';
import { SharedObjects } from '../../../../src/kube/shared-objects.ts';
import type { Node, Service, ServiceCIDR } from '../../../../src/kube/types.ts';
import { systemClock } from '../../../../src/util/clock.ts';
import { FakeApiServer } from '../../../support/fake-api-server.ts';
import { RecordingHandlers, serviceObject, until } from '../../../support/kube.ts';
import {
  abort,
  connect,
  directory,
  prepare,
  server,
  useApiServer,
} from '../api/reflector-setup.ts';

useApiServer();

const stateDirectory = () => join(directory, 'state');
const file = () => join(stateDirectory(), 'last-known-objects.jsonl');
const options = () => ({ stateDirectory: stateDirectory(), restoreAfterMs: 60, saveEveryMs: 20 });

type Connected = Awaited<ReturnType<typeof connect>>;

/** Watches everything the Service proxy does; ends with the returned abort. */
function run({ source, log }: Connected) {
  const ending = new AbortController();
  abort.signal.addEventListener('abort', () => ending.abort());
  const handlers = {
    services: new RecordingHandlers<Service>(),
    nodes: new RecordingHandlers<Node>(),
    serviceCIDRs: new RecordingHandlers<ServiceCIDR>(),
  };
  const subscriptions = [
    source.watch(services, handlers.services),
    source.watch(nodes('n1'), handlers.nodes),
    source.watch(serviceCIDRs, handlers.serviceCIDRs),
  ];
  source.start(ending.signal);
  const synced = Promise.all(subscriptions.map((subscription) => subscription.synced));
  return { source, log, ...handlers, synced, stop: () => ending.abort() };
}

/** A first life of the agent, long enough to leave its file; then the server is gone. */
async function leaveState(): Promise<void> {
  const connected = await prepare({ source: options() });
  for (const name of ['a', 'b', 'c']) server.put('services', serviceObject(name));
  server.put('nodes', {
    kind: 'Node',
    metadata: { name: 'n1', labels: { 'topology.kubernetes.io/zone': 'z1' } },
  });
  server.put('servicecidrs', { metadata: { name: 'k' }, spec: { cidrs: ['172.30.0.0/16'] } });
  const first = run(connected);
  await first.synced;
  first.stop();
  await first.source.saveState();
  await server.stop();
}

test('a start without server goes on with the last known objects', async () => {
  await leaveState();
  const second = run(await connect({ source: options() }));
  await second.synced;
  expect(second.services.events).toEqual(['add default/a', 'add default/b', 'add default/c']);
  expect(second.nodes.objects.get('n1')?.metadata.labels).toEqual({
    'topology.kubernetes.io/zone': 'z1',
  });
  expect(second.serviceCIDRs.events).toEqual(['add k']);
  expect(second.source.hasSynced()).toBe(true);
  expect(second.source.counts().every(({ counts }) => counts.isRestored)).toBe(true);
  await until(() => second.log.text().includes('going on with the last known objects'));
});

describe('all Nodes, for the fabric', () => {
  const names = ['n1', 'n2', 'n3'];
  const nodeObject = (name: string) => ({
    kind: 'Node',
    metadata: { name, uid: `uid-${name}` },
    spec: { podCIDRs: [`10.244.${name.slice(1)}.0/24`] },
  });

  /** The fabric follows all Nodes, the proxy its own; `isWhole`: there is a fabric. */
  function runShared({ source, log }: Connected, isWhole = true) {
    const ending = new AbortController();
    abort.signal.addEventListener('abort', () => ending.abort());
    const shared = new SharedObjects(source, systemClock);
    const [all, own] = [new RecordingHandlers<Node>(), new RecordingHandlers<Node>()];
    const ofOwn = shared.watch(nodes('n1'), own);
    const ofAll = isWhole ? shared.watch(nodes(), all) : ofOwn;
    const web = shared.watch(services, new RecordingHandlers<Service>());
    shared.start(ending.signal);
    return { source, log, all, own, ofAll, ofOwn, web, stop: () => ending.abort() };
  }

  async function leaveNodes(): Promise<void> {
    const connected = await prepare({ source: options() });
    for (const name of names) server.put('nodes', nodeObject(name));
    const first = runShared(connected);
    await Promise.all([first.ofAll.confirmed, first.web.confirmed]);
    first.stop();
    await first.source.saveState();
    await server.stop();
  }

  test('are those of the last run, and confirmed by the server', async () => {
    await leaveNodes();
    const second = runShared(await connect({ source: options() }));
    let isConfirmed = false;
    void second.ofAll.confirmed.then(() => {
      isConfirmed = true;
    });
    await Promise.all([second.ofAll.synced, second.ofOwn.synced]);
    expect([second.all.take(), second.own.take()]).toEqual([
      names.map((name) => `add ${name}`),
      ['add n1'],
    ]);
    expect(second.all.objects.get('n3')).toMatchObject({
      metadata: { uid: 'uid-n3' },
      spec: { podCIDRs: ['10.244.3.0/24'] },
    });
    expect(isConfirmed).toBe(false);
    server.putSilently('nodes', nodeObject('n4'));
    await server.start();
    await second.ofAll.confirmed;
    expect([second.all.events, second.own.events]).toEqual([['add n4'], []]);
  });

  test('have the own Node for a start without fabric', async () => {
    await leaveNodes();
    const second = runShared(await connect({ source: options() }), false);
    await second.ofOwn.synced;
    expect(second.own.events).toEqual(['add n1']);
  });

  test('are not guessed from the own Node', async () => {
    const connected = await prepare({ source: options() });
    for (const name of names) server.put('nodes', nodeObject(name));
    const first = runShared(connected, false);
    await Promise.all([first.ofOwn.confirmed, first.web.confirmed]);
    first.stop();
    await first.source.saveState();
    await server.stop();
    const second = runShared(await connect({ source: options() }));
    await second.web.synced;
    expect([second.all.events, second.source.hasSynced()]).toEqual([[], false]);
  });

  test('survive heartbeats without being written again', async () => {
    const connected = await prepare({ source: options() });
    for (const name of names) server.put('nodes', nodeObject(name));
    const first = runShared(connected);
    await Promise.all([first.ofAll.confirmed, first.web.confirmed]);
    await first.source.saveState();
    const { ino } = statSync(file());
    const heartbeat = { conditions: [{ type: 'Ready', lastHeartbeatTime: 'T' }] };
    for (const name of names) server.put('nodes', { ...nodeObject(name), status: heartbeat });
    await until(() => first.source.counts()[0]?.counts.events === names.length);
    await first.source.saveState();
    expect(statSync(file()).ino).toBe(ino);
  });
});

test('the server that comes back brings only the difference', async () => {
  await leaveState();
  const second = run(await connect({ source: options() }));
  await second.synced;
  second.services.take();
  server.deleteSilently('services', 'default/a');
  server.putSilently('services', serviceObject('b', { clusterIP: '172.30.0.20' }));
  server.putSilently('services', serviceObject('d'));
  await server.start();
  await until(() => second.services.events.length >= 3);
  expect(second.services.take()).toEqual(['delete default/a', 'update default/b', 'add default/d']);
  await until(() => second.source.counts().every(({ counts }) => !counts.isRestored));
  expect(second.services.events).toEqual([]);
});

test('a server that lost its data meanwhile is not followed at once', async () => {
  const connected = await prepare({ source: options() });
  for (let index = 0; index < 20; index++) server.put('services', serviceObject(`s-${index}`));
  const first = run(connected);
  await first.synced;
  first.stop();
  await first.source.saveState();
  await server.stop();
  const second = run(await connect({ source: options() }));
  await second.synced;
  server.isListed = () => false;
  await server.start();
  await until(() => second.source.counts()[0]?.counts.withheld === 20);
  expect(second.services.objects.size).toBe(20);
});

test('a server that answers in time is all that counts', async () => {
  await leaveState();
  server.deleteSilently('services', 'default/a');
  await server.start();
  const second = run(await connect({ source: { ...options(), restoreAfterMs: 2000 } }));
  await second.synced;
  expect(second.services.events).toEqual(['add default/b', 'add default/c']);
});

describe('a file that cannot be trusted is left alone with a warning', () => {
  test.each([
    { name: 'damaged', damage: () => writeFileSync(file(), readFileSync(file()).subarray(0, -9)) },
    { name: 'garbage', damage: () => writeFileSync(file(), 'not ours\n') },
  ])('$name', async ({ damage }) => {
    await leaveState();
    damage();
    await expectIgnored();
  });

  test('of another cluster', async () => {
    await leaveState();
    const other = new FakeApiServer();
    await other.start();
    const kubeconfig = readFileSync(join(directory, 'config'), 'utf8');
    writeFileSync(join(directory, 'config'), kubeconfig.replace(server.caData, other.caData));
    await other.stop();
    const second = run(await connect({ source: options(), keepsConfig: true }));
    await until(() => second.log.text().includes('no last known objects to start from'));
    expect(second.services.events).toEqual([]);
  });

  async function expectIgnored(): Promise<void> {
    const second = run(await connect({ source: options() }));
    await until(() => second.log.text().includes('no last known objects to start from'));
    const [warning] = second.log.records.filter(({ file: named }) => named === file());
    expect(warning).toMatchObject({ level: 'warn' });
    expect(second.source.hasSynced()).toBe(false);
    await server.start();
    await second.synced;
    expect(second.services.events).toHaveLength(3);
  }
});

describe('writing', () => {
  test('follows changes and rests without them', async () => {
    const first = run(await prepare({ source: options() }));
    await first.synced;
    server.put('services', serviceObject('late'));
    await until(() => readable().includes('"late"'));
    const { ino } = statSync(file());
    await new Promise((resolve) => setTimeout(resolve, 80));
    expect(statSync(file()).ino).toBe(ino);
  });

  test('waits until every kind was read', async () => {
    const connected = await prepare({ source: options() });
    server.missingKinds.add('nodes');
    const first = run(connected);
    await until(() => first.services.events.length === 0 && first.serviceCIDRs.objects.size === 0);
    await first.source.saveState();
    expect(readable()).toBe('');
  });

  test('a directory that cannot be written is a warning', async () => {
    const connected = await prepare({
      source: { ...options(), stateDirectory: '/proc/weft-nowhere' },
    });
    const first = run(connected);
    await first.synced;
    await first.source.saveState();
    await first.source.saveState();
    expect(first.log.text().match(/cannot write last known objects/g)).toHaveLength(1);
    expect(first.source.stateProblems()).toEqual([
      expect.stringContaining('last known objects not written: '),
    ]);
  });

  function readable(): string {
    try {
      return readFileSync(file(), 'utf8');
    } catch {
      return '';
    }
  }
});

test('nothing is written where no directory is given', async () => {
  const first = run(await prepare());
  await first.synced;
  await first.source.saveState();
  expect(readdirSync(directory)).toEqual(['config']);
});
