import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { linkLocalOf, localMac, macFromBytes, macToBytes, parseMac } from '../../../src/net/mac.ts';

const sixBytes = fc.uint8Array({ minLength: 6, maxLength: 6 });

describe('parseMac', () => {
  test.each([
    ['0a:58:0A:F4:01:02', '0a:58:0a:f4:01:02'],
    ['0a-58-0a-f4-01-02', '0a:58:0a:f4:01:02'],
  ])('%s is %s', (text, want) => expect(parseMac(text)).toBe(want));

  test.each([
    '',
    '0a:58:0a:f4:01',
    '0a:58:0a:f4:01:02:03',
    'a:58:0a:f4:01:02',
    '0a:58-0a:f4:01:02',
    '0g:58:0a:f4:01:02',
  ])('rejects %j', (text) => expect(() => parseMac(text)).toThrow('not six octets'));
});

test('bytes give the address back', () =>
  fc.assert(
    fc.property(sixBytes, (bytes) => {
      const mac = macFromBytes(bytes);
      expect(macToBytes(mac)).toEqual(bytes);
      expect(parseMac(mac)).toBe(mac);
    }),
  ));

test('a generated address is local, unicast and keeps 46 bits of entropy', () =>
  fc.assert(
    fc.property(sixBytes, (entropy) => {
      const bytes = macToBytes(localMac(entropy));
      expect((bytes[0] ?? 0) & 0x03).toBe(0x02);
      expect((bytes[0] ?? 0) >>> 2).toBe((entropy[0] ?? 0) >>> 2);
      expect(bytes.slice(1)).toEqual(entropy.slice(1));
    }),
  ));

test('too little entropy is refused', () =>
  expect(() => localMac(new Uint8Array(5))).toThrow('must be 6'));

test('the link-local address of a hardware address has its universal bit the other way', () => {
  expect(linkLocalOf(parseMac('02:00:5e:10:00:01'))).toBe('fe80::5eff:fe10:1');
  expect(linkLocalOf(parseMac('34:56:78:9a:bc:de'))).toBe('fe80::3656:78ff:fe9a:bcde');
});
