import { describe, expect, test } from 'vitest';
import { type FedProxy, feedObjects, NodeFeed } from '../../../../src/agent/proxy/object-feed.ts';
import type { Resource } from '../../../../src/kube/resources.ts';
import type { ObjectHandlers, ObjectSource } from '../../../../src/kube/source.ts';
import type { KubernetesObject, Node } from '../../../../src/kube/types.ts';
import { type Cidr, parseCidr } from '../../../../src/net/cidr.ts';
import { parseIP } from '../../../../src/net/ip.ts';
import { createLogger } from '../../../../src/util/log.ts';
import { FakeClock } from '../../../support/fake-clock.ts';

/** A source that says what the test tells it to, by plural. */
class FakeSource implements ObjectSource {
  readonly #kinds = new Map<string, { handlers: ObjectHandlers<never>; synced: () => void }>();

  watch<T extends KubernetesObject>(resource: Resource<T>, handlers: ObjectHandlers<T>) {
    const { promise, resolve } = Promise.withResolvers<void>();
    // The test hands each kind objects of that kind.
    const any = handlers as unknown as ObjectHandlers<never>;
    this.#kinds.set(resource.plural, { handlers: any, synced: resolve });
    return { synced: promise, confirmed: promise, objects: () => [], close: () => {} };
  }

  start(): void {}

  hasSynced(): boolean {
    return false;
  }

  tell(plural: string, event: 'onAdd' | 'onDelete', object: KubernetesObject): void {
    this.#kinds.get(plural)?.handlers[event](object as never);
  }

  async sync(...plurals: readonly string[]): Promise<void> {
    for (const plural of plurals) this.#kinds.get(plural)?.synced();
    await new Promise((resolve) => setImmediate(resolve));
  }
}

function lab() {
  const clock = new FakeClock();
  const source = new FakeSource();
  const calls: string[] = [];
  const proxy: FedProxy = {
    apply: (change) => {
      if (change.kind === 'serviceCIDRs') calls.push(`cidrs ${change.cidrs}`);
      else if (change.now === undefined) calls.push(`${change.kind} gone`);
      else if (change.kind !== 'node') calls.push(change.kind);
      else calls.push(`node ${change.now.status?.addresses?.map(({ address }) => address)}`);
    },
    setSynced: () => void calls.push('synced'),
  };
  return { clock, source, proxy, calls, log: createLogger('silent') };
}

const OBJECTS = ['services', 'endpointslices', 'servicecidrs'];
const NODE: Node = {
  metadata: { name: 'node-a', namespace: '' },
  status: { addresses: [{ type: 'InternalIP', address: '192.168.0.1' }] },
};

function start(override?: string, serviceCIDRs: readonly Cidr[] = []) {
  const all = lab();
  const node = new NodeFeed(true, override === undefined ? undefined : parseIP(override));
  const read = node.start(all.proxy, all.source, 'node-a');
  feedObjects({ ...all, config: { serviceCIDRs } }, all.proxy, all.source, read);
  return { ...all, node };
}

describe('the first sync', () => {
  test.each(OBJECTS)('waits for %s', async (late) => {
    const { source, calls } = start();
    await source.sync('nodes', ...OBJECTS.filter((plural) => plural !== late));
    expect(calls).toEqual([]);
    await source.sync(late);
    expect(calls).toEqual(['synced']);
  });

  test('waits for the Node, but not for ever', async () => {
    const { source, calls, clock } = start();
    await source.sync(...OBJECTS);
    clock.advance(29_000);
    await source.sync();
    expect(calls).toEqual([]);
    clock.advance(1_000);
    await source.sync();
    expect(calls).toEqual(['synced']);
    await source.sync('nodes');
    expect(calls).toEqual(['synced']);
  });
});

test('all ServiceCIDRs are told at every change', () => {
  const { source, calls } = start();
  const cidr = (name: string, ...cidrs: string[]) => ({
    metadata: { name, namespace: '' },
    spec: { cidrs },
  });
  source.tell('servicecidrs', 'onAdd', cidr('a', '172.30.0.0/16', 'fd00:30::/112'));
  source.tell('servicecidrs', 'onAdd', cidr('b', '172.31.0.0/16', 'nonsense'));
  source.tell('servicecidrs', 'onDelete', cidr('a'));
  expect(calls).toEqual([
    'cidrs 172.30.0.0/16,fd00:30::/112',
    'cidrs 172.30.0.0/16,fd00:30::/112,172.31.0.0/16',
    'cidrs 172.31.0.0/16',
  ]);
});

test('configured networks of Services count as long as no ServiceCIDR is there', () => {
  const { source, calls } = start(undefined, [parseCidr('10.96.0.0/12')]);
  const object = { metadata: { name: 'a', namespace: '' }, spec: { cidrs: ['172.30.0.0/16'] } };
  source.tell('servicecidrs', 'onAdd', object);
  source.tell('servicecidrs', 'onDelete', object);
  expect(calls).toEqual(['cidrs 10.96.0.0/12', 'cidrs 172.30.0.0/16', 'cidrs 10.96.0.0/12']);
});

describe('the Node', () => {
  test('is known from its first reading to its deletion', () => {
    const { source, node, calls } = start();
    expect([node.isExpected, node.object]).toEqual([true, undefined]);
    source.tell('nodes', 'onAdd', NODE);
    expect(node.object).toBe(NODE);
    source.tell('nodes', 'onDelete', NODE);
    expect([node.object, calls]).toEqual([undefined, ['node 192.168.0.1', 'node gone']]);
  });

  test('is missing when the first reading brought none, until it is there', async () => {
    const { source, node } = start();
    expect(node.isMissing).toBe(false);
    await source.sync('nodes');
    expect(node.isMissing).toBe(true);
    source.tell('nodes', 'onAdd', NODE);
    expect(node.isMissing).toBe(false);
  });

  test('bindAddress comes before its own addresses, and can change', () => {
    const { source, proxy, node, calls } = start('192.168.0.9');
    source.tell('nodes', 'onAdd', NODE);
    node.overrideAddress(proxy, parseIP('192.168.0.9'));
    node.overrideAddress(proxy, parseIP('192.168.0.8'));
    node.overrideAddress(proxy, undefined);
    expect(calls).toEqual([
      'node 192.168.0.9,192.168.0.1',
      'node 192.168.0.8,192.168.0.1',
      'node 192.168.0.1',
    ]);
  });
});
