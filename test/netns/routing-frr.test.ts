/** FRR as the router of a rack: what a vendor's BGP makes of weft's configuration, and weft of its routes. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseCidr } from '../../src/net/cidr.ts';
import { parseNodeSelector } from '../../src/routing/node-selector.ts';
import type { BgpSettings } from '../../src/routing/settings.ts';
import { BGP, facts, LabBird, peer, routedNode } from '../support/bird-lab.ts';
import { createFabricLab, type FabricLab } from '../support/fabric-lab.ts';
import { type FrrRouter, startFrr } from '../support/frr-router.ts';
import { until } from '../support/until.ts';

const PASSWORD = 'of-the-rack';
const ROUTER_ASN = 64_999;
const LINKS = [1, 1];
/** n1 is in the rack; n2 beside it is not. */
const RACK_A = parseNodeSelector('rack=a') ?? BGP.reflectors;
const nodes = LINKS.map((link, i) =>
  routedNode(
    ...([`n${i + 1}`, [`10.244.${i + 1}.0/24`, `fd00:${i + 1}::/64`]] as const),
    [`192.0.${link}.${i + 1}`, `2001:db8:${link}::${i + 1}`],
    { labels: i === 0 ? { rack: 'a' } : {} },
  ),
);
const imports = [
  { network: parseCidr('203.0.113.0/24'), longest: 24 },
  { network: parseCidr('2001:db8:f00::/40'), longest: 48 },
];
const settings: BgpSettings = {
  ...BGP,
  communities: [[64_512, 100]],
  peers: [
    peer('rack', '192.0.1.254', ROUTER_ASN, {
      ...{ nodes: RACK_A, passwordFile: '/secret', imports, communities: [[64_512, 1, 7]] },
    }),
    peer('rack6', '2001:db8:1::fe', ROUTER_ASN, {
      ...{ nodes: RACK_A, passwordFile: '/secret', imports, localASN: 65_001 },
    }),
  ],
};
const passwords = (password: string) => new Map(['rack', 'rack6'].map((name) => [name, password]));

let lab: FabricLab;
let frr: FrrRouter;
let inRack: LabBird;
let beside: LabBird;

beforeAll(async () => {
  lab = createFabricLab(LINKS);
  frr = await startFrr(lab.router, routerConfig());
  [inRack, beside] = lab.nodes.map(({ netns, name }) => {
    netns.run('sysctl', '-qw', 'net.ipv4.ip_forward=1', 'net.ipv6.conf.all.forwarding=1');
    const linkNetworks = ['192.0.1.0/24', '2001:db8:1::/64'].map(parseCidr);
    const known = facts(name, nodes, { linkNetworks, passwords: passwords(PASSWORD) });
    return new LabBird(netns, settings, known);
  }) as [LabBird, LabBird];
  await Promise.all([inRack.start(), beside.start()]);
  await until('both sessions', async () => (await inRack.established()) === 2);
}, 60_000);

afterAll(async () => {
  await Promise.all([inRack?.remove(), beside?.remove()]);
  frr?.remove();
  lab?.remove();
});

/** It tells of more than it is asked for, and of what is not its own. */
function routerConfig(): string {
  const neighbour = (address: string, asn: number) => [
    `neighbor ${address} remote-as ${asn}`,
    `neighbor ${address} password ${PASSWORD}`,
  ];
  const networks = (...texts: readonly string[]) => texts.map((text) => `network ${text}`);
  return [
    `router bgp ${ROUTER_ASN}`,
    'bgp router-id 192.0.9.9',
    'no bgp ebgp-requires-policy',
    'no bgp network import-check',
    'no bgp default ipv4-unicast',
    ...neighbour('192.0.1.1', 64_512),
    ...neighbour('2001:db8:1::1', 65_001),
    'address-family ipv4 unicast',
    'neighbor 192.0.1.1 activate',
    ...networks('203.0.113.0/24', '203.0.113.0/25', '198.18.0.0/15', '10.244.1.0/25'),
    'exit-address-family',
    'address-family ipv6 unicast',
    'neighbor 2001:db8:1::1 activate',
    ...networks('2001:db8:f00:1::/64', '2001:db8:f01::/48', 'fd00:1::/72'),
    'exit-address-family',
    '',
  ].join('\n');
}

interface FrrPath {
  readonly community?: { readonly string: string };
  readonly largeCommunity?: { readonly string: string };
  readonly aspath: { readonly string: string };
}

function pathTo(network: string): FrrPath | undefined {
  const family = network.includes(':') ? 'ipv6' : 'ipv4';
  return frr.show<{ paths?: FrrPath[] }>(`bgp ${family} unicast ${network}`).paths?.[0];
}

const otherRoutes = (netns: LabBird['netns'], family: '-4' | '-6') =>
  netns
    .ip<{ dst: string }[]>(family, 'route', 'show', 'proto', 'bird')
    .map(({ dst }) => dst)
    .toSorted();

test('the router knows the podCIDRs of its rack, with their communities, and none beside it', async () => {
  const [first] = nodes;
  for (const network of first?.podCIDRs ?? []) await until(network, () => pathTo(network));
  expect(pathTo('10.244.1.0/24')).toMatchObject({
    community: { string: '64512:100' },
    largeCommunity: { string: '64512:1:7' },
    aspath: { string: '64512' },
  });
  // To this neighbour the node is of another autonomous system.
  expect(pathTo('fd00:1::/64')).toMatchObject({
    community: { string: '64512:100' },
    aspath: { string: '65001' },
  });
  expect(pathTo('10.244.2.0/24')).toBeUndefined();
  expect(await beside.session('rack')).toBeUndefined();
});

test('packets get from the router to pods of both families', async () => {
  for (const address of lab.nodes[0]?.podAddresses ?? []) {
    await until(`${address} answers`, () => {
      return lab.router.attempt('ping', ['-c1', '-W2', '-n', address]).status === 0;
    });
  }
});

test('of its routes only those that were asked for are taken', async () => {
  for (const family of ['-4', '-6'] as const) {
    await until('they are there', () => otherRoutes(inRack.netns, family).length > 0);
  }
  expect(otherRoutes(inRack.netns, '-4')).toEqual(['203.0.113.0/24']);
  expect(otherRoutes(inRack.netns, '-6')).toEqual(['2001:db8:f01::/48']);
  expect(otherRoutes(beside.netns, '-4')).toEqual([]);
});

describe('with another password', () => {
  test('there is no session, and with the right one again there is', async () => {
    inRack.tell({ facts: { passwords: passwords('another one') } });
    await until('both are gone', async () => (await inRack.established()) === 0);
    await until('the router forgot the pods', () => pathTo('10.244.1.0/24') === undefined);
    inRack.tell({ facts: { passwords: passwords(PASSWORD) } });
    await until('both are back', async () => (await inRack.established()) === 2);
    await until('the router knows the pods', () => pathTo('10.244.1.0/24'));
    for (const family of ['-4', '-6'] as const) {
      await until('so does the node', () => otherRoutes(inRack.netns, family).length > 0);
    }
  });
});

test('a route that the router takes back is gone, others stay', async () => {
  frr.configure([
    `router bgp ${ROUTER_ASN}`,
    'address-family ipv4 unicast',
    'no network 203.0.113.0/24',
  ]);
  await until('it is', () => otherRoutes(inRack.netns, '-4').length === 0);
  expect(otherRoutes(inRack.netns, '-6')).toEqual(['2001:db8:f01::/48']);
});
