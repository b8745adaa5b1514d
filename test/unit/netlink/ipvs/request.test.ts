import { describe, expect, test } from 'vitest';
import { parseIP } from '../../../../src/net/ip.ts';
import {
  decodeTimeouts,
  decodeVersion,
  describeChange,
  encodeChange,
  encodeGetInfo,
  encodeGetTimeouts,
  encodeListDestinations,
  encodeListServers,
  encodeSetTimeouts,
} from '../../../../src/netlink/ipvs/request.ts';
import { formatServerKey } from '../../../../src/netlink/ipvs/server-key.ts';
import type {
  IpvsChange,
  VirtualServer,
  VirtualServerKey,
} from '../../../../src/netlink/ipvs/types.ts';

const TCP: VirtualServerKey = {
  kind: 'address',
  ip: parseIP('172.30.0.1'),
  protocol: 'tcp',
  port: 80,
};
const UDP6: VirtualServerKey = {
  kind: 'address',
  ip: parseIP('fd00:30::1'),
  protocol: 'udp',
  port: 53,
};
const MARK: VirtualServerKey = { kind: 'mark', mark: 0x4001, family: 6 };

const TCP_HEX = [
  '06000100' + '02000000', // family
  '06000200' + '06000000', // protocol
  `14000300ac1e0001${'0'.repeat(24)}`,
  '06000400' + '00500000',
].join('');
const UDP6_HEX = [
  '06000100' + '0a000000',
  '06000200' + '11000000',
  '14000300' + 'fd000030000000000000000000000001',
  '06000400' + '00350000',
].join('');
const RR = '07000600' + '72720000';

function server(key: VirtualServerKey, more: Partial<VirtualServer> = {}): VirtualServer {
  return { key, scheduler: 'rr', persistenceSeconds: 0, ...more };
}

/** IPVS_SVC_ATTR_FLAGS: the flags and a mask of all of them. */
function flags(value: string): string {
  return `0c000700${value}000000ffffffff`;
}

/** A nested attribute around `hex`. */
function nested(type: number, hex: string): string {
  const head = Buffer.alloc(4);
  head.writeUInt16LE(4 + hex.length / 2, 0);
  head.writeUInt16LE(type | 0x8000, 2);
  return head.toString('hex') + hex;
}

describe('encodeChange', () => {
  const destination = { ip: parseIP('10.0.0.9'), port: 8080, weight: 3 };
  const key9 = [
    `140001000a000009${'0'.repeat(24)}`,
    '06000200' + '1f900000',
    '06000b00' + '02000000',
  ].join('');

  test.each<{ name: string; change: IpvsChange; want: string }>([
    {
      name: 'a server without flags',
      change: { op: 'addServer', server: server(TCP) },
      want: `01010000${nested(1, `${TCP_HEX}${RR}${flags('00')}080008000000000008000900ffffffff`)}`,
    },
    {
      name: 'a persistent IPv6 server: the netmask is a prefix length in host order',
      change: {
        op: 'setServer',
        server: server(UDP6, { persistenceSeconds: 10800, persistencePrefixLength: 64 }),
      },
      want: `02010000${nested(1, `${UDP6_HEX}${RR}${flags('01')}08000800302a00000800090040000000`)}`,
    },
    {
      name: 'a persistent IPv4 server: the netmask is a mask in network order',
      change: {
        op: 'addServer',
        server: server(TCP, { persistenceSeconds: 1, persistencePrefixLength: 24 }),
      },
      want: `01010000${nested(1, `${TCP_HEX}${RR}${flags('01')}080008000100000008000900ffffff00`)}`,
    },
    {
      name: 'flags of schedulers and datagrams',
      change: {
        op: 'addServer',
        server: server(TCP, { fallback: true, hashesPort: true, onePacket: true }),
      },
      want: `01010000${nested(1, `${TCP_HEX}${RR}${flags('1c')}080008000000000008000900ffffffff`)}`,
    },
    {
      name: 'a server by mark has no address',
      change: { op: 'deleteServer', key: MARK },
      want: `03010000${nested(1, `060001000a0000000800050001400000`)}`,
    },
    {
      name: 'a destination: masquerading, without thresholds',
      change: { op: 'addDestination', key: TCP, destination },
      want: [
        `05010000${nested(1, TCP_HEX)}`,
        nested(2, `${key9}0800030000000000080004000300000008000500000000000800060000000000`),
      ].join(''),
    },
    {
      name: 'a destination that goes is named and nothing more',
      change: { op: 'deleteDestination', key: TCP, destination },
      want: `07010000${nested(1, TCP_HEX)}${nested(2, key9)}`,
    },
  ])('$name', ({ change, want }) => {
    expect(encodeChange(change).toString('hex')).toBe(want);
  });

  test.each<{ change: IpvsChange; want: number }>([
    { change: { op: 'addServer', server: server(TCP) }, want: 1 },
    { change: { op: 'setServer', server: server(TCP) }, want: 2 },
    { change: { op: 'deleteServer', key: TCP }, want: 3 },
    { change: { op: 'addDestination', key: TCP, destination }, want: 5 },
    { change: { op: 'setDestination', key: TCP, destination }, want: 6 },
    { change: { op: 'deleteDestination', key: TCP, destination }, want: 7 },
  ])('$change.op is command $want', ({ change, want }) => {
    expect(encodeChange(change)[0]).toBe(want);
  });
});

test.each<{ change: IpvsChange; want: string }>([
  {
    change: { op: 'setServer', server: server(UDP6) },
    want: 'set virtual server UDP [fd00:30::1]:53',
  },
  { change: { op: 'deleteServer', key: MARK }, want: 'delete virtual server FWM 16385 IPv6' },
  {
    change: {
      op: 'addDestination',
      key: TCP,
      destination: { ip: parseIP('10.0.0.9'), port: 8080, weight: 1 },
    },
    want: 'add destination 10.0.0.9:8080 of TCP 172.30.0.1:80',
  },
])('describeChange: $want', ({ change, want }) => {
  expect(describeChange(change)).toBe(want);
});

test('a server by an IPv4 mark', () => {
  expect(formatServerKey({ kind: 'mark', mark: 7, family: 4 })).toBe('FWM 7');
});

describe('other commands', () => {
  test.each([
    { name: 'list servers', payload: encodeListServers(), want: '04010000' },
    {
      name: 'list destinations',
      payload: encodeListDestinations(TCP),
      want: `08010000${nested(1, TCP_HEX)}`,
    },
    { name: 'version', payload: encodeGetInfo(), want: '0f010000' },
    { name: 'read timeouts', payload: encodeGetTimeouts(), want: '0d010000' },
    {
      name: 'set timeouts',
      payload: encodeSetTimeouts({ tcpSeconds: 900, tcpFinSeconds: 0, udpSeconds: 300 }),
      want: `0c01000008000400840300000800050000000000080006002c010000`,
    },
  ])('$name', ({ payload, want }) => {
    expect(payload.toString('hex')).toBe(want);
  });

  test('the version is three numbers of one', () => {
    expect(decodeVersion(Buffer.from('0e010000' + '0800010001020100', 'hex'))).toBe('1.2.1');
  });

  test('timeouts are read as they are set', () => {
    const timeouts = { tcpSeconds: 900, tcpFinSeconds: 120, udpSeconds: 300 };
    expect(decodeTimeouts(encodeSetTimeouts(timeouts))).toEqual(timeouts);
  });
});
