import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { sha512 } from '../../../src/util/sha512.ts';

const expected = (text: string) => createHash('sha512').update(text).digest('hex');

test.each([0, 1, 111, 112, 127, 128, 129, 1000])('%d characters', (length) => {
  const text = 'n'.repeat(length);
  expect(sha512(text)).toBe(expected(text));
});

test('any text', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme', maxLength: 300 }), (text) => {
      expect(sha512(text)).toBe(expected(text));
    }),
    { numRuns: 200 },
  );
});
