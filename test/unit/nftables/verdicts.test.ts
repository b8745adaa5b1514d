import { expect, test } from 'vitest';
import { formatVerdict, parseVerdict } from '../../../src/nftables/verdicts.ts';

test.each([
  ['accept', 1],
  ['drop', 0],
  ['return', -5],
  ['continue', -1],
  ['goto n5', -4],
  ['jump external-services', -3],
])('%s', (text, code) => {
  const verdict = parseVerdict(text);
  expect(verdict.code).toBe(code);
  expect(formatVerdict(verdict.code, verdict.chain)).toBe(text);
});

test.each(['', 'goto', 'goto ', 'accept n5', 'reject', 'toString'])('%j is refused', (text) => {
  expect(() => parseVerdict(text)).toThrow(RangeError);
});

test('a code outside nf_tables is shown as a number', () => {
  expect(formatVerdict(3, undefined)).toBe('code 3');
});
