import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { formatGoDuration, parseGoDuration } from '../../../../src/agent/config/go-duration.ts';

describe('parseGoDuration', () => {
  test.each([
    ['0', 0],
    ['0s', 0],
    ['30s', 30_000],
    ['1h30m', 5_400_000],
    ['1h15m30.918273645s', 4_530_918.273645],
    ['1.5s', 1_500],
    ['.5s', 500],
    ['5.s', 5_000],
    ['100ms', 100],
    ['500us', 0.5],
    ['500µs', 0.5],
    ['500μs', 0.5],
    ['7ns', 0.000007],
    ['-2m', -120_000],
    ['+2m', 120_000],
    ['-0', 0],
    ['2562047h', 2562047 * 3_600_000],
  ])('%s is %d ms', (text, want) => {
    expect(parseGoDuration(text)).toBeCloseTo(want, 6);
  });

  test.each([
    '',
    '3',
    '-',
    's',
    '.',
    '.s',
    '+.s',
    '1d',
    '30 s',
    ' 30s',
    '30S',
    '1h-5m',
    '3000000h',
    '1e3s',
    'Infinity',
  ])('%j is no duration', (text) => {
    expect(parseGoDuration(text)).toBeUndefined();
  });
});

describe('formatGoDuration', () => {
  test.each([
    [0, '0s'],
    [0.0011, '1.1µs'],
    [0.000001, '1ns'],
    [2.2, '2.2ms'],
    [3_300, '3.3s'],
    [305_000, '5m5s'],
    [305_001, '5m5.001s'],
    [86_400_000, '24h0m0s'],
    [900_000, '15m0s'],
    [-1_500, '-1.5s'],
  ])('%d ms is %s', (milliseconds, want) => {
    expect(formatGoDuration(milliseconds)).toBe(want);
  });

  test('what it writes is read back', () => {
    fc.assert(
      fc.property(fc.integer({ min: -1e12, max: 1e12 }), (microseconds) => {
        const text = formatGoDuration(microseconds / 1000);
        expect(parseGoDuration(text)).toBeCloseTo(microseconds / 1000, 5);
      }),
      { numRuns: 300 },
    );
  });
});
