import { expect, test } from 'vitest';
import { inParts, inTurns, Turn } from '../../../src/util/turns.ts';
import { countTurns } from '../../support/turns.ts';

function work(ms: number): void {
  const end = performance.now() + ms;
  while (performance.now() < end) {
    // Holds the event loop, as a consumer does.
  }
}

test('a turn is over after its time, and begins again after a wait', async () => {
  const turn = new Turn();
  expect(turn.isOver).toBe(false);
  work(5);
  expect(turn.isOver).toBe(true);
  await turn.next();
  expect(turn.isOver).toBe(false);
});

test.each([
  { name: 'long work leaves others their turn', ms: 1, min: 5, max: 1000 },
  { name: 'short work is done in one go', ms: 0, min: 0, max: 2 },
])('inTurns visits all in order: $name', async ({ ms, min, max }) => {
  const seen: number[] = [];
  const items = Array.from({ length: 40 }, (_, index) => index);
  const { turns } = await countTurns(() =>
    inTurns(items, (item) => {
      work(ms);
      seen.push(item);
    }),
  );
  expect(seen).toEqual(items);
  expect(turns).toBeGreaterThanOrEqual(min);
  expect(turns).toBeLessThanOrEqual(max);
});

test('inParts cuts, and others have a turn between two parts', async () => {
  const parts: (readonly number[])[] = [];
  const { turns } = await countTurns(async () => {
    for await (const part of inParts([1, 2, 3, 4, 5], 2)) parts.push(part);
  });
  expect(parts).toEqual([[1, 2], [3, 4], [5]]);
  expect(turns).toBeGreaterThanOrEqual(2);
});
