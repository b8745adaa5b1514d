import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  decodeTokenBucket,
  encodeTokenBucket,
} from '../../../../src/netlink/rtnetlink/token-bucket.ts';
import {
  decodeRedirect,
  encodeClsact,
  encodeFilterKey,
  encodeQdisc,
  encodeQdiscKey,
  encodeRedirect,
  PARENT,
  ROOT_HANDLE,
} from '../../../../src/netlink/rtnetlink/traffic-control.ts';

const key = { link: 4, parent: PARENT.ingress, priority: 49408 };

/** What iproute2's `tc` sends, with the nested flags that it leaves out. */
describe('traffic control messages', () => {
  test.each([
    {
      name: 'tc qdisc add clsact',
      got: encodeClsact(4),
      want: '00000000040000000000fffff1ffffff00000000' + '0b000100636c736163740000',
    },
    {
      name: 'tc qdisc del root',
      got: encodeQdiscKey({ link: 4, parent: PARENT.root }),
      want: '000000000400000000000000ffffffff00000000',
    },
    {
      name: 'tc filter del ingress prio 49408 protocol all',
      got: encodeFilterKey(key),
      want: '000000000400000000000000f2ffffff000300c1',
    },
    {
      name: 'tc filter add ingress u32 match u32 0 0 action mirred egress redirect',
      got: encodeRedirect(key, 5),
      want: [
        '000000000400000000000000f2ffffff000300c1',
        '0800010075333200',
        '60000280',
        '380007803400018' + '0' + '0b0001006d69727265640000',
        '2400028020000200' + '0000000000000000040000000000000000000000' + '0100000005000000',
        '24000500' + '0100010000000000000000000000000000000000000000000000000000000000',
      ].join(''),
    },
    {
      name: 'tc qdisc add root handle 1: tbf rate 8mbit burst 20000 limit 45000 (no rate table)',
      got: encodeQdisc(
        { link: 3, parent: PARENT.root, handle: ROOT_HANDLE },
        'tbf',
        encodeTokenBucket({ rate: 1_000_000, burst: 20_000, limit: 45_000 }),
      ),
      want: [
        '000000000300000000000100ffffffff00000000',
        '0800010074626600',
        '34000200',
        '28000100' + '0001000000000000' + '40420f00',
        '000000000000000000000000' + 'c8af0000' + 'b4c40400' + '00000000',
        '08000600204e0000',
      ].join(''),
    },
  ])('$name', ({ got, want }) => {
    expect(got.toString('hex')).toBe(want);
  });

  test('a redirect is read back as it was written', () => {
    expect(decodeRedirect(encodeRedirect(key, 5))).toEqual({
      priority: 49408,
      matchesEverything: true,
      target: 5,
    });
  });

  test('filters of other kinds are none of ours', () => {
    expect(decodeRedirect(encodeQdisc(key, 'bpf'))).toBeUndefined();
  });
});

describe('token buckets', () => {
  test('rate and limit are read back exactly, the burst within a tick of 64 ns', () => {
    const rate = fc.integer({ min: 1_000, max: 50_000_000_000 });
    const size = fc.integer({ min: 1, max: 0xffffffff });
    fc.assert(
      fc.property(rate, size, size, (bytesPerSecond, burst, limit) => {
        fc.pre(burst / bytesPerSecond < 270);
        const bucket = { rate: bytesPerSecond, burst, limit };
        const read = decodeTokenBucket(encodeTokenBucket(bucket));
        expect(read).toMatchObject({ rate: bytesPerSecond, limit });
        const tick = bytesPerSecond * 64e-9 + 1;
        expect(Math.abs((read?.burst ?? 0) - burst)).toBeLessThanOrEqual(tick);
      }),
    );
  });

  test('a rate of 2^32 bytes per second and more has its own attribute', () => {
    const encoded = encodeTokenBucket({ rate: 5_000_000_000, burst: 1, limit: 1 });
    expect(encoded.toString('hex')).toContain('ffffffff');
    expect(encoded.toString('hex')).toContain('0c00040000f2052a01000000');
  });

  test('other options are no token bucket', () => {
    expect(decodeTokenBucket(Buffer.alloc(0))).toBeUndefined();
  });
});
