import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { cidrOf, lastAddress } from '../../../src/net/cidr.ts';
import { ipFromBytes, parseIP } from '../../../src/net/ip.ts';
import {
  ifnameBytes,
  ipBytes,
  lastBytes,
  maskBytes,
  nextKey,
  portBytes,
  previousKey,
  protocolBytes,
  readIPBytes,
  readPortBytes,
  readU32Bytes,
  u32Bytes,
} from '../../../src/nftables/bytes.ts';

const hex = (bytes: string) => Buffer.from(bytes, 'latin1').toString('hex');
const key = fc
  .uint8Array({ minLength: 1, maxLength: 16 })
  .map((bytes) => Buffer.from(bytes).toString('latin1'));

test.each([
  ['IPv4', ipBytes(parseIP('172.30.0.41')), 'ac1e0029'],
  ['IPv6', ipBytes(parseIP('fd00:172:30::29')), 'fd000172003000000000000000000029'],
  ['port', portBytes(6443), '192b0000'],
  ['tcp', protocolBytes('tcp'), '06000000'],
  ['udp', protocolBytes('udp'), '11000000'],
  ['sctp', protocolBytes('sctp'), '84000000'],
  ['number', u32Bytes(0xfedcba98), '98badcfe'],
  ['interface', ifnameBytes('cni0'), '636e6930000000000000000000000000'],
])('%s', (_, bytes, want) => {
  expect(hex(bytes)).toBe(want);
});

test('the last address of a network, of any length', () => {
  for (const ip of ['172.30.160.41', 'fd00:172:30::a029'].map(parseIP)) {
    for (let length = 0; length <= 8 * ipBytes(ip).length; length++) {
      const cidr = cidrOf(ip, length);
      expect(hex(lastBytes(cidr)), cidr).toBe(hex(ipBytes(lastAddress(cidr))));
    }
  }
});

test('an interface name of 16 bytes is refused', () => {
  expect(() => ifnameBytes('abcdefghijklmnop')).toThrow(RangeError);
});

test.each([
  [0, '00000000'],
  [1, '80000000'],
  [9, 'ff800000'],
  [32, 'ffffffff'],
])('mask of /%i', (length, want) => {
  expect(hex(maskBytes(cidrOf(parseIP('10.0.0.0'), length)))).toBe(want);
});

test('mask of an IPv6 /61', () => {
  const mask = maskBytes(cidrOf(parseIP('fd00::'), 61));
  expect(hex(mask)).toBe('fffffffffffffff80000000000000000');
});

describe('reading gives what was written', () => {
  test('addresses', () => {
    const address = fc
      .oneof(
        fc.uint8Array({ minLength: 4, maxLength: 4 }),
        fc.uint8Array({ minLength: 16, maxLength: 16 }),
      )
      .map(ipFromBytes);
    fc.assert(
      fc.property(address, (ip) => {
        const family = ipBytes(ip).length === 4 ? 4 : 6;
        expect(readIPBytes(`xx${ipBytes(ip)}`, 2, family)).toBe(ip);
      }),
    );
  });

  test('ports and numbers', () => {
    fc.assert(
      fc.property(fc.nat(65_535), fc.nat(0xffffffff), (port, value) => {
        const bytes = portBytes(port) + u32Bytes(value);
        expect([readPortBytes(bytes, 0), readU32Bytes(bytes, 4)]).toEqual([port, value]);
      }),
    );
  });
});

describe('neighbouring keys', () => {
  test.each([
    ['00', '01'],
    ['0a0000ff', '0a000100'],
    ['00ffffff', '01000000'],
  ])('%s is before %s', (before, after) => {
    expect(hex(nextKey(Buffer.from(before, 'hex').toString('latin1')) ?? '')).toBe(after);
  });

  test('nothing is after the last or before the first', () => {
    expect([nextKey('\xff\xff'), previousKey('\0\0')]).toEqual([undefined, undefined]);
  });

  test('next and previous undo each other and keep the order', () => {
    fc.assert(
      fc.property(key, (text) => {
        const next = nextKey(text);
        fc.pre(next !== undefined);
        expect(previousKey(next)).toBe(text);
        expect(next > text).toBe(true);
      }),
    );
  });
});
