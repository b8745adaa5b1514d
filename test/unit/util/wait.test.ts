import { describe, expect, test } from 'vitest';
import { sleep, takeFlock } from '../../../src/util/wait.ts';

test('sleep holds up the thread for as long as asked', () => {
  const startedAt = performance.now();
  sleep(20);
  expect(performance.now() - startedAt).toBeGreaterThan(19);
});

describe('takeFlock', () => {
  /** A lock that others have for so many questions; gives the pauses between them. */
  function ask(questionsInVain: number, timeoutMs: number) {
    const pauses: number[] = [];
    let asked = 0;
    const isTaken = takeFlock(7, {
      timeoutMs,
      flock: () => asked++ >= questionsInVain,
      pause: (ms) => pauses.push(ms),
    });
    return { isTaken, pauses };
  }

  test.each([
    { name: 'free', inVain: 0, want: { isTaken: true, pauses: [] } },
    { name: 'soon free', inVain: 3, want: { isTaken: true, pauses: [1, 2, 3] } },
    {
      name: 'never free',
      inVain: Number.POSITIVE_INFINITY,
      want: { isTaken: false, pauses: [1, 2, 3, 4] },
    },
  ])('$name', ({ inVain, want }) => {
    expect(ask(inVain, 10)).toEqual(want);
  });

  test('never pauses longer than 10 ms, nor beyond its time', () => {
    const { pauses } = ask(Number.POSITIVE_INFINITY, 103);
    expect(Math.max(...pauses)).toBe(10);
    expect(pauses.reduce((sum, ms) => sum + ms)).toBe(103);
  });
});
