import { describe, expect, test } from 'vitest';
import { parseCidr } from '../../../../src/net/cidr.ts';
import { parseIP } from '../../../../src/net/ip.ts';
import { AttributeWriter } from '../../../../src/netlink/attributes.ts';
import { decodeEntry, formatIpSetEntry, writeEntry } from '../../../../src/netlink/ipset/entry.ts';
import type { IpSetEntry } from '../../../../src/netlink/ipset/types.ts';

const ip = parseIP('10.0.0.1');
const ip6 = parseIP('fd00::1');
const IP_HEX = '0c000180' + '08000140' + '0a000001';
const IP6_HEX = '18000180' + '14000240' + 'fd000000000000000000000000000001';
const TCP_80 = '05000700' + '06000000' + '06000440' + '00500000';

interface EntryCase {
  readonly entry: IpSetEntry;
  readonly hex: string;
  readonly text: string;
}

const CASES: readonly EntryCase[] = [
  { entry: { type: 'hash:ip', ip }, hex: IP_HEX, text: '10.0.0.1' },
  { entry: { type: 'hash:ip', ip: ip6 }, hex: IP6_HEX, text: 'fd00::1' },
  {
    entry: { type: 'hash:ip,port', ip, protocol: 'tcp', port: 80 },
    hex: IP_HEX + TCP_80,
    text: '10.0.0.1,tcp:80',
  },
  {
    entry: { type: 'hash:ip,port', ip, protocol: 'sctp', port: 1 },
    hex: `${IP_HEX}05000700840000000600044000010000`,
    text: '10.0.0.1,sctp:1',
  },
  {
    entry: { type: 'hash:ip,port', ip, protocol: 136, port: 1 },
    hex: `${IP_HEX}05000700880000000600044000010000`,
    text: '10.0.0.1,136:1',
  },
  {
    entry: { type: 'hash:ip,port,ip', ip: ip6, protocol: 'tcp', port: 80, ip2: ip6 },
    hex: `${IP6_HEX}${TCP_80}1800148014000240fd000000000000000000000000000001`,
    text: 'fd00::1,tcp:80,fd00::1',
  },
  {
    entry: {
      ...{ type: 'hash:ip,port,net', ip, protocol: 'tcp', port: 80 },
      net: parseCidr('10.1.0.0/16'),
    },
    hex: `${IP_HEX}${TCP_80}0c001480080001400a0100000500150010000000`,
    text: '10.0.0.1,tcp:80,10.1.0.0/16',
  },
  {
    entry: {
      ...{ type: 'hash:ip,port,net', ip, protocol: 'tcp', port: 80 },
      net: parseCidr('10.1.0.1/32'),
    },
    hex: `${IP_HEX}${TCP_80}0c001480080001400a0100010500150020000000`,
    text: '10.0.0.1,tcp:80,10.1.0.1',
  },
  { entry: { type: 'bitmap:port', port: 30000 }, hex: '06000440' + '75300000', text: '30000' },
];

describe.each(CASES)('$entry.type $text', ({ entry, hex, text }) => {
  test('is written', () => {
    const writer = new AttributeWriter();
    writeEntry(writer, entry);
    expect(writer.finish().toString('hex')).toBe(hex);
  });

  test('is read', () => {
    expect(decodeEntry(entry.type, Buffer.from(hex, 'hex'))).toEqual(entry);
  });

  test('is text', () => {
    expect(formatIpSetEntry(entry)).toBe(text);
  });
});

describe('decodeEntry', () => {
  test.each([
    'hash:ip',
    'hash:ip,port',
    'hash:ip,port,ip',
    'hash:ip,port,net',
    'bitmap:port',
  ] as const)('nothing is no entry of %s', (type) => {
    expect(decodeEntry(type, Buffer.alloc(0))).toBeUndefined();
  });

  test('a net without a length is one address', () => {
    const hex = `${IP_HEX}${TCP_80}0c001480080001400a010001`;
    expect(decodeEntry('hash:ip,port,net', Buffer.from(hex, 'hex'))).toMatchObject({
      net: '10.1.0.1/32',
    });
  });
});
