import { expect, test } from 'vitest';
import { soak } from '../soak/soak.ts';

// What is kept once is kept a thousand times: no second chance.
const options = { timeout: 400_000, retry: 0 };

test('a minute of work leaves descriptors and memory as they were', options, async () => {
  const { phases, problems } = await soak(1, 20_260_101);
  expect(phases).toHaveLength(5);
  expect(problems).toEqual([]);
});
