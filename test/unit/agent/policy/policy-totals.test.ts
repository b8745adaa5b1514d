import { beforeEach, expect, test } from 'vitest';
import { createAgentMetrics } from '../../../../src/agent/metrics/metrics.ts';
import { PolicyTotals } from '../../../../src/agent/policy/policy-totals.ts';
import type { PolicyCounter } from '../../../../src/policy/counters.ts';
import { FakeClock } from '../../../support/fake-clock.ts';

let clock: FakeClock;
let counts: PolicyCounter[];
let readings: number;
let failure: Error | undefined;
let failures: unknown[];
let totals: PolicyTotals;

beforeEach(() => {
  clock = new FakeClock();
  counts = [];
  readings = 0;
  failure = undefined;
  failures = [];
  totals = new PolicyTotals({
    clock,
    read: () => {
      readings++;
      return failure === undefined ? Promise.resolve(counts) : Promise.reject(failure);
    },
    onError: (thrown) => failures.push(thrown),
  });
});

const count = (policy: string, allowed: number, denied = 0): PolicyCounter => ({
  ...{ policy, tier: 'NetworkPolicy', direction: 'ingress', allowed, denied },
});

async function read(...now: readonly PolicyCounter[]) {
  counts = [...now];
  clock.advance(10_000);
  const all = await totals.totals();
  return new Map(all.map(({ policy, allowed, denied }) => [policy, [allowed, denied]]));
}

test('totals follow what the kernel counts', async () => {
  expect(await read(count('a/b', 3, 1))).toEqual(new Map([['a/b', [3, 1]]]));
  expect(await read(count('a/b', 5, 1))).toEqual(new Map([['a/b', [5, 1]]]));
});

test('they never fall: elements that are gone took their counts along', async () => {
  await read(count('a/b', 10));
  expect((await read(count('a/b', 4))).get('a/b')).toEqual([10, 0]);
  expect((await read(count('a/b', 6))).get('a/b')).toEqual([12, 0]);
  expect((await read()).get('a/b')).toEqual([12, 0]);
});

test('the kernel is read once in ten seconds, however often they are asked for', async () => {
  await read(count('a/b', 1));
  counts = [count('a/b', 2)];
  clock.advance(9_999);
  expect(await totals.totals()).toMatchObject([{ allowed: 1 }]);
  clock.advance(1);
  expect(await totals.totals()).toMatchObject([{ allowed: 2 }]);
  expect(readings).toBe(2);
});

test('a reading that fails leaves them as they are', async () => {
  await read(count('a/b', 1));
  failure = new Error('ENOBUFS');
  expect((await read(count('a/b', 2))).get('a/b')).toEqual([1, 0]);
  expect(failures).toEqual([failure]);
});

const many = (first: number, length: number) =>
  Array.from({ length }, (_, i) => count(`a/${first + i}`, 1, 2));

test('of very many policies those beyond are counted together', async () => {
  const read1 = await read(...many(0, 1_500));
  expect(read1.size).toBe(1_001);
  expect(read1.get('')).toEqual([500, 1_000]);
  expect((await read(...many(0, 1_501))).get('')).toEqual([501, 1_002]);
});

test('policies that are gone give way to new ones', async () => {
  await read(...many(0, 1_000));
  const after = await read(...many(900, 200));
  expect(after.size).toBe(200);
  expect(after.get('')).toBeUndefined();
});

test('as metrics, names escaped', async () => {
  const metrics = createAgentMetrics({ version: '', nodeVersion: '', hasProcessMetrics: false });
  metrics.observePolicyCounts({
    totals: () => Promise.resolve([count('a/b', 3, 1), count('a/"x', 7)]),
    denials: () => ({ told: 1, repeated: 2, suppressed: 3, lost: 4 }),
  });
  const lines = (await metrics.render()).split('\n').filter((line) => /^weft_policy_/.test(line));
  const labels = 'tier="NetworkPolicy",direction="ingress"';
  expect(lines).toEqual([
    `weft_policy_connections_total{policy="a/b",${labels},verdict="allowed"} 3`,
    `weft_policy_connections_total{policy="a/b",${labels},verdict="denied"} 1`,
    `weft_policy_connections_total{policy="a/\\"x",${labels},verdict="allowed"} 7`,
    `weft_policy_connections_total{policy="a/\\"x",${labels},verdict="denied"} 0`,
    'weft_policy_denied_total{outcome="told"} 1',
    'weft_policy_denied_total{outcome="repeated"} 2',
    'weft_policy_denied_total{outcome="suppressed"} 3',
    'weft_policy_denied_total{outcome="lost"} 4',
  ]);
});
