import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { trimProgramPages } from '../../../src/agent/resident-memory.ts';
import { wire } from '../../../src/netlink/wire.ts';
import { FakeClock } from '../../support/fake-clock.ts';

test('trims after the start and every ten minutes, until closed', () => {
  const clock = new FakeClock();
  let trims = 0;
  const trimming = trimProgramPages(clock, () => trims++);
  clock.advance(2_999);
  expect(trims).toBe(0);
  clock.advance(1);
  expect(trims).toBe(1);
  clock.advance(20 * 60_000);
  expect(trims).toBe(3);
  trimming.close();
  clock.advance(20 * 60_000);
  expect(trims).toBe(3);
});

test('a trim that fails, as without descriptors, ends nothing', () => {
  const clock = new FakeClock();
  let trims = 0;
  const trimming = trimProgramPages(clock, () => {
    trims++;
    throw new Error('EMFILE');
  });
  clock.advance(3_000 + 10 * 60_000);
  expect(trims).toBe(2);
  trimming.close();
});

/** Resident KiB of this process that belong to files. */
function residentFileKiB(): number {
  const status = readFileSync('/proc/self/status', 'utf8');
  return Number(/^RssFile:\s+(\d+) kB$/m.exec(status)?.[1]);
}

test('code that does not run is no longer resident, and runs again all the same', () => {
  const before = residentFileKiB();
  wire.dropProgramPages();
  expect(residentFileKiB()).toBeLessThan(before - 4_096);
  expect(JSON.parse('{"a":[1,2]}')).toEqual({ a: [1, 2] });
});
