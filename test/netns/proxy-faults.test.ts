import { expect, test } from 'vitest';
import { median } from '../bench/statistics.ts';
import { playChurn } from '../faults/proxy-churn.ts';
import { playAgentKills } from '../faults/proxy-kill.ts';

// A rule that is wrong once is wrong: no second chance.
const options = { timeout: 60_000, retry: 0 };
const load = { services: 80, seconds: 4, changesPerSecond: 300 };

test.each([
  { name: 'quiet kernel', seed: 1, failureShare: 0, meddlesEveryMs: Number.POSITIVE_INFINITY },
  {
    name: 'refused transactions',
    seed: 2,
    failureShare: 0.1,
    meddlesEveryMs: Number.POSITIVE_INFINITY,
  },
  { name: 'somebody meddles', seed: 3, failureShare: 0, meddlesEveryMs: 200 },
  { name: 'both', seed: 4, failureShare: 0.1, meddlesEveryMs: 200 },
])('random changes end where a cold start does: $name', options, async ({ name: _, ...faults }) => {
  const report = await playChurn({ ...load, ...faults });
  expect(report.changes).toBeGreaterThan(load.changesPerSecond);
  expect(report.failures > 0).toBe(faults.failureShare > 0);
  expect(report.meddlings > 0).toBe(faults.meddlesEveryMs < 1000);
  expect(report.differences).toEqual([]);
});

test('an agent killed at random loses no connection and no rule', options, async () => {
  const report = await playAgentKills({ ...load, seed: 5, repairs: 3 });
  expect(report.kills).toBeGreaterThan(1);
  expect(report.broken).toEqual([]);
  expect(report.knocks.failures).toEqual({});
  expect(report.knocks.greeted).toBeGreaterThan(100);
  expect(report.differences).toEqual([]);
  expect(median(report.repairsMs)).toBeLessThan(1000);
  expect(median(report.busyRepairsMs)).toBeLessThan(1000);
});
