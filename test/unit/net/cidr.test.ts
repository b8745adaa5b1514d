import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  addressOf,
  type Cidr,
  cidrFamily,
  cidrOf,
  cidrSize,
  containsCidr,
  containsIP,
  hostCidr,
  ipWithPrefix,
  lastAddress,
  networkAddress,
  networkOf,
  nthAddress,
  parseCidr,
  parseIPWithPrefix,
  parseSloppyCidr,
  prefixLength,
  tryParseCidr,
} from '../../../src/net/cidr.ts';
import { parseConfiguredCidrs } from '../../../src/net/configured-cidr.ts';
import { type IP, ipFamily, ipFromBigInt, ipToBigInt, parseIP } from '../../../src/net/ip.ts';

// Few distinct high bits, so that networks meet each other often.
const ipv4 = fc
  .tuple(fc.constantFrom(0x0a000000, 0x0a010000, 0xc0a80000), fc.nat({ max: 0xffff }))
  .map(([high, low]) => ipFromBigInt(4, BigInt(high + low)));
const ipv6 = fc
  .tuple(fc.constantFrom(0xfd00n << 112n, 0xfd01n << 112n), fc.bigInt({ min: 0n, max: 1n << 90n }))
  .map(([high, low]) => ipFromBigInt(6, high + low));
const anyIP: fc.Arbitrary<IP> = fc.oneof(ipv4, ipv6);
const anyCidr: fc.Arbitrary<Cidr> = fc
  .tuple(anyIP, fc.double({ min: 0, max: 1, noNaN: true }))
  .map(([ip, part]) => cidrOf(ip, Math.round(part * (ipFamily(ip) === 4 ? 32 : 128))));

describe('parseCidr', () => {
  test.each([
    ['10.0.0.0/8', '10.0.0.0/8'],
    ['10.1.2.3/8', '10.0.0.0/8'],
    ['10.1.2.3/32', '10.1.2.3/32'],
    ['203.0.113.9/0', '0.0.0.0/0'],
    ['255.255.255.255/1', '128.0.0.0/1'],
    ['FD00:10:244:0:1::5/64', 'fd00:10:244::/64'],
    ['fd00::ffff/125', 'fd00::fff8/125'],
    ['::/0', '::/0'],
    ['::ffff:10.1.2.3/120', '10.1.2.0/24'],
    ['::ffff:10.1.2.3/96', '0.0.0.0/0'],
  ])('%s is %s', (text, want) => expect(parseCidr(text)).toBe(want));

  test.each([
    '',
    '/',
    '10.0.0.0',
    '10.0.0.0/',
    '10.0.0.0/33',
    '10.0.0.0/-1',
    '10.0.0.0/+8',
    '10.0.0.0/08',
    '10.0.0.0/8 ',
    '10.0.0.0/8/8',
    '10.0.0.0/255.0.0.0',
    '10.0.0/8',
    '010.0.0.0/8',
    'fd00::/129',
    'fd00::%eth0/64',
    '::ffff:10.0.0.0/95',
    '::ffff:10.0.0.0/129',
    '/8',
    '10.0.0.0/1e1',
  ])('rejects %j', (text) => {
    expect(tryParseCidr(text)).toBeUndefined();
    expect(() => parseCidr(text)).toThrow('not a CIDR');
  });

  test.each([
    ['010.0.0.0/08', '10.0.0.0/8'],
    ['fd00::1/064', 'fd00::/64'],
    ['10.0.0.0/99', undefined],
    ['10.0.0.0/', undefined],
  ])('sloppy %s is %s', (text, want) => expect(parseSloppyCidr(text)).toBe(want));
});

describe('containment', () => {
  test.each([
    ['0.0.0.0/0', 'fd00::1', false],
    ['::/0', '10.0.0.1', false],
    ['0.0.0.0/0', '255.255.255.255', true],
    ['::/0', 'ffff::1', true],
    ['10.0.0.0/8', '10.255.255.255', true],
    ['10.0.0.0/8', '11.0.0.0', false],
    ['128.0.0.0/1', '200.0.0.1', true],
    ['128.0.0.0/1', '100.0.0.1', false],
    ['10.0.0.1/32', '10.0.0.1', true],
    ['10.0.0.1/32', '10.0.0.0', false],
    ['fd00:10::/44', 'fd00:10:f::1', true],
    ['fd00:10::/44', 'fd00:10:10::1', false],
    ['fd00::1/128', 'fd00::1', true],
    ['fd00::1/128', 'fd00::', false],
  ])('%s contains %s: %s', (cidr, ip, want) =>
    expect(containsIP(parseCidr(cidr), parseIP(ip))).toBe(want),
  );

  test('agrees with the numbers', () =>
    fc.assert(
      fc.property(anyCidr, anyIP, (cidr, ip) => {
        const inRange =
          ipToBigInt(ip) >= ipToBigInt(networkAddress(cidr)) &&
          ipToBigInt(ip) <= ipToBigInt(lastAddress(cidr));
        expect(containsIP(cidr, ip)).toBe(cidrFamily(cidr) === ipFamily(ip) && inRange);
      }),
    ));

  test('containment of networks is containment of both ends', () =>
    fc.assert(
      fc.property(anyCidr, anyCidr, (outer, inner) => {
        const want =
          containsIP(outer, networkAddress(inner)) && containsIP(outer, lastAddress(inner));
        expect(containsCidr(outer, inner)).toBe(want);
      }),
    ));
});

describe('parts', () => {
  test('an IPv6 network of any length begins where arithmetic says', () =>
    fc.assert(
      fc.property(
        fc.bigInt({ min: 0n, max: (1n << 128n) - 1n }),
        fc.nat({ max: 128 }),
        (n, length) => {
          const hostBits = BigInt(128 - length);
          const want = ipFromBigInt(6, (n >> hostBits) << hostBits);
          expect(networkAddress(cidrOf(ipFromBigInt(6, n), length))).toBe(want);
        },
      ),
    ));

  test('a network is found again from any of its addresses', () =>
    fc.assert(
      fc.property(anyCidr, fc.bigInt({ min: 0n, max: (1n << 128n) - 1n }), (cidr, n) => {
        const ip = nthAddress(cidr, n % cidrSize(cidr));
        if (ip === undefined) throw new Error('inside, so there must be one');
        expect(cidrOf(ip, prefixLength(cidr))).toBe(cidr);
        const withPrefix = ipWithPrefix(ip, prefixLength(cidr));
        expect(parseIPWithPrefix(withPrefix)).toBe(withPrefix);
        expect([addressOf(withPrefix), networkOf(withPrefix)]).toEqual([ip, cidr]);
      }),
    ));

  test.each<[string, number, string | undefined]>([
    ['10.0.0.0/30', 0, '10.0.0.0'],
    ['10.0.0.0/30', 3, '10.0.0.3'],
    ['10.0.0.0/30', 4, undefined],
    ['10.0.0.0/30', -1, undefined],
    ['fd00::/126', 3, 'fd00::3'],
  ])('[58] %s address number %d is %s', (cidr, n, want) =>
    expect(nthAddress(parseCidr(cidr), n)).toBe(want),
  );

  test.each([
    ['10.0.0.0/8', '10.255.255.255', 1n << 24n],
    ['0.0.0.0/0', '255.255.255.255', 1n << 32n],
    ['fd00::/64', 'fd00::ffff:ffff:ffff:ffff', 1n << 64n],
  ])('%s ends at %s, size %d', (text, last, size) => {
    const cidr = parseCidr(text);
    expect([lastAddress(cidr), cidrSize(cidr)]).toEqual([last, size]);
  });

  test.each([
    ['10.0.0.1', '10.0.0.1/32'],
    ['fd00::1', 'fd00::1/128'],
  ])('host network of %s is %s', (ip, want) => expect(hostCidr(parseIP(ip))).toBe(want));

  test.each([-1, 33, 1.5, Number.NaN])('no IPv4 prefix length %d', (length) =>
    expect(() => cidrOf(parseIP('10.0.0.1'), length)).toThrow('out of range'),
  );

  test('host bits survive in an address with prefix', () =>
    expect(parseIPWithPrefix('::ffff:10.1.2.3/120')).toBe('10.1.2.3/24'));
});

describe('parseConfiguredCidrs', () => {
  test.each([
    ['', []],
    ['10.0.0.0/8', ['10.0.0.0/8']],
    [' 10.1.0.0/8 , FD00:0::/64', ['10.0.0.0/8', 'fd00::/64']],
  ])('%j is %j', (text, want) => expect(parseConfiguredCidrs(text)).toEqual(want));

  test.each([
    ['10.0.0.0/8,', '"" is no CIDR'],
    ['10.0.0.0/8,10.0.0.1', '"10.0.0.1" is no CIDR'],
    ['10.0.0.0/40', '"10.0.0.0/40" is no CIDR'],
  ])('%j fails: %s', (text, want) => expect(() => parseConfiguredCidrs(text)).toThrow(want));
});
