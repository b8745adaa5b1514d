import { describe, expect, test } from 'vitest';
import type { IPFamily } from '../../../src/net/ip.ts';
import { afterFirstCommit } from '../../../src/proxy/after-first-commit.ts';
import { FakeClock } from '../../support/fake-clock.ts';

const settled = async () => new Promise((resolve) => setImmediate(resolve));

describe('a job after the first commit', () => {
  test('is done once for each family, at once', () => {
    const done: IPFamily[] = [];
    const commits = afterFirstCommit((family) => {
      done.push(family);
      return undefined;
    }, new FakeClock());
    for (const family of [4, 4, 6, 4, 6] as const) commits.committed(family);
    expect([done, [...commits.begun]]).toEqual([
      [4, 6],
      [4, 6],
    ]);
  });

  test('is tried again when it says so, or when somebody asks for it', () => {
    const clock = new FakeClock();
    let tries = 0;
    const commits = afterFirstCommit(() => {
      tries += 1;
      return tries < 3 ? 1_000 : undefined;
    }, clock);
    commits.committed(4);
    commits.tryIn(4, 5_000);
    clock.advance(4_000);
    expect(tries).toBe(1);
    clock.advance(1_000);
    clock.advance(1_000);
    clock.advance(60_000);
    expect(tries).toBe(3);
  });

  test('is waited for by the next, and by whoever closes', async () => {
    const log: string[] = [];
    const ends: (() => void)[] = [];
    const commits = afterFirstCommit(async (family) => {
      log.push(`begins ${family}`);
      await new Promise<void>((resolve) => ends.push(resolve));
      log.push(`ends ${family}`);
      return 1_000;
    }, new FakeClock());
    commits.committed(4);
    commits.committed(6);
    await settled();
    expect(log).toEqual(['begins 4']);
    ends[0]?.();
    await settled();
    expect(log).toEqual(['begins 4', 'ends 4', 'begins 6']);
    const closed = commits.close();
    ends[1]?.();
    await closed;
    expect(log.at(-1)).toBe('ends 6');
  });

  test('is not tried any more once it is closed', async () => {
    const clock = new FakeClock();
    let tries = 0;
    const commits = afterFirstCommit(() => {
      tries += 1;
      return 1_000;
    }, clock);
    commits.committed(4);
    await commits.close();
    commits.tryIn(4, 10);
    commits.committed(6);
    clock.advance(60_000);
    expect(tries).toBe(1);
  });
});
