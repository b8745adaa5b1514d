import { describe, expect, test } from 'vitest';
import { parseIP } from '../../../../src/net/ip.ts';
import { parseMac } from '../../../../src/net/mac.ts';
import {
  decodeForwardingEntry,
  encodeForwardingEntry,
  encodeForwardingFilter,
  encodeForwardingKey,
} from '../../../../src/netlink/rtnetlink/forwarding.ts';
import {
  decodeNeighbour,
  decodeNeighbourAddress,
  decodeProxyNeighbour,
  encodeNeighbour,
  encodeNeighbourFilter,
  encodeNeighbourKey,
  encodeProxyFilter,
  encodeProxyNeighbour,
} from '../../../../src/netlink/rtnetlink/neighbour.ts';

const mac = parseMac('02:00:00:00:00:02');
const neighbour = { link: 2, address: parseIP('fe80::2'), mac, isPermanent: true };
const confirmed = { link: 2, address: parseIP('10.0.0.2'), mac, isPermanent: false };
const proxy = { link: 2, address: parseIP('fd00::2'), protocol: 202 };
const entry = { link: 2, mac, remote: parseIP('192.0.2.2') };
const elsewhere = { ...entry, remote: parseIP('2001:db8::2'), port: 4789, vni: 9, via: 3 };
const lladdr = '0a000200020000000002' + '0000';
const dst = '08000100c0000202';

/** With other bytes of struct ndmsg. */
function changed(payload: Buffer, at: number, value: number): Buffer {
  const copy = Buffer.from(payload);
  copy.writeUInt8(value, at);
  return copy;
}

describe('neighbours and forwarding entries', () => {
  test.each([
    {
      name: 'ip neigh replace nud permanent',
      got: encodeNeighbour(neighbour),
      want: `0a000000020000008000000014000100fe800000000000000000000000000002${lladdr}`,
    },
    {
      name: 'ip neigh replace nud reachable',
      got: encodeNeighbour(confirmed),
      want: `020000000200000002000000080001000a000002${lladdr}`,
    },
    {
      name: 'ip neigh del',
      got: encodeNeighbourKey(2, confirmed.address),
      want: '020000000200000000000000080001000a000002',
    },
    {
      name: 'ip neigh show dev',
      got: encodeNeighbourFilter(2),
      want: '0000000000000000000000000800080002000000',
    },
    {
      name: 'ip neigh add proxy protocol 202',
      got: encodeProxyNeighbour(proxy),
      want: `0a0000000200000000000800${'14000100fd000000000000000000000000000002'}${'05000c00ca000000'}`,
    },
    { name: 'ip -6 neigh show proxy', got: encodeProxyFilter(), want: '0a0000000000000000000800' },
    {
      name: 'bridge fdb replace',
      got: encodeForwardingEntry(entry),
      want: `070000000200000080000200${lladdr}${dst}`,
    },
    {
      name: 'bridge fdb del',
      got: encodeForwardingKey({ ...entry, port: 4789 }),
      want: `070000000200000000000200${lladdr}${dst}0600060012b50000`,
    },
    {
      name: 'bridge fdb show dev',
      got: encodeForwardingFilter(2),
      want: '070000000200000000000000',
    },
  ])('$name', ({ got, want }) => {
    expect(got.toString('hex')).toBe(want);
  });

  test('are read as written', () => {
    for (const value of [neighbour, confirmed]) {
      expect(decodeNeighbour(encodeNeighbour(value))).toEqual(value);
    }
    for (const value of [entry, elsewhere]) {
      expect(decodeForwardingEntry(encodeForwardingEntry(value))).toEqual(value);
    }
  });

  test('a proxy is read as written, and is no neighbour', () => {
    expect(decodeProxyNeighbour(encodeProxyNeighbour(proxy))).toEqual(proxy);
    expect(decodeProxyNeighbour(encodeNeighbour(neighbour))).toBeUndefined();
    expect(decodeNeighbour(encodeProxyNeighbour(proxy))).toBeUndefined();
  });

  test.each([
    { name: 'failed', payload: changed(encodeNeighbour(confirmed), 8, 0x20) },
    { name: 'computed by the kernel', payload: changed(encodeNeighbour(confirmed), 8, 0x40) },
    { name: 'without a MAC', payload: encodeNeighbourKey(2, confirmed.address) },
    { name: 'a proxy', payload: changed(encodeNeighbour(confirmed), 10, 8) },
    { name: 'of a bridge', payload: encodeForwardingEntry(entry) },
  ])('a neighbour that is $name is none', ({ payload }) => {
    expect(decodeNeighbour(payload)).toBeUndefined();
  });

  test.each([
    { name: 'that ages', payload: changed(encodeForwardingEntry(entry), 8, 2) },
    { name: 'without a remote', payload: encodeForwardingEntry(entry).subarray(0, 24) },
    { name: 'of an IP family', payload: encodeNeighbour(neighbour) },
  ])('a forwarding entry $name is none', ({ payload }) => {
    expect(decodeForwardingEntry(payload)).toBeUndefined();
  });

  test('one without the flag of a permanent entry, as `bridge fdb add static` makes it, is one', () => {
    const payload = changed(encodeForwardingEntry(entry), 8, 0x40);
    expect(decodeForwardingEntry(payload)).toEqual(entry);
  });

  test('the address of a neighbour that is gone', () => {
    expect(decodeNeighbourAddress(encodeNeighbourKey(2, neighbour.address))).toBe('fe80::2');
    expect(decodeNeighbourAddress(encodeForwardingEntry(entry))).toBeUndefined();
  });
});
