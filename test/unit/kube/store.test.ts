import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ObjectStore } from '../../../src/kube/store.ts';
import type { KubernetesObject } from '../../../src/kube/types.ts';
import { RecordingHandlers } from '../../support/kube.ts';

const isSame = (a: KubernetesObject, b: KubernetesObject) =>
  a.metadata.resourceVersion === b.metadata.resourceVersion;

const contents = fc
  .dictionary(fc.constantFrom('a', 'b', 'c', 'd', 'e'), fc.constantFrom('1', '2'))
  .map((versions) => {
    const objects = Object.entries(versions).map(([name, resourceVersion]) => ({
      metadata: { name, namespace: '', resourceVersion },
    }));
    return new Map(objects.map((object) => [object.metadata.name, object]));
  });

test('handlers hold what the store holds, and are told of each difference once', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(contents), async (states) => {
      const handlers = new RecordingHandlers<KubernetesObject>();
      const store = new ObjectStore(handlers, isSame);
      let before = new Map<string, KubernetesObject>();
      for (const state of states) {
        handlers.take();
        await store.replace(state);
        expect(Object.fromEntries(handlers.objects)).toEqual(Object.fromEntries(state));
        const keys = new Set([...before.keys(), ...state.keys()]);
        const isDifferent = (key: string) => {
          const [old, now] = [before.get(key), state.get(key)];
          return old === undefined || now === undefined || !isSame(old, now);
        };
        expect(handlers.events).toHaveLength([...keys].filter(isDifferent).length);
        before = state;
      }
    }),
  );
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
