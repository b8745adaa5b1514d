import { expect, test } from 'vitest';
import { ObjectStore } from '../../../src/kube/store.ts';
import type { KubernetesObject } from '../../../src/kube/types.ts';
import { countTurns } from '../../support/turns.ts';

function work(ms: number): void {
  const end = performance.now() + ms;
  while (performance.now() < end) {
    // Holds the event loop, as a consumer does.
  }
}

const objects = (count: number) =>
  new Map(
    Array.from({ length: count }, (_, index) => [
      `s-${index}`,
      { metadata: { name: `s-${index}`, namespace: '' } },
    ]),
  );

test.each([
  { name: 'many additions leave others their turn', count: 40, min: 5, max: 1000 },
  { name: 'few are told together', count: 1, min: 0, max: 1 },
])('$name', async ({ count, min, max }) => {
  const handler = () => work(1);
  const handlers = { onAdd: handler, onUpdate: handler, onDelete: handler };
  const store = new ObjectStore<KubernetesObject>(handlers, () => true);
  const { turns } = await countTurns(() => store.replace(objects(count)));
  expect(turns).toBeGreaterThanOrEqual(min);
  expect(turns).toBeLessThanOrEqual(max);
});
