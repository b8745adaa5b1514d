import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { sha256 } from '../../../src/util/sha256.ts';

function reference(bytes: string | Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

describe('sha256', () => {
  // FIPS 180-4's own examples.
  test.each([
    ['', 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'],
    ['abc', 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'],
    [
      'abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq',
      '248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1',
    ],
  ])('%j', (text, want) => {
    expect(sha256(text).toString('hex')).toBe(want);
  });

  test('every length around the block boundaries', () => {
    const lengths = Array.from(
      { length: 200 },
      (_, length) => 'é'.repeat(length % 3) + 'x'.repeat(length),
    );
    expect(lengths.map((text) => sha256(text).toString('hex'))).toEqual(lengths.map(reference));
  });

  test('any bytes', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        expect(sha256(bytes).toString('hex')).toBe(reference(bytes));
      }),
    );
  });
});
