import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  AttributeWriter,
  align4,
  eachAttribute,
  readAttributes,
  readString,
} from '../../../src/netlink/attributes.ts';

describe('AttributeWriter', () => {
  test.each([
    { name: 'u8', write: (w: AttributeWriter) => w.u8(1, 0xab), want: '05000100ab000000' },
    { name: 'u16 host', write: (w: AttributeWriter) => w.u16(2, 0x1234), want: '0600020034120000' },
    {
      name: 'u16 big',
      write: (w: AttributeWriter) => w.u16be(2, 0x1234),
      want: '0600020012340000',
    },
    { name: 'u32 host', write: (w: AttributeWriter) => w.u32(3, 1), want: '0800030001000000' },
    {
      name: 'u32 big',
      write: (w: AttributeWriter) => w.u32be(3, 0xffffff9c),
      want: '08000300ffffff9c',
    },
    {
      name: 'u64',
      write: (w: AttributeWriter) => w.u64be(4, 258n),
      want: '0c0004000000000000000102',
    },
    {
      name: 'string',
      write: (w: AttributeWriter) => w.string(5, 'eth0'),
      want: '09000500' + '6574683000000000',
    },
    {
      name: 'latin1',
      write: (w: AttributeWriter) => w.latin1(6, '\xff\x00'),
      want: '06000600ff000000',
    },
    { name: 'raw', write: (w: AttributeWriter) => w.raw(Buffer.from([1, 2, 3])), want: '01020300' },
    {
      name: 'nested sets its flag and its length',
      write: (w: AttributeWriter) => w.nested(7, (inner) => inner.u8(1, 1).u8(2, 2)),
      want: '14000780' + '0500010001000000' + '0500020002000000',
    },
  ])('$name', ({ write, want }) => {
    expect(write(new AttributeWriter()).finish().toString('hex')).toBe(want);
    expect(write(new AttributeWriter(0)).finish().toString('hex'), 'as it grows').toBe(want);
  });

  test('what is written is read back, whatever the sizes (growth included)', () => {
    const attribute = fc.tuple(
      fc.integer({ min: 1, max: 0x3fff }),
      fc.uint8Array({ maxLength: 900 }),
    );
    fc.assert(
      fc.property(fc.array(attribute, { maxLength: 40 }), (attributes) => {
        const writer = new AttributeWriter(8);
        for (const [type, value] of attributes) writer.bytes(type, value);
        const read = [...eachAttribute(writer.finish())];
        expect(read.map(({ type, value }) => [type, new Uint8Array(value)])).toEqual(attributes);
      }),
    );
  });
});

describe('reading', () => {
  test('stops at a length that lies instead of running on', () => {
    expect([...eachAttribute(Buffer.from('ffff01000000', 'hex'))]).toEqual([]);
    expect([...eachAttribute(Buffer.from('0300010000000000', 'hex'))]).toEqual([]);
  });

  test('the last of a repeated type stays', () => {
    const bytes = new AttributeWriter().u8(1, 1).u8(1, 2).finish();
    expect(readAttributes(bytes).get(1)?.[0]).toBe(2);
  });

  test.each([
    ['eth0\0\0', 'eth0'],
    ['eth0', 'eth0'],
    ['', ''],
  ])('string %j', (text, want) => {
    expect(readString(Buffer.from(text))).toBe(want);
  });

  test.each([
    [0, 0],
    [1, 4],
    [4, 4],
    [5, 8],
  ])('align4(%i)', (length, want) => {
    expect(align4(length)).toBe(want);
  });
});
