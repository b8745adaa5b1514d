import { expect, test } from 'vitest';
import { claimNetns } from '../../../src/cni/pod-lock.ts';
import { BusyError } from '../../../src/util/errors.ts';

const netns = { fd: 7, id: '4:4026532000', close: () => undefined };

/** A lock that others have for so many questions. */
function lockFreeAfter(questions: number) {
  const asked: string[] = [];
  let pausedMs = 0;
  const options = {
    timeoutMs: 100,
    flock: (fd: number, operation: 'exclusive' | 'unlock') => {
      asked.push(`${operation} ${fd}`);
      return asked.length > questions;
    },
    pause: (ms: number) => {
      pausedMs += ms;
    },
  };
  return { options, asked, paused: () => pausedMs };
}

test.each([0, 1, 5])('waits for others who ask %i times, and lets go once', (questions) => {
  const { options, asked, paused } = lockFreeAfter(questions);
  const release = claimNetns(netns, options);
  expect(asked).toEqual(Array.from({ length: questions + 1 }, () => 'exclusive 7'));
  expect(paused() > 0).toBe(questions > 0);
  release();
  expect(asked.at(-1)).toBe('unlock 7');
});

test('not for ever', () => {
  const { options, paused } = lockFreeAfter(Number.POSITIVE_INFINITY);
  expect(() => claimNetns(netns, options)).toThrow(BusyError);
  expect(() => claimNetns(netns, options)).toThrow('adding to network namespace 4:4026532000');
  expect(paused()).toBeLessThan(250);
});
