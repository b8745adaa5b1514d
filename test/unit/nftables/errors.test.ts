import { describe, expect, test } from 'vitest';
import { parseIP } from '../../../src/net/ip.ts';
import { NLM_F_CREATE, NLM_F_EXCL, parseMessages } from '../../../src/netlink/message.ts';
import { Batch } from '../../../src/nftables/batch.ts';
import {
  ifnameBytes,
  ipBytes,
  portBytes,
  protocolBytes,
  u32Bytes,
} from '../../../src/nftables/bytes.ts';
import { numgenRandom } from '../../../src/nftables/generators.ts';
import type { NamedSet, Table } from '../../../src/nftables/model.ts';
import { ct, ip, ip6, meta, th } from '../../../src/nftables/selectors.ts';
import { accept, counter } from '../../../src/nftables/statements.ts';
import { elementText } from '../../../src/nftables/text.ts';
import { Transaction } from '../../../src/nftables/transaction.ts';

const table: Table = { family: 'ip', name: 'weft-proxy' };
const services: NamedSet = {
  name: 'service-ips',
  key: [ip.daddr, meta.l4proto, th.dport],
  data: 'verdict',
};
const blocks: NamedSet = { name: 'blocks', key: [ip.saddr], isInterval: true };
const service = (last: number) =>
  ipBytes(parseIP(`172.30.0.${last}`)) + protocolBytes('tcp') + portBytes(443);

describe('messages name what they are about', () => {
  const rule = { statements: [counter(), accept] };
  const transaction = new Transaction(table)
    .addTable()
    .addChain({ name: 'services', rules: [rule, rule] })
    .flushChain('old')
    .addRule('services', rule)
    .addSet(services)
    .addSet(blocks, { isExclusive: true })
    .addElements(services, [{ key: service(1), data: 'drop' }])
    .flushSet('gone')
    .deleteChain('old')
    .deleteTable();
  const batch = new Batch(transaction);
  const owner = 'of table ip weft-proxy';

  test.each([
    [0, 'transaction on table ip weft-proxy'],
    [1, 'table ip weft-proxy'],
    [2, `chain services ${owner}`],
    [3, 'rule 1 added to chain services of table ip weft-proxy'],
    [4, 'rule 2 added to chain services of table ip weft-proxy'],
    [5, `chain old ${owner}`],
    [6, 'rule 3 added to chain services of table ip weft-proxy'],
    [7, `map service-ips ${owner}`],
    [8, `set blocks ${owner}`],
    [9, `elements of map service-ips ${owner}`],
    [10, `set gone ${owner}`],
    [11, `chain old ${owner}`],
    [12, 'table ip weft-proxy'],
    [13, 'transaction on table ip weft-proxy'],
  ])('message %i', (message, want) => {
    expect(batch.describe(message)).toBe(want);
  });

  test('exclusive additions say so', () => {
    const flags = parseMessages(batch.encode(0)).map((message) => message.flags);
    expect(flags[7] ?? 0).toBe(1 | NLM_F_CREATE);
    expect(flags[8] ?? 0).toBe(1 | NLM_F_CREATE | NLM_F_EXCL);
  });

  test('a transaction counts every element', () => {
    expect(transaction.size).toBe(12);
    expect(new Transaction(table).addElements(services, []).size).toBe(0);
  });
});

describe('the byte offset of a fault names the element', () => {
  const many = Array.from({ length: 250 }, (_, i) => ({ key: service(i), data: 'drop' }));
  const batch = new Batch(new Transaction(table).addElements(services, many));
  const headers = 16 + 4 + 16 + 16 + 4;
  const elementBytes = 4 + 20 + 16;

  test.each([
    [0, '172.30.0.0 . tcp . 443'],
    [1, '172.30.0.1 . tcp . 443'],
    [249, '172.30.0.249 . tcp . 443'],
  ])('element %i', (index, want) => {
    const offset = headers + index * elementBytes;
    expect(batch.describe(1, offset)).toBe(
      `element ${want} in map service-ips of table ip weft-proxy`,
    );
    expect(batch.describe(1, offset + 8)).toContain(want);
  });

  test('behind the last element there is none', () => {
    expect(batch.describe(1, headers + 250 * elementBytes)).toContain('elements of map');
  });

  test('the end of a range counts as its element', () => {
    const ranges = [
      { key: ipBytes(parseIP('10.0.0.0')), keyEnd: ipBytes(parseIP('10.0.0.255')) },
      { key: ipBytes(parseIP('10.0.2.0')), keyEnd: ipBytes(parseIP('10.0.2.255')) },
    ];
    const small = new Batch(new Transaction(table).deleteElements(blocks, ranges));
    const list = 16 + 4 + 16 + 12 + 4;
    const start = 4 + 12;
    const end = 4 + 12 + 8;
    const at = (offset: number) => small.describe(1, list + offset);
    expect(at(0)).toContain('element 10.0.0.0-10.0.0.255 in set blocks');
    expect(at(start)).toContain('element 10.0.0.0-10.0.0.255');
    expect(at(start + end)).toContain('element 10.0.2.0-10.0.2.255');
    expect(at(2 * start + end)).toContain('element 10.0.2.0-10.0.2.255');
  });
});

describe('fields in words', () => {
  test.each<[string, NamedSet['key'], string, string]>([
    ['slot', [th.dport, numgenRandom(9)], portBytes(80) + u32Bytes(7), '80 . 7'],
    ['IPv6', [ip6.daddr], ipBytes(parseIP('fd00:172:30::1')), 'fd00:172:30::1'],
    ['mark', [meta.mark], u32Bytes(0x4000), '0x4000'],
    ['interface', [meta.iifname, ct.state], ifnameBytes('cni0') + u32Bytes(8), 'cni0 . 8'],
    ['unknown protocol', [meta.l4proto], '\x2f\0\0\0', '47'],
    ['family', [meta.nfproto], '\x02\0\0\0', '2'],
    ['wrong length', [ip.saddr], 'abc', '0x616263'],
  ])('%s', (_, key, bytes, want) => {
    expect(elementText({ name: 's', key }, { key: bytes })).toBe(want);
  });
});
