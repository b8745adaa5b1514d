import { describe, expect, test } from 'vitest';
import {
  decodePortVlans,
  encodePortVlanFilter,
  encodePortVlans,
  type PortVlanOptions,
  type PortVlanRange,
} from '../../../../src/netlink/rtnetlink/bridge-vlan.ts';

/** struct ifinfomsg of AF_BRIDGE for an ifindex below 256. */
const header = (index: string) => `07000000${index}0000000000000000000000`;

/** What iproute2's `bridge` sends, with the nested flag that it leaves out of IFLA_AF_SPEC. */
describe('encodePortVlans', () => {
  test.each<{
    name: string;
    vlans: readonly PortVlanRange[];
    options?: PortVlanOptions;
    want: string;
  }>([
    {
      name: 'bridge vlan add vid 100-200',
      vlans: [{ vid: 100, lastVid: 200 }],
      want: '14001a80' + '0800020008006400' + '080002001000c800',
    },
    {
      name: 'bridge vlan add vid 5 pvid untagged',
      vlans: [{ vid: 5, isPvid: true, isUntagged: true }],
      want: '0c001a80' + '0800020006000500',
    },
    {
      name: 'bridge vlan add vid 7 self',
      vlans: [{ vid: 7 }],
      options: { isSelf: true },
      want: '14001a80' + '0600000002000000' + '0800020000000700',
    },
    {
      name: 'a range of one is one VLAN, several go together',
      vlans: [{ vid: 9, lastVid: 9 }, { vid: 4094 }],
      want: '14001a80' + '0800020000000900' + '080002000000fe0f',
    },
  ])('$name', ({ vlans, options, want }) => {
    expect(encodePortVlans(4, vlans, options).toString('hex')).toBe(`${header('04')}${want}`);
  });

  test('the listing asks for compressed VLANs of all ports, as `bridge -c vlan show`', () => {
    expect(encodePortVlanFilter().toString('hex')).toBe(`${header('00')}08001d0004000000`);
  });
});

describe('decodePortVlans', () => {
  test('ranges come apart, flags stay with every VLAN of them', () => {
    const reply = `${header('04')}24001a00${[
      '0800020006000100',
      '080002000c000300',
      '0800020014000500',
      '0800020000000900',
    ].join('')}`;
    expect(decodePortVlans(Buffer.from(reply, 'hex'))).toEqual({
      link: 4,
      vlans: [
        { vid: 1, isPvid: true, isUntagged: true },
        { vid: 3, isPvid: false, isUntagged: true },
        { vid: 4, isPvid: false, isUntagged: true },
        { vid: 5, isPvid: false, isUntagged: true },
        { vid: 9, isPvid: false, isUntagged: false },
      ],
    });
  });

  test('a port without VLANs has none', () => {
    expect(decodePortVlans(Buffer.from(header('04'), 'hex')).vlans).toEqual([]);
  });
});
