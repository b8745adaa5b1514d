import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { systemClock } from '../../../src/util/clock.ts';

test.each([2 ** 31, 99_999_999_999_000, Number.POSITIVE_INFINITY])(
  'a delay of %d ms is not over at once',
  async (delayMs) => {
    let isOver = false;
    const cancel = systemClock.schedule(delayMs, () => {
      isOver = true;
    });
    await sleep(20);
    cancel();
    expect(isOver).toBe(false);
  },
);
