import { describe, expect, test } from 'vitest';
import { parseCidr } from '../../../src/net/cidr.ts';
import { parseIP } from '../../../src/net/ip.ts';
import {
  AttributeWriter,
  eachAttribute,
  readAttributes,
  readString,
} from '../../../src/netlink/attributes.ts';
import { ifnameBytes, portBytes, protocolBytes, u32Bytes } from '../../../src/nftables/bytes.ts';
import { writeStatement } from '../../../src/nftables/encode-expressions.ts';
import { jhash, numgenRandom } from '../../../src/nftables/generators.ts';
import type { TableFamily } from '../../../src/nftables/model.ts';
import {
  deleteRegisters,
  dnatRegisters,
  hashRegisters,
  loadMasked,
  loadRegisters,
  lookupRegisters,
  updateRegisters,
  verdictRegisters,
} from '../../../src/nftables/register-statements.ts';
import { ct, fib, ip, ip6, meta, th } from '../../../src/nftables/selectors.ts';
import {
  accept,
  counter,
  dnat,
  dnatToMap,
  drop,
  goTo,
  jump,
  log,
  lookup,
  masquerade,
  match,
  matchBits,
  matchCidr,
  notrack,
  reject,
  returnVerdict,
  type Statement,
  setConnectionMark,
  setMark,
  trace,
  updateSet,
  verdictMap,
} from '../../../src/nftables/statements.ts';

/**
 * Each line: expression name and its attributes as `<type> <payload>`, nested ones in brackets,
 * sorted by type. The payloads are what nft 1.0.6 sends for the same rule, except for lookups,
 * where it also sends the set's number.
 */
function render(statement: Statement, family: TableFamily = 'ip'): string[] {
  const writer = new AttributeWriter();
  writeStatement(writer, family, statement);
  return [...eachAttribute(writer.finish())].map(({ value }) => {
    const parts = readAttributes(value);
    const name = readString(parts.get(1) ?? Buffer.alloc(0));
    return `${name} ${renderAttributes(parts.get(2) ?? Buffer.alloc(0))}`.trim();
  });
}

function renderAttributes(bytes: Buffer): string {
  const parts: [type: number, text: string][] = [];
  for (let at = 0; at < bytes.length; at += (bytes.readUInt16LE(at) + 3) & ~3) {
    const type = bytes.readUInt16LE(at + 2);
    const value = bytes.subarray(at + 4, at + bytes.readUInt16LE(at));
    const text = type & 0x8000 ? `[${renderAttributes(value)}]` : value.toString('hex');
    parts.push([type & 0x7fff, text]);
  }
  return parts
    .sort(([a], [b]) => a - b)
    .map(([type, text]) => `${type} ${text}`)
    .join(', ');
}

const key4 = [ip.daddr, meta.l4proto, th.dport];
const cmpFirst = (op: string, value: string) =>
  `cmp 1 00000001, 2 0000000${op === '==' ? 0 : 1}, 3 [1 ${value}]`;
const bitwise = (length: string, mask: string, xor: string) =>
  `bitwise 1 00000001, 2 00000001, 3 ${length}, 4 [1 ${mask}], 5 [1 ${xor}], 6 00000000`;

describe('loads and comparisons', () => {
  const rows: [name: string, statement: Statement, want: string[]][] = [
    [
      'ip saddr 10.0.0.0/8: one byte is enough',
      matchCidr(ip.saddr, '!=', parseCidr('10.0.0.0/8')),
      ['payload 1 00000001, 2 00000001, 3 0000000c, 4 00000001', cmpFirst('!=', '0a')],
    ],
    [
      'ip daddr 172.30.0.41/32',
      matchCidr(ip.daddr, '==', parseCidr('172.30.0.41/32')),
      ['payload 1 00000001, 2 00000001, 3 00000010, 4 00000004', cmpFirst('==', 'ac1e0029')],
    ],
    [
      'ip saddr 10.128.0.0/9: needs a mask',
      matchCidr(ip.saddr, '==', parseCidr('10.128.0.0/9')),
      [
        'payload 1 00000001, 2 00000001, 3 0000000c, 4 00000004',
        bitwise('00000004', 'ff800000', '00000000'),
        cmpFirst('==', '0a800000'),
      ],
    ],
    [
      'ip6 daddr fd00:10::/64',
      matchCidr(ip6.daddr, '==', parseCidr('fd00:10::/64')),
      [
        'payload 1 00000001, 2 00000001, 3 00000018, 4 00000008',
        cmpFirst('==', 'fd00001000000000'),
      ],
    ],
    [
      'ct original ip daddr: a network cannot be cut short',
      matchCidr(ct.originalDaddr4, '==', parseCidr('172.30.0.0/16')),
      [
        'ct 1 00000001, 2 00000014, 3 00',
        bitwise('00000004', 'ffff0000', '00000000'),
        cmpFirst('==', 'ac1e0000'),
      ],
    ],
    [
      'meta l4proto tcp: padding is not compared',
      match(meta.l4proto, '==', protocolBytes('tcp')),
      ['meta 1 00000001, 2 00000010', cmpFirst('==', '06')],
    ],
    [
      'meta nfproto ipv4',
      match(meta.nfproto, '==', '\x02'),
      ['meta 1 00000001, 2 0000000f', cmpFirst('==', '02')],
    ],
    [
      'iifname cni0',
      match(meta.iifname, '==', ifnameBytes('cni0')),
      ['meta 1 00000001, 2 00000006', cmpFirst('==', '636e6930000000000000000000000000')],
    ],
    [
      'oifname veth*',
      match(meta.oifname, '!=', 'veth'),
      ['meta 1 00000001, 2 00000007', cmpFirst('!=', '76657468')],
    ],
    [
      'th sport 53',
      match(th.sport, '==', portBytes(53)),
      ['payload 1 00000001, 2 00000002, 3 00000000, 4 00000002', cmpFirst('==', '0035')],
    ],
    [
      'ct state new',
      matchBits(ct.state, 8, '!=', 0),
      [
        'ct 1 00000001, 2 00000000',
        bitwise('00000004', '08000000', '00000000'),
        cmpFirst('!=', '00000000'),
      ],
    ],
    [
      'ct status dnat',
      matchBits(ct.status, 0x20, '!=', 0),
      [
        'ct 1 00000001, 2 00000002',
        bitwise('00000004', '20000000', '00000000'),
        cmpFirst('!=', '00000000'),
      ],
    ],
    [
      'ct original proto-dst 80',
      match(ct.originalDport, '==', portBytes(80)),
      ['ct 1 00000001, 2 0000000c, 3 00', cmpFirst('==', '0050')],
    ],
    [
      'fib daddr type local',
      match(fib.daddrType, '==', u32Bytes(2)),
      ['fib 1 00000001, 2 00000003, 3 00000002', cmpFirst('==', '02000000')],
    ],
    [
      'fib saddr type != local',
      match(fib.saddrType, '!=', u32Bytes(2)),
      ['fib 1 00000001, 2 00000003, 3 00000001', cmpFirst('!=', '02000000')],
    ],
    [
      'numgen random mod 4 offset 3 == 4',
      match(numgenRandom(4, 3), '==', u32Bytes(4)),
      ['numgen 1 00000001, 2 00000004, 3 00000001, 4 00000003', cmpFirst('==', '04000000')],
    ],
    [
      'jhash ip saddr . ip daddr mod 4 seed 0x1234 == 1',
      match(jhash([ip.saddr, ip.daddr], 4, { seed: 0x1234 }), '==', u32Bytes(1)),
      [
        'payload 1 00000009, 2 00000001, 3 0000000c, 4 00000004',
        'payload 1 0000000a, 2 00000001, 3 00000010, 4 00000004',
        'hash 1 00000009, 2 00000001, 3 00000008, 4 00000004, 5 00001234, 6 00000000, 7 00000000',
        cmpFirst('==', '01000000'),
      ],
    ],
    [
      'fields from the third register on',
      loadRegisters([ip6.saddr, th.dport], 2),
      [
        'payload 1 0000000a, 2 00000001, 3 00000008, 4 00000010',
        'payload 1 0000000e, 2 00000002, 3 00000002, 4 00000002',
      ],
    ],
    [
      'bits of a mark',
      loadMasked(ct.mark, 0xffff0000, 1),
      [
        'ct 1 00000009, 2 00000003',
        'bitwise 1 00000009, 2 00000009, 3 00000004, 4 [1 0000ffff], 5 [1 00000000], 6 00000000',
      ],
    ],
    [
      'a hash of registers',
      hashRegisters({ keySlot: 2, length: 16, slot: 14, modulus: 251, seed: 5 }),
      ['hash 1 0000000a, 2 00000016, 3 00000010, 4 000000fb, 5 00000005, 6 00000000, 7 00000000'],
    ],
    [
      'a set, by registers',
      lookupRegisters('eps', { keySlot: 6 }),
      ['lookup 1 65707300, 2 0000000e'],
    ],
    [
      'a map, by registers and into others',
      lookupRegisters('eps', { keySlot: 8, dataSlot: 0 }),
      ['lookup 1 65707300, 2 00000003, 3 00000001'],
    ],
    [
      'update of a map, by registers',
      updateRegisters('aff', { keySlot: 1, dataSlot: 7, timeoutMs: 1000 }),
      ['dynset 1 61666600, 3 00000001, 4 00000009, 5 0000000f, 6 00000000000003e8'],
    ],
    [
      'delete from a map, by registers',
      deleteRegisters('aff', { keySlot: 1, dataSlot: 7 }),
      ['dynset 1 61666600, 3 00000002, 4 00000009, 5 0000000f'],
    ],
    [
      'dnat to registers',
      dnatRegisters('ip6', { addressSlot: 7, portSlot: 11 }),
      ['nat 1 00000001, 2 0000000a, 3 0000000f, 5 00000013'],
    ],
  ];
  test.each(rows)('%s', (_, statement, want) => {
    expect(render(statement)).toEqual(want);
  });
});

describe('sets and maps', () => {
  const loadKey4 = [
    'payload 1 00000001, 2 00000001, 3 00000010, 4 00000004',
    'meta 1 00000009, 2 00000010',
    'payload 1 0000000a, 2 00000002, 3 00000002, 4 00000002',
  ];
  const rows: [name: string, statement: Statement, want: string[]][] = [
    [
      'ip saddr @iv',
      lookup([ip.saddr], 'iv'),
      ['payload 1 00000001, 2 00000001, 3 0000000c, 4 00000004', 'lookup 1 697600, 2 00000001'],
    ],
    [
      'ip saddr != @iv',
      lookup([ip.saddr], 'iv', { isNegated: true }),
      [
        'payload 1 00000001, 2 00000001, 3 0000000c, 4 00000004',
        'lookup 1 697600, 2 00000001, 5 00000001',
      ],
    ],
    [
      'vmap @svc',
      verdictMap(key4, 'svc'),
      [...loadKey4, 'lookup 1 73766300, 2 00000001, 3 00000000'],
    ],
    [
      'dnat ip to … numgen random mod 2 map @eps',
      dnatToMap('ip', [...key4, numgenRandom(2)], 'eps'),
      [
        ...loadKey4,
        'numgen 1 0000000b, 2 00000002, 3 00000001, 4 00000000',
        'lookup 1 65707300, 2 00000001, 3 00000001',
        'nat 1 00000001, 2 00000002, 3 00000001, 5 00000009',
      ],
    ],
    [
      'dnat ip6: the port comes behind 16 bytes',
      dnatToMap('ip6', [ip6.daddr, meta.l4proto, th.dport, numgenRandom(2)], 'eps'),
      [
        'payload 1 00000001, 2 00000001, 3 00000018, 4 00000010',
        'meta 1 00000002, 2 00000010',
        'payload 1 0000000d, 2 00000002, 3 00000002, 4 00000002',
        'numgen 1 0000000e, 2 00000002, 3 00000001, 4 00000000',
        'lookup 1 65707300, 2 00000001, 3 00000001',
        'nat 1 00000001, 2 0000000a, 3 00000001, 5 00000002',
      ],
    ],
    [
      'update @dyn { ip saddr timeout 5s }',
      updateSet([ip.saddr], 'dyn', { timeoutMs: 5000 }),
      [
        'payload 1 00000001, 2 00000001, 3 0000000c, 4 00000004',
        'dynset 1 64796e00, 3 00000001, 4 00000001, 6 0000000000001388',
      ],
    ],
    [
      'update @aff { ip saddr : numgen random mod 4 }',
      updateSet([ip.saddr], 'aff', { data: [numgenRandom(4)] }),
      [
        'payload 1 00000001, 2 00000001, 3 0000000c, 4 00000004',
        'numgen 1 00000009, 2 00000004, 3 00000001, 4 00000000',
        'dynset 1 61666600, 3 00000001, 4 00000001, 5 00000009',
      ],
    ],
  ];
  test.each(rows)('%s', (_, statement, want) => {
    expect(render(statement)).toEqual(want);
  });
});

describe('actions', () => {
  const verdict = (code: string) => [`immediate 1 00000000, 2 [2 [1 ${code}]]`];
  const rows: [name: string, statement: Statement, want: string[]][] = [
    ['accept', accept, verdict('00000001')],
    ['drop', drop, verdict('00000000')],
    ['return', returnVerdict, verdict('fffffffb')],
    ['jump n1', jump('n1'), ['immediate 1 00000000, 2 [2 [1 fffffffd, 2 6e3100]]']],
    ['goto n1', goTo('n1'), ['immediate 1 00000000, 2 [2 [1 fffffffc, 2 6e3100]]']],
    ['counter', counter(), ['counter 1 0000000000000000, 2 0000000000000000']],
    ['masquerade', masquerade(), ['masq']],
    ['masquerade fully-random', masquerade({ isFullyRandom: true }), ['masq 1 00000010']],
    [
      'masquerade to :10000-65535 fully-random',
      masquerade({ isFullyRandom: true, ports: { first: 10_000, last: 65_535 } }),
      [
        'immediate 1 00000001, 2 [1 2710]',
        'immediate 1 00000002, 2 [1 ffff]',
        'masq 1 00000012, 2 00000001, 3 00000002',
      ],
    ],
    ['notrack', notrack, ['notrack']],
    [
      'meta mark set meta mark or 0x4000',
      setMark({ mask: ~0x4000, xor: 0x4000 }),
      [
        'meta 1 00000001, 2 00000003',
        bitwise('00000004', 'ffbfffff', '00400000'),
        'meta 2 00000003, 3 00000001',
      ],
    ],
    [
      'meta nftrace set 1',
      trace,
      ['immediate 1 00000001, 2 [1 01]', 'meta 2 0000000c, 3 00000001'],
    ],
    [
      'meta mark set 0x4000',
      setMark({ mask: 0, xor: 0x4000 }),
      ['immediate 1 00000001, 2 [1 00400000]', 'meta 2 00000003, 3 00000001'],
    ],
    [
      'dnat to 10.0.0.1:80',
      dnat(parseIP('10.0.0.1'), 80),
      [
        'immediate 1 00000001, 2 [1 0a000001]',
        'immediate 1 00000002, 2 [1 0050]',
        'nat 1 00000001, 2 00000002, 3 00000001, 5 00000002, 7 00000002',
      ],
    ],
    [
      'dnat to fd00:10::1',
      dnat(parseIP('fd00:10::1')),
      [
        'immediate 1 00000001, 2 [1 fd000010000000000000000000000001]',
        'nat 1 00000001, 2 0000000a, 3 00000001',
      ],
    ],
  ];
  test.each(rows)('%s', (_, statement, want) => {
    expect(render(statement)).toEqual(want);
  });

  test.each<[TableFamily, string]>([
    ['ip', 'reject 1 00000000, 2 03'],
    ['ip6', 'reject 1 00000000, 2 04'],
    ['inet', 'reject 1 00000002, 2 01'],
  ])('reject in %s', (family, want) => {
    expect(render(reject(), family)).toEqual([want]);
  });

  test('reject with tcp reset', () => {
    expect(render(reject('tcp-reset'))).toEqual(['reject 1 00000001, 2 00']);
    expect(render(reject('admin-prohibited'))).toEqual(['reject 1 00000000, 2 0d']);
    expect(render(reject('admin-prohibited'), 'ip6')).toEqual(['reject 1 00000000, 2 01']);
    expect(render(reject('admin-prohibited'), 'inet')).toEqual(['reject 1 00000002, 2 03']);
  });

  test('marks of connections, and their tuples', () => {
    expect(render(setConnectionMark({ mask: 0xffff, xor: 0x70000 }))).toEqual([
      'ct 1 00000001, 2 00000003',
      'bitwise 1 00000001, 2 00000001, 3 00000004, 4 [1 ffff0000], 5 [1 00000700], 6 00000000',
      'ct 2 00000003, 4 00000001',
    ]);
    expect(render(loadRegisters([ct.replySaddr4, ct.replySport, ct.protocol], 0))).toEqual([
      'ct 1 00000001, 2 00000013, 3 01',
      'ct 1 00000009, 2 0000000b, 3 01',
      'ct 1 0000000a, 2 0000000a, 3 00',
    ]);
  });

  test('packets for who listens to a group', () => {
    expect(render(log(7, { prefix: 'p', snapLength: 128 }))).toEqual([
      'log 1 0007, 2 7000, 3 00000080',
    ]);
  });

  test('a verdict by registers', () => {
    expect(render(verdictRegisters('m', 4))).toEqual(['lookup 1 6d00, 2 00000002, 3 00000000']);
  });
});

describe('what cannot be encoded', () => {
  test.each<[string, () => unknown]>([
    ['a network of the other family', () => matchCidr(ip.saddr, '==', parseCidr('fd00::/8'))],
    ['bits of an address', () => matchBits(ip.saddr, 1, '==', 0)],
    ['more bytes than the field has', () => match(th.dport, '==', '12345678')],
    ['no bytes', () => match(th.dport, '==', '')],
    ['more fields than registers', () => render(lookup(Array(5).fill(ip6.saddr), 'x'))],
    ['a goto to nowhere', () => render(goTo(''))],
  ])('%s', (_, build) => {
    expect(build).toThrow(RangeError);
  });
});
