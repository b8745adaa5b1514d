import { describe, expect, test } from 'vitest';
import { Audit, type AuditedPart, type AuditFinding } from '../../../src/util/audit.ts';
import { FakeClock } from '../../support/fake-clock.ts';

type Answer = number | 'unsettled' | Error;

/** A part that gives these answers, then 0 for ever. */
function part(what: string, answers: readonly Answer[] = []) {
  const left = [...answers];
  const looks: number[] = [];
  const look: AuditedPart['look'] = async () => {
    const answer = left.shift() ?? 0;
    looks.push(clock.now());
    if (answer instanceof Error) throw answer;
    return answer;
  };
  return { what, look, looks };
}

let clock = new FakeClock();

function start(parts: readonly AuditedPart[]) {
  clock = new FakeClock();
  const found: AuditFinding[] = [];
  const failed: string[] = [];
  const audit = new Audit({
    clock,
    parts: () => parts,
    onDifference: (finding) => found.push(finding),
    onError: (what, { message }) => failed.push(`${what}: ${message}`),
  });
  audit.start();
  const run = async (ms: number) => {
    for (let passed = 0; passed < ms; passed += 500) {
      clock.advance(500);
      await new Promise(setImmediate);
    }
  };
  return { audit, found, failed, run };
}

test('each part is looked at once in four minutes, and again', async () => {
  const parts = Array.from({ length: 40 }, (_, i) => part(`part ${i}`));
  const { audit, found, run } = start(parts);
  await run(242_000);
  expect(parts.every(({ looks }) => looks.length === 1)).toBe(true);
  expect(audit.report.comparedAtMs).toBeDefined();
  await run(240_000);
  expect(parts.every(({ looks }) => looks.length === 2)).toBe(true);
  expect(found).toEqual([]);
  await audit.stop();
});

describe('a difference', () => {
  test.each<{ name: string; answers: readonly Answer[]; want: readonly number[] }>([
    { name: 'that a second look finds too', answers: [3, 2], want: [2] },
    { name: 'that is gone at the second look', answers: [3, 0], want: [] },
    {
      name: 'that only unsettled looks surround',
      answers: [3, 'unsettled', 3, 'unsettled'],
      want: [],
    },
    { name: 'that is found when things have settled', answers: ['unsettled', 1, 1], want: [1] },
  ])('$name', async ({ answers, want }) => {
    const { audit, found, run } = start([part('a map', answers), part('another')]);
    await run(240_000);
    expect(found.map(({ differences }) => differences)).toEqual(want);
    expect(audit.report.differences).toBe(want.reduce((sum, each) => sum + each, 0));
    await audit.stop();
  });
});

test('a look that fails keeps nobody from the others', async () => {
  const other = part('other', [1, 1]);
  const { audit, found, failed, run } = start([part('broken', [new Error('ENOENT')]), other]);
  await run(260_000);
  expect(failed).toEqual(['broken: ENOENT']);
  expect(found.map(({ what }) => what)).toEqual(['other']);
  await audit.stop();
});

test('nothing is looked at any more once it is stopped', async () => {
  const only = part('only');
  const { audit, run } = start([only]);
  await audit.stop();
  await run(500_000);
  expect(only.looks).toEqual([]);
});
