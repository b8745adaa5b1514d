import { expect, test } from 'vitest';
import { inTurns } from '../../../src/util/turns.ts';

test('visits all in order, and lets others run after each part', async () => {
  const seen: (number | 'others')[] = [];
  const others = () => {
    seen.push('others');
    if (seen.length < 20) immediate = setImmediate(others);
  };
  let immediate = setImmediate(others);
  await inTurns([1, 2, 3, 4, 5], (item) => seen.push(item), 2);
  clearImmediate(immediate);
  expect(seen.slice(0, 7)).toEqual([1, 2, 'others', 3, 4, 'others', 5]);
});
