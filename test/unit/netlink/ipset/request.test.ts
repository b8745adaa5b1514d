import { describe, expect, test } from 'vitest';
import { parseIP } from '../../../../src/net/ip.ts';
import { AttributeWriter } from '../../../../src/netlink/attributes.ts';
import { ipSetErrnoName } from '../../../../src/netlink/ipset/errors.ts';
import { decodeHeader, eachListedEntry } from '../../../../src/netlink/ipset/listing.ts';
import {
  decodeRevisions,
  encodeCreate,
  encodeEntries,
  encodeGetType,
  encodeListHeaders,
  encodeNamed,
  encodeSwap,
  refusedLine,
} from '../../../../src/netlink/ipset/request.ts';

const START = '02000000' + '05000100' + '06000000';
const NAME_A = '06000200' + '61000000';

describe('requests', () => {
  test.each([
    {
      name: 'a hash',
      payload: encodeCreate(
        { name: 'a', type: 'hash:ip', family: 6, maxElements: 65536, hashSize: 1024 },
        4,
      ),
      want: [
        `${START}${NAME_A}0c000300686173683a697000`,
        '0500040004000000' + '050005000a000000',
        '14000780' + '0800124000000400' + '0800134000010000',
      ].join(''),
    },
    {
      name: 'a bitmap is of no family',
      payload: encodeCreate({ name: 'a', type: 'bitmap:port', firstPort: 1, lastPort: 65535 }, 3),
      want: [
        `${START}${NAME_A}100003006269746d61703a706f727400`,
        '0500040003000000' + '0500050000000000',
        '14000780' + '0600044000010000' + '06000540ffff0000',
      ].join(''),
    },
    { name: 'destroy', payload: encodeNamed('a'), want: START + NAME_A },
    { name: 'swap', payload: encodeSwap('a', 'b'), want: `${START}${NAME_A}0600030062000000` },
    { name: 'headers of all', payload: encodeListHeaders(), want: `${START}0800064000000004` },
    {
      name: 'the header of one',
      payload: encodeListHeaders('a'),
      want: `${START}${NAME_A}0800064000000004`,
    },
    {
      name: 'revisions of a hash',
      payload: encodeGetType('hash:ip', 4),
      want: `${START}0c000300686173683a6970000500050002000000`,
    },
    {
      name: 'revisions of a bitmap',
      payload: encodeGetType('bitmap:port', 4),
      want: `${START}100003006269746d61703a706f7274000500050000000000`,
    },
    {
      name: 'entries are numbered from 1 on',
      payload: encodeEntries('a', [
        { type: 'bitmap:port', port: 80 },
        { type: 'bitmap:port', port: 81 },
      ]),
      want: [
        `${START}${NAME_A}2c000880`,
        '14000780' + '0600044000500000' + '0800090001000000',
        '14000780' + '0600044000510000' + '0800090002000000',
        '08000900' + '00000000',
      ].join(''),
    },
  ])('$name', ({ payload, want }) => {
    expect(payload.toString('hex')).toBe(want);
  });

  test('a full message of the longest entries stays below 64 KB', () => {
    const ip = parseIP('ffff::ffff');
    const entries = Array.from(
      { length: 512 },
      (_, port) => ({ type: 'hash:ip,port,ip', ip, protocol: 'sctp', port, ip2: ip }) as const,
    );
    expect(encodeEntries('a'.repeat(31), entries).length).toBeLessThan(65536);
  });
});

describe('answers', () => {
  test.each([
    { name: 'a range', hex: '0500040006000000' + '05000a0001000000', want: [1, 6] },
    { name: 'one', hex: '0500040003000000', want: [3, 3] },
  ])('revisions: $name', ({ hex, want }) => {
    const { lowest, highest } = decodeRevisions(Buffer.from(`02000000${hex}`, 'hex'));
    expect([lowest, highest]).toEqual(want);
  });

  test.each([
    { name: 'the third entry', line: 3, want: 3 },
    { name: 'the whole message', line: 0, want: 0 },
  ])('a refusal of $name', ({ line, want }) => {
    const echo = new AttributeWriter()
      .raw(Buffer.alloc(4 + 16 + 4))
      .string(2, 'a')
      .u32(9, line);
    expect(refusedLine(echo.finish())).toBe(want);
  });

  test('a refusal without the request names no line', () => {
    expect(refusedLine(Buffer.alloc(20))).toBe(0);
  });
});

describe('listing', () => {
  const first = new AttributeWriter()
    .raw(Uint8Array.of(2, 0, 0, 0))
    .u8(1, 6)
    .string(2, 'KUBE-X')
    .string(3, 'hash:ip,port')
    .u8(5, 10)
    .u8(4, 5)
    .nested(7, (data) => {
      data.u32be(18 | 0x4000, 2048).u32be(19 | 0x4000, 65536);
      data
        .u32be(25 | 0x4000, 2)
        .u32be(26 | 0x4000, 999)
        .u32be(24 | 0x4000, 7);
    })
    .nested(8, (list) => list.nested(7, (entry) => entry.u8(7, 6)))
    .finish();
  const second = new AttributeWriter()
    .raw(Uint8Array.of(2, 0, 0, 0))
    .string(2, 'KUBE-X')
    .nested(8, (list) => {
      list.nested(7, (entry) => entry.u8(7, 17)).nested(7, (entry) => entry.u8(7, 132));
    })
    .finish();

  test('the first message of a set has its header', () => {
    expect(decodeHeader(first)).toEqual({
      ...{ name: 'KUBE-X', type: 'hash:ip,port', revision: 5, family: 6 },
      ...{ maxElements: 65536, hashSize: 2048, firstPort: undefined, lastPort: undefined },
      ...{ references: 2, elements: 7 },
    });
    expect(decodeHeader(second)).toBeUndefined();
  });

  test.each([
    { name: 'first', payload: first, want: ['0500070006000000'] },
    { name: 'second', payload: second, want: ['0500070011000000', '0500070084000000'] },
    { name: 'empty', payload: Buffer.from('02000000', 'hex'), want: [] },
  ])('entries of the $name message', ({ payload, want }) => {
    expect([...eachListedEntry(payload)].map((data) => data.toString('hex'))).toEqual(want);
  });
});

test.each([
  { errno: 2, type: undefined, want: 'ENOENT' },
  { errno: 4100, type: 'hash:ip', want: 'IPSET_ERR_BUSY' },
  { errno: 4352, type: 'hash:ip', want: 'IPSET_ERR_HASH_FULL' },
  { errno: 4352, type: 'bitmap:port', want: 'IPSET_ERR_BITMAP_RANGE' },
  { errno: 4999, type: undefined, want: 'IPSET_ERR_4999' },
])('errno $errno of $type is $want', ({ errno, type, want }) => {
  expect(ipSetErrnoName(errno, type)).toBe(want);
});
