import { expect, test } from 'vitest';
import { masqueradePorts } from '../../../../src/fabric/table/definition.ts';
import {
  type MasqueradeIPv6,
  masqueradedFamilies,
  masqueradedNetworks,
  outermost,
  rangeOf,
} from '../../../../src/fabric/table/networks.ts';
import { podLinks } from '../../../../src/fabric/table/pod-links.ts';
import { cidrFamily, lastAddress, networkAddress, parseCidr } from '../../../../src/net/cidr.ts';
import { parseIP } from '../../../../src/net/ip.ts';
import { readIPBytes } from '../../../../src/nftables/bytes.ts';

test.each<{ name: string; cidrs: readonly string[]; want: readonly string[] }>([
  { name: 'none', cidrs: [], want: [] },
  {
    name: 'side by side',
    cidrs: ['10.1.0.0/16', '10.0.0.0/16'],
    want: ['10.0.0.0/16', '10.1.0.0/16'],
  },
  { name: 'inside another', cidrs: ['10.1.0.0/16', '10.0.0.0/8'], want: ['10.0.0.0/8'] },
  {
    name: 'inside one before the last',
    cidrs: ['10.0.0.0/8', '10.1.0.0/16', '10.2.0.0/16'],
    want: ['10.0.0.0/8'],
  },
  { name: 'twice', cidrs: ['10.0.0.0/8', '10.0.0.0/8'], want: ['10.0.0.0/8'] },
  {
    name: 'everything',
    cidrs: ['0.0.0.0/0', '10.0.0.0/8', '::/0', 'fd00::/8'],
    want: ['0.0.0.0/0', '::/0'],
  },
  { name: 'the same beginning', cidrs: ['10.0.0.0/24', '10.0.0.0/16'], want: ['10.0.0.0/16'] },
])('networks that are in no other: $name', ({ cidrs, want }) => {
  const all = cidrs.map(parseCidr);
  const texts = ([4, 6] as const).flatMap((family) => {
    const ranges = all.filter((cidr) => cidrFamily(cidr) === family).map(rangeOf);
    return outermost(ranges).map(({ key, keyEnd = key }) => {
      return `${readIPBytes(key, 0, family)}-${readIPBytes(keyEnd, 0, family)}`;
    });
  });
  const ranges = want.map(parseCidr).map((cidr) => `${networkAddress(cidr)}-${lastAddress(cidr)}`);
  expect(texts.toSorted()).toEqual(ranges.toSorted());
});

test.each<{ cidrs: readonly string[]; ipv6: MasqueradeIPv6; want: readonly number[] }>([
  { cidrs: ['10.244.1.0/24', 'fd00:244:1::/64'], ipv6: 'ula', want: [4, 6] },
  { cidrs: ['fd00:244:1::/64', '10.244.1.0/24'], ipv6: 'ula', want: [4, 6] },
  { cidrs: ['10.244.1.0/24', 'fc00:244:1::/64'], ipv6: 'ula', want: [4, 6] },
  { cidrs: ['10.244.1.0/24', '2001:db8:1::/64'], ipv6: 'ula', want: [4] },
  { cidrs: ['10.244.1.0/24', '2001:db8:1::/64'], ipv6: 'all', want: [4, 6] },
  { cidrs: ['10.244.1.0/24', 'fd00:244:1::/64'], ipv6: 'none', want: [4] },
  { cidrs: ['2001:db8:1::/64'], ipv6: 'ula', want: [] },
  { cidrs: [], ipv6: 'all', want: [] },
])('families masqueraded for $cidrs with $ipv6: $want', ({ cidrs, ipv6, want }) => {
  expect(masqueradedFamilies(cidrs.map(parseCidr), ipv6)).toEqual(want);
});

test('only networks of the families are masqueraded', () => {
  const podCIDRs = ['10.244.1.0/24', 'fd00:244:1::/64'].map(parseCidr);
  const facts = { tunnel: undefined, podCIDRs };
  const of = (families: readonly (4 | 6)[]) =>
    masqueradedNetworks({ ...facts, masquerade: { direct: [], families } });
  expect(of([4, 6])).toEqual(podCIDRs);
  expect(of([4])).toEqual(['10.244.1.0/24']);
  expect(masqueradedNetworks({ ...facts, masquerade: undefined })).toEqual([]);
});

test.each([
  { port: undefined, first: 10_000, last: 65_535 },
  { port: 8472, first: 10_000, last: 65_535 },
  { port: 10_000, first: 10_001, last: 65_535 },
  { port: 14_789, first: 14_790, last: 65_535 },
  { port: 51_820, first: 10_000, last: 51_819 },
  { port: 65_535, first: 10_000, last: 65_534 },
])('source ports beside the tunnel port $port', ({ port, first, last }) => {
  expect(masqueradePorts(port)).toEqual({ first, last });
});

test('links of pods have an address or a route of theirs', () => {
  const links = ['lo', 'eth0', 'cni0', 'veth1', 'weft-vxlan', 'tun0'].map((name, i) => {
    return { index: i + 1, name };
  });
  const addresses = [
    { link: 2, address: parseIP('192.0.2.1') },
    { link: 3, address: parseIP('10.244.1.1') },
  ];
  const route = (destination: string, link: number, gateway?: string) => {
    const via = gateway === undefined ? {} : { gateway: parseIP(gateway) };
    return { destination: parseCidr(destination), link, ...via };
  };
  const routes = [
    route('0.0.0.0/0', 2, '192.0.2.254'),
    route('10.244.1.7/32', 4),
    route('10.244.2.0/24', 5, '169.254.0.2'),
    route('10.244.1.128/25', 6, '10.9.0.1'),
    route('10.0.0.0/8', 6),
  ];
  const podCIDRs = [parseCidr('10.244.1.0/24')];
  expect(podLinks(podCIDRs, { links, addresses, routes })).toEqual(['cni0', 'veth1']);
});
