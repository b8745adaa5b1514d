import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ObjectStore } from '../../../src/kube/store.ts';
import type { KubernetesObject, Node } from '../../../src/kube/types.ts';
import { RecordingHandlers } from '../../support/kube.ts';

const isSame = (a: KubernetesObject, b: KubernetesObject) =>
  a.metadata.resourceVersion === b.metadata.resourceVersion;

/** Versions differ in what is read (`a`, `b`) or in nothing that is. */
const contents = fc
  .dictionary(fc.constantFrom('a', 'b', 'c', 'd', 'e'), fc.constantFrom('a1', 'a2', 'b1', 'b2'))
  .map((versions) => {
    const objects = Object.entries(versions).map(([name, resourceVersion]) => ({
      metadata: { name, namespace: '', uid: resourceVersion[0], resourceVersion },
    }));
    return new Map(objects.map((object) => [object.metadata.name, object]));
  });

const uids = (objects: Iterable<[string, KubernetesObject]>) =>
  Object.fromEntries([...objects].map(([key, { metadata }]) => [key, metadata.uid]));

test('handlers hold what the store holds, and are told of each difference once', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(contents), async (states) => {
      const handlers = new RecordingHandlers<KubernetesObject>();
      const store = new ObjectStore(handlers, isSame);
      let before: Record<string, string | undefined> = {};
      for (const state of states) {
        handlers.take();
        await store.replace(state);
        expect(Object.fromEntries(store.entries())).toEqual(Object.fromEntries(state));
        const now = uids(state);
        expect(uids(handlers.objects)).toEqual(now);
        const keys = new Set([...Object.keys(before), ...Object.keys(now)]);
        const different = [...keys].filter((key) => before[key] !== now[key]);
        expect(handlers.events).toHaveLength(different.length);
        before = now;
      }
    }),
  );
});

test('what is the same but for its version is kept as it was told, at the new version', () => {
  const handlers = new RecordingHandlers<Node>();
  const store = new ObjectStore(handlers, isSame);
  const at = (resourceVersion: string): Node => ({
    metadata: { name: 'n', namespace: '', resourceVersion },
    spec: { podCIDRs: ['10.0.0.0/24'] },
  });
  store.set(at('1'));
  store.set(at('2'));
  expect([handlers.events, store.changes]).toEqual([['add n'], 1]);
  expect(store.get('n')).toEqual(at('2'));
  expect(store.get('n')?.spec).toBe(handlers.objects.get('n')?.spec);
});

test('deletions come before additions', async () => {
  const handlers = new RecordingHandlers<KubernetesObject>();
  const store = new ObjectStore(handlers, isSame);
  store.set({ metadata: { name: 'old', namespace: 'x' } });
  await store.replace(new Map([['x/new', { metadata: { name: 'new', namespace: 'x' } }]]));
  expect(handlers.events).toEqual(['add x/old', 'delete x/old', 'add x/new']);
});

test('a handler that throws is named', () => {
  const fail = () => {
    throw new Error('bug');
  };
  const store = new ObjectStore({ onAdd: fail, onUpdate: fail, onDelete: fail }, isSame);
  expect(() => store.set({ metadata: { name: 'a', namespace: 'x' } })).toThrow(
    expect.objectContaining({ code: 'HANDLER', message: 'add handler for x/a: bug' }),
  );
});
