import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { HEADER_BYTES, parseMessages } from '../../../src/netlink/message.ts';
import { Batch } from '../../../src/nftables/batch.ts';
import { portBytes, protocolBytes } from '../../../src/nftables/bytes.ts';
import { ElementReader } from '../../../src/nftables/decode-elements.ts';
import { numgenRandom } from '../../../src/nftables/generators.ts';
import type { Element, NamedSet, Table } from '../../../src/nftables/model.ts';
import { ip, ip6, meta, th } from '../../../src/nftables/selectors.ts';
import { Transaction } from '../../../src/nftables/transaction.ts';

const table: Table = { family: 'ip', name: 'wt' };
const NEWSETELEM = 0x0a0c;
const DELSETELEM = 0x0a0e;

const endpoints: NamedSet = {
  name: 'eps',
  key: [ip.daddr, meta.l4proto, th.dport, numgenRandom(65_536)],
  data: [ip.daddr, th.dport],
};
const verdicts: NamedSet = {
  name: 'svc',
  key: [ip.daddr, meta.l4proto, th.dport],
  data: 'verdict',
};
const ports: NamedSet = { name: 'ports', key: [th.dport], data: [th.dport], hasTimeout: true };
const ranges: NamedSet = { name: 'iv', key: [ip.saddr], isInterval: true };
const portRanges: NamedSet = { name: 'piv', key: [th.dport], isInterval: true };
const pairs: NamedSet = { name: 'civ', key: [ip6.saddr, th.dport], isInterval: true };

function messages(set: NamedSet, elements: readonly Element[], isDelete = false) {
  const transaction = new Transaction(table);
  if (isDelete) transaction.deleteElements(set, elements);
  else transaction.addElements(set, elements);
  return parseMessages(new Batch(transaction).encode(1)).slice(1, -1);
}

function roundTrip(set: NamedSet, elements: readonly Element[]) {
  const reader = new ElementReader(set);
  for (const { payload } of messages(set, elements)) reader.read(payload);
  return reader.finish();
}

const bytes = (length: number) =>
  fc
    .uint8Array({ minLength: length, maxLength: length })
    .map((raw) => Buffer.from(raw).toString('latin1'));
const port = fc.nat(65_535).map(portBytes);
const comment = fc
  .string({ unit: 'grapheme', minLength: 1, maxLength: 25 })
  .filter((text) => !text.includes('\0'));
const timeoutMs = fc.integer({ min: 1, max: 2 ** 40 });
const chain = fc.stringMatching(/^[a-z][a-z0-9/_.-]{0,60}$/);
const verdict = fc.oneof(
  fc.constantFrom('accept', 'drop', 'return', 'continue'),
  chain.map((name) => `goto ${name}`),
  chain.map((name) => `jump ${name}`),
);

describe('decoding gives what was encoded', () => {
  const rows: [name: string, set: NamedSet, element: fc.Arbitrary<Element>][] = [
    ['data map', endpoints, fc.record({ key: bytes(16), data: bytes(8) })],
    [
      'verdict map with comments',
      verdicts,
      fc.record({ key: bytes(12), data: verdict, comment }, { requiredKeys: ['key', 'data'] }),
    ],
    [
      'one short field with a timeout',
      ports,
      fc.record({ key: port, data: port, timeoutMs }, { requiredKeys: ['key', 'data'] }),
    ],
    [
      'ranges of several fields',
      pairs,
      fc.record({ key: bytes(20), keyEnd: bytes(20) }).filter(({ key, keyEnd }) => key !== keyEnd),
    ],
  ];
  test.each(rows)('%s', (_, set, element) => {
    fc.assert(
      fc.property(fc.array(element, { minLength: 1, maxLength: 20 }), (elements) => {
        expect(roundTrip(set, elements)).toEqual(elements);
      }),
    );
  });

  const disjoint = (size: number, limit: number, format: (value: number) => string) =>
    fc
      .uniqueArray(fc.nat(limit), { minLength: 2, maxLength: size })
      .map((points) => points.sort((a, b) => a - b))
      .map((points) =>
        points.flatMap((first, i) => {
          const last = points[i + 1];
          if (i % 2 !== 0 || last === undefined) return [];
          return [{ key: format(first), keyEnd: format(last) }];
        }),
      );
  const address = (value: number) =>
    String.fromCharCode(value >>> 24, (value >>> 16) & 255, (value >>> 8) & 255, value & 255);

  test('ranges of addresses', () => {
    fc.assert(
      fc.property(disjoint(20, 0xffffffff, address), (elements) => {
        expect(roundTrip(ranges, elements)).toEqual(elements);
      }),
    );
  });

  test('ranges of ports, whose padding is no part of the order', () => {
    fc.assert(
      fc.property(disjoint(20, 0xffff, portBytes), (elements) => {
        expect(roundTrip(portRanges, elements)).toEqual(elements);
      }),
    );
  });
});

describe('ranges of one field', () => {
  test.each<[string, Element[]]>([
    ['one key', [{ key: '\x0a\0\0\x01' }]],
    ['up to the last key', [{ key: '\xf0\0\0\0', keyEnd: '\xff\xff\xff\xff' }]],
    ['everything', [{ key: '\0\0\0\0', keyEnd: '\xff\xff\xff\xff' }]],
    [
      'side by side',
      [
        { key: '\x0a\0\0\0', keyEnd: '\x0a\xff\xff\xff' },
        { key: '\x0b\0\0\0', keyEnd: '\x0b\xff\xff\xff' },
      ],
    ],
  ])('%s', (_, elements) => {
    expect(roundTrip(ranges, elements)).toEqual(elements);
  });
});

test('an end equal to the key is left out when it is read', () => {
  const key = 'k'.repeat(20);
  expect(roundTrip(pairs, [{ key, keyEnd: key }])).toEqual([{ key }]);
});

describe('messages', () => {
  test('bytes of an endpoint', () => {
    const element = {
      key: '\xac\x1e\0\x01\x06\0\0\0\x01\xbb\0\0\0\0\0\0',
      data: '\x0a\0\0\x09\x19\x2b\0\0',
    };
    const [message] = messages(endpoints, [element]);
    expect(message?.payload.toString('hex')).toBe(
      '02000000' + // struct nfgenmsg: IPv4
        '0700010077740000' + // table wt
        '0800020065707300' + // set eps
        '30000380' + // elements
        '2c000180' + // element
        '1800018014000100ac1e00010600000001bb000000000000' + // key
        '100002800c0001000a000009192b0000', // data
    );
  });

  test('bytes of a verdict with a comment', () => {
    const element = {
      key: `\xac\x1e\0\x02${protocolBytes('tcp')}${portBytes(80)}`,
      data: 'drop',
      comment: 'dropped',
    };
    const [message] = messages(verdicts, [element]);
    expect(message?.payload.subarray(20).toString('hex')).toBe(
      '3c000380' +
        '38000180' +
        '1400018010000100ac1e00020600000000500000' +
        '100002800c0002800800010000000000' +
        '0e000600000864726f70706564000000',
    );
  });

  test('deleting sends keys only', () => {
    const [message] = messages(
      ports,
      [{ key: portBytes(80), data: portBytes(90), timeoutMs: 5 }],
      true,
    );
    expect(message?.type).toBe(DELSETELEM);
    expect(message?.payload.subarray(-20).toString('hex')).toBe(
      '14000380' + '10000180' + '0c000180' + '0600010000500000',
    );
  });

  test('long lists are cut below the length limit of an attribute', () => {
    const elements = Array.from({ length: 5000 }, (_, i) => ({
      key: `\xac\x1e\0\x01\x06\0\0\0\0\x50\0\0${String.fromCharCode(i & 255, i >> 8)}\0\0`,
      data: '\x0a\0\0\x09\x19\x2b\0\0',
    }));
    const parts = messages(endpoints, elements);
    expect(parts.length).toBeGreaterThan(3);
    expect(Math.max(...parts.map(({ payload }) => payload.length))).toBeLessThan(65_535);
    expect(parts.every(({ type }) => type === NEWSETELEM)).toBe(true);
    expect(roundTrip(endpoints, elements)).toEqual(elements);
  });

  test('the batch is a valid chain of messages with consecutive numbers', () => {
    const transaction = new Transaction(table)
      .addTable()
      .addSet(ranges)
      .addElements(ranges, [{ key: '\x0a\0\0\x01' }]);
    const batch = new Batch(transaction);
    const all = parseMessages(batch.encode(7));
    expect(all.map(({ sequence }) => sequence)).toEqual([7, 8, 9, 10, 11]);
    expect(batch.messageCount).toBe(5);
    const length = all.reduce((sum, { payload }) => sum + HEADER_BYTES + payload.length, 0);
    expect(batch.encode(7).length).toBe(length);
    // Only the last message before the end asks for an acknowledgement.
    expect(all.map(({ flags }) => (flags & 4) !== 0)).toEqual([false, false, false, true, false]);
  });
});
