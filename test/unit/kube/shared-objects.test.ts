import { describe, expect, test } from 'vitest';
import { nodes, type Resource, services } from '../../../src/kube/resources.ts';
import { SharedObjects } from '../../../src/kube/shared-objects.ts';
import type { ObjectHandlers, ObjectSource } from '../../../src/kube/source.ts';
import { ObjectStore } from '../../../src/kube/store.ts';
import type { KubernetesObject, Node, Service } from '../../../src/kube/types.ts';
import { FakeClock } from '../../support/fake-clock.ts';
import { RecordingHandlers } from '../../support/kube.ts';

/** A source that reads what the test puts, per reading. */
class FakeSource implements ObjectSource {
  /** By plural and field selector, in the order in which they were opened. */
  readonly readings: string[] = [];
  /** Readings that were ended. */
  readonly closed: string[] = [];
  readonly #stores = new Map<string, ObjectStore<KubernetesObject>>();
  readonly #syncs: (() => void)[] = [];
  isStarted = false;

  watch<T extends KubernetesObject>(resource: Resource<T>, handlers: ObjectHandlers<T>) {
    const reading = `${resource.plural} ${resource.fieldSelector ?? 'all'}`;
    this.readings.push(reading);
    // The test puts objects of the kind.
    const any = handlers as unknown as ObjectHandlers<KubernetesObject>;
    const store = new ObjectStore(any, () => false);
    this.#stores.set(reading, store);
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#syncs.push(resolve);
    return {
      ...{ synced: promise, confirmed: promise, objects: () => store.values() as T[] },
      close: () => void this.closed.push(reading),
    };
  }

  start(): void {
    this.isStarted = true;
  }

  hasSynced(): boolean {
    return true;
  }

  put(object: KubernetesObject, reading = 'nodes all'): void {
    this.#stores.get(reading)?.set(object);
  }

  delete(key: string, reading = 'nodes all'): void {
    this.#stores.get(reading)?.delete(key);
  }

  sync(): void {
    for (const resolve of this.#syncs) resolve();
  }
}

const node = (name: string, uid?: string): Node => ({ metadata: { name, namespace: '', uid } });

function lab() {
  const source = new FakeSource();
  const clock = new FakeClock();
  return { source, clock, shared: new SharedObjects(source, clock) };
}

function follow(shared: SharedObjects, resource: Resource<Node>) {
  const handlers = new RecordingHandlers<Node>();
  return { handlers, ...shared.watch(resource, handlers) };
}

const signal = new AbortController().signal;

test('a resource is read once, and all who follow it are told', async () => {
  const { source, shared } = lab();
  const [one, other] = [follow(shared, nodes()), follow(shared, nodes())];
  const web = new RecordingHandlers<Service>();
  shared.watch(services, web);
  expect([shared.hasSynced(), source.readings]).toEqual([false, []]);
  shared.start(signal);
  expect(source.readings).toEqual(['nodes all', `services ${services.fieldSelector}`]);
  expect([shared.hasSynced(), source.isStarted]).toEqual([true, true]);
  source.put(node('a'));
  source.put(node('a', 'new'));
  source.delete('a');
  expect(one.handlers.events).toEqual(['add a', 'update a', 'delete a']);
  expect(other.handlers.events).toEqual(one.handlers.events);
  expect(web.events).toEqual([]);
  source.sync();
  await Promise.all([one.synced, other.synced]);
});

test('who comes late is told of what is there, and then of what happens', async () => {
  const { source, shared } = lab();
  const early = follow(shared, nodes());
  shared.start(signal);
  source.put(node('a'));
  source.put(node('b'));
  source.delete('a');
  const late = follow(shared, nodes());
  expect(late.handlers.events).toEqual(['add b']);
  expect(late.objects()).toEqual(early.objects());
  source.put(node('c'));
  expect(late.handlers.take()).toEqual(['add b', 'add c']);
  expect(source.readings).toEqual(['nodes all']);
  source.sync();
  await late.synced;
});

test('who begins to listen while others are told hears of it once', () => {
  const { source, shared } = lab();
  const late = new RecordingHandlers<Node>();
  shared.watch(nodes(), {
    onAdd: () => void shared.watch(nodes(), late),
    onUpdate: () => {},
    onDelete: () => {},
  });
  shared.start(signal);
  source.put(node('a'));
  expect(late.events).toEqual(['add a']);
});

describe('the own Node', () => {
  test.each([
    { name: 'before all Nodes', order: ['own', 'all'] },
    { name: 'after all Nodes', order: ['all', 'own'] },
  ])('is taken from all Nodes: asked for $name', async ({ order }) => {
    const { source, shared } = lab();
    const asked = order.map((who) => follow(shared, nodes(who === 'own' ? 'n1' : undefined)));
    const own = asked[order.indexOf('own')];
    shared.start(signal);
    expect(source.readings).toEqual(['nodes all']);
    for (const name of ['n0', 'n1', 'n2']) source.put(node(name));
    source.put(node('n1', 'new'));
    expect(own?.objects()).toEqual([node('n1', 'new')]);
    for (const name of ['n0', 'n1']) source.delete(name);
    expect(own?.handlers.events).toEqual(['add n1', 'update n1', 'delete n1']);
    source.sync();
    await own?.synced;
  });

  test('is all that is read where nobody follows the others', () => {
    const { source, shared } = lab();
    const own = follow(shared, nodes('n1'));
    shared.start(signal);
    source.put(node('n1'), 'nodes metadata.name=n1');
    expect(source.readings).toEqual(['nodes metadata.name=n1']);
    expect(own.handlers.events).toEqual(['add n1']);
  });

  test('is found among all Nodes after the start too', () => {
    const { source, shared } = lab();
    follow(shared, nodes());
    shared.start(signal);
    source.put(node('n1'));
    expect(follow(shared, nodes('n1')).handlers.events).toEqual(['add n1']);
    expect(follow(shared, nodes('n1')).handlers.events).toEqual(['add n1']);
    expect(source.readings).toEqual(['nodes all']);
  });
});

test('a listener that stops being selected is told of a deletion', () => {
  const { source, shared } = lab();
  const isNew: Resource<Node> = {
    ...nodes('x'),
    fieldSelector: 'metadata.uid=new',
    isSelected: ({ metadata }) => metadata.uid === 'new',
  };
  follow(shared, nodes());
  const chosen = follow(shared, isNew);
  shared.start(signal);
  for (const uid of ['old', 'new', 'old']) source.put(node('a', uid));
  expect(chosen.handlers.events).toEqual(['add a', 'delete a']);
});

test('it is known when something was last told', () => {
  const { source, shared, clock } = lab();
  follow(shared, nodes());
  shared.start(signal);
  expect(shared.lastEventAtMs).toBeUndefined();
  clock.advance(5_000);
  const heardAt = clock.now();
  source.put(node('a'));
  clock.advance(5_000);
  expect(shared.lastEventAtMs).toBe(heardAt);
});

describe('who no longer follows', () => {
  test('hears no more, and the last one ends the reading', () => {
    const { source, shared } = lab();
    const [one, other] = [follow(shared, nodes()), follow(shared, nodes())];
    shared.start(signal);
    source.put(node('a'));
    one.close();
    source.put(node('b'));
    expect(one.handlers.events).toEqual(['add a']);
    expect(other.handlers.events).toEqual(['add a', 'add b']);
    expect(source.closed).toEqual([]);
    other.close();
    other.close();
    expect(source.closed).toEqual(['nodes all']);
  });

  test('may follow again: it is read anew', () => {
    const { source, shared } = lab();
    shared.start(signal);
    follow(shared, nodes()).close();
    const again = follow(shared, nodes());
    source.put(node('a'));
    expect(source.readings).toEqual(['nodes all', 'nodes all']);
    expect(again.handlers.events).toEqual(['add a']);
  });

  test('leaves all Nodes to who takes its own from them', () => {
    const { source, shared } = lab();
    const all = follow(shared, nodes());
    const own = follow(shared, nodes('n1'));
    shared.start(signal);
    all.close();
    source.put(node('n1'));
    expect(own.handlers.events).toEqual(['add n1']);
    expect(source.closed).toEqual([]);
    own.close();
    expect(source.closed).toEqual(['nodes all']);
  });
});
