import { describe, expect, test } from 'vitest';
import { parseIP } from '../../../../src/net/ip.ts';
import { parseMac } from '../../../../src/net/mac.ts';
import { encodeVxlan, readVxlan } from '../../../../src/netlink/rtnetlink/vxlan.ts';

const spec = { name: 'vx', mac: parseMac('02:00:00:00:00:02'), mtu: 1450, vni: 1, port: 8472 };
const raised = '00000000000000000100000001000000';
const identity = '07000300767800000a000100020000000002000008000400aa050000';
const kind = '0a00010076786c616e000000';
const vni = '0800010001000000';
const nolearning = '0500070000000000';
const port = '06000f0021180000';

describe('VXLAN links', () => {
  // As `ip link add` sends it, but for IFF_UP, NLA_F_NESTED and the order of the identity.
  test.each([
    {
      name: 'over IPv4',
      local: '192.0.2.1',
      want: `34001280${kind}24000280${vni}08000400c0000201${nolearning}${port}`,
    },
    {
      name: 'over IPv6',
      local: '2001:db8::1',
      want: `40001280${kind}30000280${vni}1400110020010db8000000000000000000000001${nolearning}${port}`,
    },
  ])('$name: one request says everything', ({ local, want }) => {
    const got = encodeVxlan({ ...spec, local: parseIP(local) }).toString('hex');
    expect(got).toBe(`${raised}${identity}${want}`);
  });

  test.each(['192.0.2.1', '2001:db8::1'])('%s is read as written', (local) => {
    const message = encodeVxlan({ ...spec, local: parseIP(local) });
    const data = message.subarray(message.indexOf(vni, 0, 'hex'));
    const details = { vni: 1, local, port: 8472, isLearning: false, lower: undefined };
    expect(readVxlan(data)).toEqual(details);
  });

  test('what a kernel leaves out is nothing', () => {
    const nothing = { vni: 0, local: undefined, port: 0, isLearning: false, lower: undefined };
    expect(readVxlan(Buffer.alloc(0))).toEqual(nothing);
  });
});
