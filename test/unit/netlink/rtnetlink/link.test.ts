import { describe, expect, test } from 'vitest';
import { parseMac } from '../../../../src/net/mac.ts';
import { AttributeWriter } from '../../../../src/netlink/attributes.ts';
import { encodeBridge, encodeBridgeChange } from '../../../../src/netlink/rtnetlink/bridge.ts';
import {
  decodeLink,
  encodeLinkChange,
  encodeLinkChangeByName,
  encodeLinkFilter,
  encodeLinkGroup,
} from '../../../../src/netlink/rtnetlink/link.ts';
import { encodeIfb, encodeVeth } from '../../../../src/netlink/rtnetlink/veth.ts';

const anyLink = '00000000000000000000000000000000';
const raised = '00000000000000000100000001000000';
const mac = (last: string) => `0a0001000200000000${last}0000`;

describe('link requests', () => {
  test.each([
    {
      name: 'ip link set type bridge vlan_filtering 1',
      got: encodeBridgeChange(2, { vlanFiltering: true }),
      want:
        '00000000020000000000000000000000' +
        '1c001280' +
        '0b00010062726964676500000c0002800500070001000000',
    },
    {
      name: 'a bridge is made with its own MAC and filtering VLANs',
      got: encodeBridge({ name: 'br0', mac: parseMac('02:00:00:00:00:01'), vlanFiltering: true }),
      want:
        `${anyLink}0800030062723000${mac('01')}` +
        '1c0012800b00010062726964676500000c0002800500070001000000',
    },
    {
      name: 'ip link del group 77',
      got: encodeLinkGroup(77),
      want: `${anyLink}08001b004d000000`,
    },
    {
      name: 'ip link set group 77',
      got: encodeLinkChange(2, { group: 77 }),
      want: '0000000002000000000000000000000008001b004d000000',
    },
    {
      name: 'an alias by name',
      got: encodeLinkChangeByName('br0', { alias: 'x' }),
      want: `${anyLink}0800030062723000060014007800`,
    },
    {
      name: 'the listing leaves counters out',
      got: encodeLinkFilter(),
      want: `${anyLink}08001d0008000000`,
    },
    {
      name: 'an ifb is made raised',
      got: encodeIfb({ name: 'ifx', mac: parseMac('02:00:00:00:00:02'), mtu: 1400 }),
      want: `${raised}0800030069667800${mac('02')}08000400780500000c0012800800010069666200`,
    },
  ])('$name', ({ got, want }) => {
    expect(got.toString('hex')).toBe(want);
  });

  test('one message names, addresses, sizes, groups and places both ends of a veth', () => {
    const got = encodeVeth({
      host: { name: 'vh', mac: parseMac('02:00:00:00:00:02'), alias: 'set afterwards' },
      pod: { name: 'et', mac: parseMac('02:00:00:00:00:03'), netns: { fd: 9 } },
      mtu: 1400,
      master: 2,
      group: 7,
    });
    const identity = (name: string, last: string) =>
      `07000300${Buffer.from(name).toString('hex')}0000${mac(last)}0800040078050000`;
    expect(got.toString('hex')).toBe(
      [
        raised,
        identity('vh', '02'),
        '08000a0002000000' + '08001b0007000000',
        '4c001280' + '0900010076657468' + '00000000' + '3c000280',
        `38000180${anyLink}`,
        identity('et', '03'),
        '08001c0009000000',
      ].join(''),
    );
  });
});

describe('decodeLink', () => {
  const message = (write: (info: AttributeWriter) => void) =>
    new AttributeWriter()
      .raw(Buffer.from(anyLink, 'hex'))
      .string(3, 'x')
      .u32(27, 7)
      .nested(18, write)
      .finish();

  test('a bridge port tells its state and flags', () => {
    const payload = message((info) =>
      info
        .string(1, 'veth')
        .string(4, 'bridge')
        .nested(5, (port) => port.u8(1, 3).u8(4, 1).u8(33, 0)),
    );
    expect(decodeLink(payload)).toMatchObject({
      portState: 'forwarding',
      port: { hairpin: true, isolated: false },
      group: 7,
    });
  });

  test('a port of another kind of upper device has no port state', () => {
    const payload = message((info) => info.string(4, 'vrf').nested(5, (port) => port.u32(1, 3)));
    expect(decodeLink(payload)).not.toHaveProperty('portState');
  });

  test.each([
    [1, true],
    [0, false],
  ])('a bridge with vlan_filtering %i', (value, vlanFiltering) => {
    const payload = message((info) =>
      info.string(1, 'bridge').nested(2, (data) => data.u8(7, value)),
    );
    expect(decodeLink(payload)).toMatchObject({ vlanFiltering });
  });
});
