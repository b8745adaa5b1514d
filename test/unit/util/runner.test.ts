import { describe, expect, test } from 'vitest';
import { BoundedFrequencyRunner } from '../../../src/util/runner.ts';
import { FakeClock } from '../../support/fake-clock.ts';

const settle = async () => {
  for (let i = 0; i < 10; i++) await Promise.resolve();
};

function setUp(options: { fails?: () => boolean; maxIntervalMs?: number } = {}) {
  const clock = new FakeClock();
  const runs: number[] = [];
  const errors: string[] = [];
  const runner = new BoundedFrequencyRunner(
    async () => {
      runs.push(clock.now());
      if (options.fails?.()) throw new Error('refused');
    },
    {
      minIntervalMs: 1000,
      retryIntervalMs: 5000,
      ...(options.maxIntervalMs === undefined ? {} : { maxIntervalMs: options.maxIntervalMs }),
      clock,
      onError: (error) => errors.push(error.message),
    },
  );
  const advance = async (ms: number) => {
    for (let i = 0; i < ms; i += 100) {
      clock.advance(100);
      await settle();
    }
  };
  return { clock, runs, errors, runner, advance };
}

describe('BoundedFrequencyRunner', () => {
  test('the first trigger runs at once, later ones fold into one after the interval', async () => {
    const { runs, runner, advance } = setUp();
    runner.trigger();
    await advance(100);
    expect(runs).toHaveLength(1);
    for (let i = 0; i < 50; i++) runner.trigger();
    await advance(800);
    expect(runs).toHaveLength(1);
    await advance(300);
    expect(runs).toHaveLength(2);
    await advance(10_000);
    expect(runs).toHaveLength(2);
  });

  test('an urgent run waits for a fifth of a second only', async () => {
    const { runs, runner, advance } = setUp();
    runner.trigger();
    await advance(100);
    runner.trigger();
    runner.trigger({ isUrgent: true });
    await advance(100);
    expect(runs).toHaveLength(1);
    await advance(100);
    expect(runs).toHaveLength(2);
  });

  test('a clock that is set back an hour puts nothing off', async () => {
    const { clock, runs, runner, advance } = setUp({ maxIntervalMs: 3000 });
    runner.trigger();
    await advance(100);
    clock.step(-3_600_000);
    runner.trigger();
    await advance(1000);
    expect(runs).toHaveLength(2);
    clock.step(-3_600_000);
    await advance(3000);
    expect(runs).toHaveLength(3);
  });

  test('a failed run repeats after the retry interval without a trigger', async () => {
    let isFailing = true;
    const { runs, errors, runner, advance } = setUp({ fails: () => isFailing });
    runner.trigger();
    await advance(4900);
    expect(runs).toHaveLength(1);
    isFailing = false;
    await advance(400);
    expect(runs).toHaveLength(2);
    expect(errors).toEqual(['refused']);
    await advance(20_000);
    expect(runs).toHaveLength(2);
  });

  test('a trigger does not wait for the retry interval of a failure', async () => {
    const { runs, runner, advance } = setUp({ fails: () => true });
    runner.trigger();
    await advance(200);
    runner.trigger();
    await advance(1200);
    expect(runs).toHaveLength(2);
  });

  test('runs happen at least every maximum interval', async () => {
    const { runs, runner, advance } = setUp({ maxIntervalMs: 3000 });
    runner.trigger();
    await advance(10_000);
    expect(runs).toHaveLength(4);
  });

  test('a trigger during a run causes one more run', async () => {
    const clock = new FakeClock();
    let finish = () => {};
    let started = 0;
    const runner = new BoundedFrequencyRunner(
      () => {
        started++;
        return new Promise<void>((resolve) => {
          finish = resolve;
        });
      },
      { minIntervalMs: 1000, retryIntervalMs: 1000, clock, onError: () => {} },
    );
    runner.trigger();
    clock.advance(0);
    expect(started).toBe(1);
    runner.trigger();
    runner.trigger();
    clock.advance(5000);
    expect(started).toBe(1);
    finish();
    await settle();
    clock.advance(1000);
    expect(started).toBe(2);
  });

  test('stop cancels what is planned and waits for the run in progress', async () => {
    const { runs, runner, advance } = setUp();
    runner.trigger();
    await advance(100);
    runner.trigger();
    await runner.stop();
    runner.trigger();
    await advance(5000);
    expect(runs).toHaveLength(1);
  });

  test('other intervals count from the next run on', async () => {
    const { runs, runner, advance, clock } = setUp({ maxIntervalMs: 60_000 });
    const startedAt = clock.now();
    runner.trigger();
    await advance(1_500);
    // A run ends with the step of the fake clock in which it began, up to 100 ms later.
    runner.setIntervals({ minIntervalMs: 200, retryIntervalMs: 5000, maxIntervalMs: 400 });
    await advance(1_000);
    runner.setIntervals({ minIntervalMs: 200, retryIntervalMs: 5000, maxIntervalMs: 60_000 });
    await advance(30_000);
    expect(runs.map((at) => at - startedAt)).toEqual([0, 1500, 2000, 2400, 2600]);
  });
});
