import { expect, test } from 'vitest';
import { readPacketHeaders } from '../../../src/netlink/packet-headers.ts';

/** 10.0.0.1 to 10.0.0.2; `more` is what follows the header. */
function ipv4(protocol: number, more: string, { fragment = '0000', options = '' } = {}): Buffer {
  const words = (5 + options.length / 8).toString(16);
  const head = `4${words}0000300000${fragment}40${byte(protocol)}0000`;
  return Buffer.from(`${head}0a0000010a000002${options}${more}`, 'hex');
}

/** fd00::1 to fd00::2. */
function ipv6(next: number, more: string): Buffer {
  const addresses = `fd00${'0'.repeat(27)}1fd00${'0'.repeat(27)}2`;
  return Buffer.from(`600000000000${byte(next)}40${addresses}${more}`, 'hex');
}

const byte = (value: number) => value.toString(16).padStart(2, '0');
const PORTS = '03e80050';
const ports = { source: 1000, destination: 80 };

test.each([
  ['TCP', ipv4(6, PORTS), { protocol: 6, ports }],
  ['UDP', ipv4(17, PORTS), { protocol: 17, ports }],
  ['SCTP', ipv4(132, PORTS), { protocol: 132, ports }],
  ['ports behind options', ipv4(6, PORTS, { options: '01010101' }), { protocol: 6, ports }],
  ['ICMP', ipv4(1, '0301'), { protocol: 1, icmp: { type: 3, code: 1 } }],
  ['the first fragment', ipv4(17, PORTS, { fragment: '2000' }), { protocol: 17, ports }],
  ['TCP of IPv6', ipv6(6, PORTS), { protocol: 6, ports }],
  ['ICMPv6', ipv6(58, '8000'), { protocol: 58, icmp: { type: 128, code: 0 } }],
  [
    'hop-by-hop, then routing, then TCP',
    ipv6(0, `2b00${'0'.repeat(12)}0601${'0'.repeat(28)}${PORTS}`),
    { protocol: 6, ports },
  ],
  ['the first fragment of IPv6', ipv6(44, `1100000100000001${PORTS}`), { protocol: 17, ports }],
  ['an authentication header', ipv6(51, `0604${'0'.repeat(44)}${PORTS}`), { protocol: 6, ports }],
])('%s', (_name, bytes, want) => {
  const isIPv6 = bytes.readUInt8(0) >> 4 === 6;
  const addresses = isIPv6
    ? { family: 6, source: 'fd00::1', destination: 'fd00::2' }
    : { family: 4, source: '10.0.0.1', destination: '10.0.0.2' };
  expect(readPacketHeaders(bytes)).toEqual({ ...addresses, ...want });
});

test.each([
  ['a later fragment', ipv4(17, PORTS, { fragment: '2001' }), 17],
  ['a later fragment of IPv6', ipv6(44, `1100000900000001${PORTS}`), 17],
  ['ports cut off', ipv4(6, '03e8'), 6],
  ['options cut off', ipv4(6, '', { options: '01010101' }).subarray(0, 20), 6],
  ['another protocol', ipv4(47, PORTS), 47],
  ['an extension header cut off', ipv6(0, '2b00'), 0],
])('%s has neither ports nor type', (_name, bytes, protocol) => {
  const headers = readPacketHeaders(bytes);
  expect(headers).toMatchObject({ protocol });
  expect(headers).not.toHaveProperty('ports');
  expect(headers).not.toHaveProperty('icmp');
});

test.each([
  ['nothing', Buffer.alloc(0)],
  ['half an IPv4 header', ipv4(6, '').subarray(0, 19)],
  ['half an IPv6 header', ipv6(6, '').subarray(0, 39)],
  ['no IP', Buffer.alloc(40)],
])('%s tells nothing', (_name, bytes) => {
  expect(readPacketHeaders(bytes)).toBeUndefined();
});

test('random bytes are never read beyond their end', () => {
  let state = 1;
  const next = () => {
    state = (state * 48271) % 0x7fffffff;
    return state;
  };
  for (let round = 0; round < 20_000; round++) {
    const bytes = Buffer.from(Array.from({ length: next() % 129 }, () => next() & 0xff));
    if (bytes.length > 0) bytes[0] = (round % 2 === 0 ? 0x40 : 0x60) | (bytes.readUInt8(0) & 0xf);
    expect(() => readPacketHeaders(bytes)).not.toThrow();
  }
});
