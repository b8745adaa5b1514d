import { describe, expect, test } from 'vitest';
import { decodeChain, decodeSet, decodeTable } from '../../../src/nftables/decode.ts';
import {
  encodeChain,
  encodeSet,
  encodeTable,
  encodeTableFlags,
  packedType,
  setFlags,
} from '../../../src/nftables/encode-objects.ts';
import { jhash, numgenRandom } from '../../../src/nftables/generators.ts';
import type { Chain, NamedSet, Table } from '../../../src/nftables/model.ts';
import { ct, fib, ip, ip6, meta, th } from '../../../src/nftables/selectors.ts';
import { fitComment, setUserdata } from '../../../src/nftables/userdata.ts';

const table: Table = { family: 'ip', name: 'wt' };
const address4 = '14000407000000010c00040c0000000104';
const protocol = '0e0004090000000106000410000000';
const dport = '14000407000000010c00040b000000010402000000';

/**
 * Payloads that nft 1.0.6 sends for the same declarations, without struct nfgenmsg; for verdict maps
 * it adds an empty `typeof`.
 */
describe('payloads are those of nft', () => {
  const sets: [set: NamedSet, id: number, want: string][] = [
    [
      {
        name: 'eps',
        key: [ip.daddr, meta.l4proto, th.dport, numgenRandom(65_536)],
        data: [ip.daddr, th.dport],
        hasCounters: true,
        comment: 'endpoints',
      },
      1,
      '07000100777400000800020065707300080003000000000808000400001cc3440800050000000010' +
        '08000600000001cd080007000000000808000a0000000001ba000d0000040000000001040000000003' +
        `6000040d0000000158${`00${address4}0c000000`}01${protocol}02${dport}` +
        '031a000417000000011200040100000001040000010002040000000004' +
        `3400040d000000012c00${address4}0c00000001${dport}0604000000` +
        '00070a656e64706f696e7473000000140011800c000100636f756e7465720004000280',
    ],
    [
      {
        name: 'svc',
        key: [ip.daddr, meta.l4proto, th.dport],
        data: 'verdict',
        hasCounters: true,
        comment: 'vips',
      },
      2,
      '070001007774000008000200737663000800030000000008080004000000730d080005000000000c' +
        '08000600ffffff00080007000000000008000a00000000021d000d000004000000000104000000' +
        '0006040000000007057669707300000000140011800c000100636f756e7465720004000280',
    ],
    [
      { name: 'iv', key: [ip.saddr], isInterval: true },
      4,
      '0700010077740000070002006976000008000300000000040800040000000007080005000000000408' +
        '000a000000000420000d000004020000000314000407000000010c00040c00000001040b000000',
    ],
    [
      { name: 'civ', key: [ip.saddr, th.dport], isInterval: true, size: 50 },
      5,
      '07000100777400000800020063697600080003000000008408000400000001cd08000500000000080800' +
        '0a00000000052800098008000100000000321c0002800c00018008000100000000040c00018008000100' +
        `0000000240000d00000400000000033400040d000000012c00${address4}0b00000001${dport}`,
    ],
    [
      {
        name: 'dyn',
        key: [ip.saddr],
        isDynamic: true,
        hasTimeout: true,
        timeoutMs: 10_000,
        size: 100,
      },
      6,
      '07000100777400000800020064796e0008000300000000300800040000000007080005000000000408000a' +
        '00000000060c00098008000100000000640c000b00000000000000271020000d0000040200000003140004' +
        '07000000010c00040c00000001040b000000',
    ],
    [
      { name: 'ports', key: [th.dport], data: [meta.mark] },
      7,
      '07000100777400000a000200706f7274730000000800030000000008080004000000000d080005000000000208' +
        '00060000000013080007000000000408000a00000000073c000d00000402000000010401000000031400040700' +
        '0000010c00040b000000010402000000040e0004090000000106000403000000060400000000',
    ],
    [
      { name: 'names', key: [meta.iifname, meta.oifname] },
      8,
      '07000100777400000a0002006e616d657300000008000300000000000800040000000a69080005000000002008' +
        '000a000000000834000d00000400000000032800040d0000000120000e0004090000000106000406000000010e' +
        '0004090000000106000407000000',
    ],
    [
      { name: 'states', key: [fib.daddrType, ct.state] },
      9,
      '07000100777400000b00020073746174657300000800030000000000080004000000099a080005000000000808' +
        '000a000000000940000d00000400000000033400040d000000012c001400041a000000010c0004030000000104' +
        '02000000011400040c000000010c0004000000000104ffffffff',
    ],
  ];
  test.each(sets)('set $name', (set, id, want) => {
    const unpadded = encodeSet(table, set, id).subarray(4).toString('hex');
    expect(unpadded.replace(/(00)+$/, '')).toBe(want.replace(/(00)+$/, ''));
  });

  const chains: [chain: Chain, want: string][] = [
    [{ name: 'n1', rules: [] }, '0700010077740000070003006e310000'],
    [
      {
        name: 'f',
        base: { type: 'filter', hook: 'forward', priority: 0, policy: 'drop' },
        rules: [],
      },
      '070001007774000006000300660000001400048008000100000000020800020000000000' +
        '0b00070066696c7465720000' +
        '0800050000000000',
    ],
    [
      {
        name: 'pre',
        base: { type: 'nat', hook: 'prerouting', priority: -100, policy: 'accept' },
        comment: 'base',
        rules: [],
      },
      '0700010077740000080003007072650014000480080001000000000008000200ffffff9c' +
        '080007006e617400' +
        '0800050000000001' +
        '0b000c0000056261736500' +
        '00',
    ],
  ];
  test.each(chains)('chain $name', (chain, want) => {
    expect(encodeChain(table, chain).subarray(4).toString('hex')).toBe(want);
  });

  test('table that belongs to its connection', () => {
    const payload = encodeTable({ family: 'ip6', name: 'wt', isOwned: true });
    expect(payload.toString('hex')).toBe('0a000000' + '0700010077740000' + '0800020000000002');
  });

  test('table whose flags are to be as declared', () => {
    const payload = encodeTableFlags({ family: 'ip6', name: 'wt' });
    expect(payload.toString('hex')).toBe('0a000000' + '0700010077740000' + '0800020000000000');
  });

  test('table with a comment', () => {
    const payload = encodeTable({ family: 'ip6', name: 'wt', comment: 'hello table' });
    expect(payload.toString('hex')).toBe(
      '0a000000' + '0700010077740000' + '12000600000c68656c6c6f207461626c65000000',
    );
  });
});

describe('decoding gives what was encoded', () => {
  test('table', () => {
    const commented: Table = { family: 'inet', name: 'wt', comment: 'für Pods' };
    expect(decodeTable(encodeTable(commented))).toEqual({ ...commented, flags: 0 });
    expect(decodeTable(encodeTable({ ...table, isOwned: true }))).toEqual({ ...table, flags: 2 });
  });

  test('chain', () => {
    const base = { type: 'nat', hook: 'output', priority: -100, policy: 'accept' } as const;
    expect(decodeChain(encodeChain(table, { name: 'o', base, comment: 'c', rules: [] }))).toEqual({
      table: 'wt',
      name: 'o',
      base,
      comment: 'c',
      useCount: 0,
    });
  });

  test('set', () => {
    const set: NamedSet = {
      name: 'm',
      key: [ip.saddr, th.dport],
      data: [th.dport],
      size: 5,
      timeoutMs: 1000,
      hasCounters: true,
      comment: 'c',
    };
    expect(decodeSet(encodeSet(table, set, 1))).toEqual({
      name: 'm',
      flags: setFlags(set),
      keyType: packedType(set.key),
      keyBytes: 8,
      data: { type: 13, bytes: 2 },
      size: 5,
      timeoutMs: 1000,
      hasCounters: true,
      comment: 'c',
    });
  });
});

test('a range of numbers in host order is refused', () => {
  expect(() => encodeSet(table, { name: 'm', key: [meta.mark], isInterval: true }, 1)).toThrow(
    /ranges of meta mark/,
  );
});

describe('typeof', () => {
  const named = (set: Partial<NamedSet>) => ({ name: 's', key: [ip.saddr], ...set });
  const field = (kind: number) => Buffer.from([0, 4, kind, 0, 0, 0, 1]);

  test('a hash is described as a number, because nft 1.0.6 crashes on hashes', () => {
    const hashed = named({ key: [ip.saddr, jhash([ip6.saddr], 16, { seed: 1 })] });
    expect(setUserdata(hashed).includes(field(24))).toBe(false);
    expect(setUserdata(hashed).includes(field(23))).toBe(true);
  });

  test('is left out when there is no room for it', () => {
    const key = [ip6.saddr, ip6.daddr, meta.l4proto, th.sport, th.dport, numgenRandom(9)];
    const long = named({ key, comment: 'x'.repeat(127) });
    expect(setUserdata(long).length).toBeLessThanOrEqual(256);
    expect(setUserdata(long).includes(field(13))).toBe(false);
    expect(setUserdata(named({ key })).includes(field(13))).toBe(true);
  });
});

test.each([
  ['short', 'short'],
  ['x'.repeat(127), 'x'.repeat(127)],
  ['x'.repeat(128), 'x'.repeat(127)],
  [`${'x'.repeat(126)}é`, 'x'.repeat(126)],
  ['€'.repeat(50), '€'.repeat(42)],
])('comment %s fits as %s', (comment, want) => {
  expect(fitComment(comment)).toBe(want);
});
