import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { LineSplitter } from '../../../../src/kube/api/lines.ts';

describe('LineSplitter', () => {
  test('gives the same lines however the bytes are cut', () => {
    const line = fc
      .string({ unit: 'grapheme', minLength: 1 })
      .filter((text) => /^[^\s]+$/u.test(text));
    fc.assert(
      fc.property(fc.array(line), fc.array(fc.nat()), (lines, cuts) => {
        const bytes = Buffer.from(lines.map((text) => `${text}\n`).join(''));
        const splitter = new LineSplitter(1 << 20);
        const places = [0, ...cuts.map((cut) => cut % (bytes.length + 1)), bytes.length];
        places.sort((a, b) => a - b);
        const found = places.flatMap((place, index) =>
          splitter.push(bytes.subarray(place, places[index + 1] ?? bytes.length)),
        );
        expect(found).toEqual(lines);
        expect(splitter.rest()).toBe('');
      }),
    );
  });

  test('keeps what follows the last line end', () => {
    const splitter = new LineSplitter(100);
    expect(splitter.push(Buffer.from('a\r\n\nb'))).toEqual(['a']);
    expect(splitter.rest()).toBe('b');
  });

  test('refuses a line that has no end', () => {
    const splitter = new LineSplitter(10);
    splitter.push(Buffer.from('123456'));
    expect(() => splitter.push(Buffer.from('123456'))).toThrow(/longer than 10 bytes/);
  });
});
