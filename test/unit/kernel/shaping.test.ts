import { describe, expect, test } from 'vitest';
import { bucketOf, isSameBucket } from '../../../src/kernel/shaping.ts';

const MIB = 1024 * 1024;

describe('bucketOf', () => {
  test.each([
    {
      name: 'bits become bytes, 25 ms may wait',
      limit: { rateBits: 8_000_000, burstBits: 160_000 },
      want: { rate: 1_000_000, burst: 20_000, limit: 45_000 },
    },
    {
      name: 'kubelet fills in MaxInt32: 100 ms of the rate',
      limit: { rateBits: 80_000_000, burstBits: 0x7fffffff },
      want: { rate: 10_000_000, burst: 1_000_000, limit: 1_250_000 },
    },
    {
      name: 'containerd fills in MaxUint32: at least 128 KiB',
      limit: { rateBits: 1_000_000, burstBits: 0xffffffff },
      want: { rate: 125_000, burst: MIB / 8, limit: 3125 + MIB / 8 },
    },
    {
      name: 'a chosen burst is taken as it is',
      limit: { rateBits: 8, burstBits: 0x7ffffffe },
      want: { rate: 1, burst: 0x0fffffff, limit: 0x0fffffff },
    },
    {
      name: 'nothing leaves 32 bits',
      limit: { rateBits: 10 ** 12, burstBits: 2 ** 40 },
      want: { rate: 125_000_000_000, burst: 0xffffffff, limit: 0xffffffff },
    },
    {
      name: 'the kernel takes no zero',
      limit: { rateBits: 1, burstBits: 1 },
      want: { rate: 1, burst: 1, limit: 1 },
    },
  ])('$name', ({ limit, want }) => {
    expect(bucketOf(limit)).toEqual(want);
  });

  test.each([
    [{ rate: 10, burst: 5, limit: 7 }, true],
    [{ rate: 11, burst: 6, limit: 7 }, false],
    [{ rate: 10, burst: 6, limit: 8 }, false],
  ])('is %j the same as the one written? %s', (read, want) => {
    expect(isSameBucket({ rate: 10, burst: 6, limit: 7 }, read)).toBe(want);
  });
});
