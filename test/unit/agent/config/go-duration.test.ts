import { describe, expect, test } from 'vitest';
import { parseGoDuration } from '../../../../src/agent/config/go-duration.ts';

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
