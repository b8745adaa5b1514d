import { expect, test } from 'vitest';
import { playKillRounds } from '../faults/kill-rounds.ts';

// A leak seen once is a leak: no second chance.
const options = { timeout: 120_000, retry: 0 };

test('SIGKILL at random instants leaves nothing: 60 rounds', options, async () => {
  const report = await playKillRounds(60, 20_240_601);
  expect(report.killed).toBeGreaterThan(5);
  expect(report.failures).toEqual([]);
  expect(report.leaked).toEqual([]);
});
