import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  compareIP,
  type IP,
  type IPFamily,
  ipFamily,
  ipFromBigInt,
  ipFromBytes,
  ipToBigInt,
  ipToBytes,
  isLoopback,
  isUnspecified,
  parseIP,
  parseSloppyIP,
  tryParseIP,
} from '../../../src/net/ip.ts';

const ipv4 = fc.nat({ max: 0xffffffff }).map((value) => ipFromBigInt(4, BigInt(value)));
const ipv6 = fc
  .array(fc.oneof({ weight: 2, arbitrary: fc.constant(0) }, fc.nat({ max: 0xffff })), {
    minLength: 8,
    maxLength: 8,
  })
  .map((groups) =>
    ipFromBigInt(
      6,
      groups.reduce((sum, group) => (sum << 16n) | BigInt(group), 0n),
    ),
  )
  // Mapped addresses parse as IPv4 on purpose and have their own rows.
  .filter((ip) => !ip.startsWith('::ffff:') || !ip.includes('.'));
const anyIP: fc.Arbitrary<IP> = fc.oneof(ipv4, ipv6);

describe('parseIP', () => {
  test.each([
    ['0.0.0.0', '0.0.0.0'],
    ['10.1.2.3', '10.1.2.3'],
    ['255.255.255.255', '255.255.255.255'],
    ['::', '::'],
    ['::1', '::1'],
    ['1::', '1::'],
    ['FD00:10:0244::00AB', 'fd00:10:244::ab'],
    ['1:2:3:4:5:6:7:8', '1:2:3:4:5:6:7:8'],
    ['1:2:3:4:5:6:7::', '1:2:3:4:5:6:7:0'],
    ['::2:3:4:5:6:7:8', '0:2:3:4:5:6:7:8'],
    ['1:0:0:2:0:0:0:3', '1:0:0:2::3'],
    ['1:0:0:2:3:0:0:4', '1::2:3:0:0:4'],
    ['1:0:2:3:4:5:6:7', '1:0:2:3:4:5:6:7'],
    ['::ffff:10.0.0.1', '10.0.0.1'],
    ['::FFFF:a00:1', '10.0.0.1'],
    ['::10.0.0.1', '::a00:1'],
    ['64:ff9b::203.0.113.9', '64:ff9b::cb00:7109'],
    ['1:2:3:4:5:6:10.0.0.1', '1:2:3:4:5:6:a00:1'],
  ])('%s is %s', (text, want) => expect(parseIP(text)).toBe(want));

  test.each([
    '',
    ' ',
    '10.0.0',
    '10.0.0.0.1',
    '10.0.0.',
    '.10.0.0',
    '10..0.1',
    '10.0.0.256',
    '10.0.0.01',
    '00.0.0.0',
    '010.0.0.1',
    '10.0.0.1 ',
    ' 10.0.0.1',
    '10.0.0.-1',
    '+10.0.0.1',
    '0x0a.0.0.1',
    '10.0.0.1/24',
    '167772161',
    '10.0.0.1000',
    '\u0661.0.0.1',
    ':',
    ':::',
    '1:',
    ':1',
    '1:2',
    '1::2::3',
    ':::1',
    '1:2:3:4:5:6:7',
    '1:2:3:4:5:6:7:8:9',
    '1:2:3:4::5:6:7:8',
    '::12345',
    '::00001',
    'g::',
    'fe80::1%eth0',
    '[::1]',
    '::1.2.3',
    '::1.2.3.4.5',
    '::1.2.3.04',
    '1.2.3.4::',
    '1:2:3:4:5:1.2.3.4',
    '1:2:3:4:5:6:7:1.2.3.4',
    '::1.2.3.4:5',
    '::-1',
  ])('rejects %j as Go does', (text) => {
    expect(tryParseIP(text)).toBeUndefined();
    expect(() => parseIP(text)).toThrow(/^parse IP ".*": not an address$/);
  });

  test.each([
    ['172.30.0.041', '172.30.0.41'],
    ['010.000.00.1', '10.0.0.1'],
    ['::00001', '::1'],
    ['::ffff:010.0.0.1', '10.0.0.1'],
    ['fd00::1', 'fd00::1'],
    ['10.0.0.0400', undefined],
    ['10.0.0.1 ', undefined],
    ['::fffff', undefined],
  ])('sloppy %s is %s', (text, want) => expect(parseSloppyIP(text)).toBe(want));
});

describe('laws', () => {
  test('parsing canonical text gives the same text', () =>
    fc.assert(fc.property(anyIP, (ip) => parseIP(ip) === ip)));

  test('every spelling of one IPv6 address has one canonical text', () =>
    fc.assert(
      fc.property(ipv6, (ip) => {
        const hex = ipToBigInt(ip).toString(16).padStart(32, '0');
        const full = (hex.match(/.{4}/g) ?? []).join(':');
        return parseIP(full) === ip && parseIP(full.toUpperCase()) === ip;
      }),
    ));

  test('canonical IPv6 text never has an unfolded longest zero run', () =>
    fc.assert(
      fc.property(ipv6, (ip) => {
        const runs = (ip.match(/(?<![0-9a-f])0(:0)+(?![0-9a-f])/g) ?? []).map((run) => run.length);
        return runs.length === 0 || ip.includes('::');
      }),
    ));

  test('bytes and bigint give the address back', () =>
    fc.assert(
      fc.property(
        anyIP,
        (ip) =>
          ipFromBytes(ipToBytes(ip)) === ip && ipFromBigInt(ipFamily(ip), ipToBigInt(ip)) === ip,
      ),
    ));

  test('order agrees with the numbers within a family and puts IPv4 first', () =>
    fc.assert(
      fc.property(anyIP, anyIP, (a, b) => {
        const byFamily = ipFamily(a) - ipFamily(b);
        const [left, right] = [ipToBigInt(a), ipToBigInt(b)];
        const byNumber = left < right ? -1 : left > right ? 1 : 0;
        expect(Math.sign(compareIP(a, b))).toBe(Math.sign(byFamily || byNumber));
      }),
    ));
});

describe('edges', () => {
  test('sixteen bytes stay IPv6 even when IPv4-mapped', () => {
    const bytes = Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 10, 0, 0, 1);
    const ip = ipFromBytes(bytes);
    expect(ip).toBe('::ffff:10.0.0.1');
    expect(ipFamily(ip)).toBe(6);
    expect(ipToBytes(ip)).toEqual(bytes);
  });

  test.each<[IPFamily, bigint]>([
    [4, -1n],
    [4, 1n << 32n],
    [6, 1n << 128n],
  ])('no IPv%d address %d', (family, value) =>
    expect(() => ipFromBigInt(family, value)).toThrow('out of range'),
  );

  test('no address of five bytes', () =>
    expect(() => ipFromBytes(new Uint8Array(5))).toThrow('must be 4 or 16'));

  test.each([
    ['127.255.0.1', 'loopback'],
    ['::1', 'loopback'],
    ['240.0.0.1', 'none'],
    ['ff::1', 'none'],
    ['169.25.4.1', 'none'],
    ['fec0::1', 'none'],
    ['0.0.0.0', 'unspecified'],
    ['::', 'unspecified'],
    ['10.0.0.1', 'none'],
    ['fd00::1', 'none'],
  ])('%s is %s', (text, want) => {
    const ip = parseIP(text);
    const kinds = [isLoopback(ip) && 'loopback', isUnspecified(ip) && 'unspecified'].filter(
      Boolean,
    );
    expect(kinds).toEqual(want === 'none' ? [] : [want]);
  });
});
