import { expect, test } from 'vitest';
import { withLastResult } from '../../../src/util/last-result.ts';

test('a function is asked again only with other arguments than the last time', () => {
  let calls = 0;
  const pair = withLastResult((a: object, n: number) => {
    calls += 1;
    return { a, n };
  });
  const [one, two] = [{}, {}];
  const first = pair(one, Number.NaN);
  expect(pair(one, Number.NaN)).toBe(first);
  expect(calls).toBe(1);
  expect(pair(two, Number.NaN)).toEqual({ a: two, n: Number.NaN });
  expect(pair(one, Number.NaN)).not.toBe(first);
  expect(pair(one, 1).n).toBe(1);
  expect(calls).toBe(4);
});

test('what threw is asked again', () => {
  let calls = 0;
  const failing = withLastResult((n: number) => {
    calls += 1;
    throw new Error(`no ${n}`);
  });
  expect(() => failing(1)).toThrow('no 1');
  expect(() => failing(1)).toThrow('no 1');
  expect(calls).toBe(2);
});
