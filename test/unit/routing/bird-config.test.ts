import { describe, expect, test } from 'vitest';
import { parseCidr } from '../../../src/net/cidr.ts';
import { parseIP } from '../../../src/net/ip.ts';
import { planBird } from '../../../src/routing/bird-config.ts';
import type { ServiceAddress } from '../../../src/routing/facts.ts';
import { parseNodeSelector } from '../../../src/routing/node-selector.ts';
import type { BgpSettings } from '../../../src/routing/settings.ts';
import { BGP, facts, peer, routedNode } from '../../support/bird-lab.ts';

const n = (i: number, more = {}) =>
  routedNode(
    ...([`n${i}`, [`10.244.${i}.0/24`, `fd00:${i}::/64`]] as const),
    [`192.0.2.${i}`, `2001:db8::${i}`],
    more,
  );
const reflector = { labels: { rr: '' } };
const nodes = [n(1, reflector), n(2), n(3, { asn: 64_600 })];
const linkNetworks = ['192.0.2.0/24', '2001:db8::/64'].map(parseCidr);
const reflectors = parseNodeSelector('rr') ?? BGP.reflectors;
const service = (more: Partial<ServiceAddress>): ServiceAddress => ({
  ...{ ip: parseIP('10.96.0.5'), kind: 'clusterIPs', services: ['shop/web'] },
  ...{ isServed: true, isLocal: false, isServedSomewhere: true, ...more },
});

function plan(settings: Partial<BgpSettings>, more: Partial<Parameters<typeof planBird>[1]> = {}) {
  return planBird({ ...BGP, ...settings }, facts('n1', nodes, { linkNetworks, ...more }));
}

describe('the whole of it', () => {
  const cases = {
    mesh: plan({ topology: 'mesh', communities: [[64_512, 100]] }),
    reflector: plan({ topology: 'reflectors', reflectors, bfd: false }),
    client: planBird(
      { ...BGP, topology: 'reflectors', reflectors },
      facts('n2', nodes, { linkNetworks }),
    ),
    router: plan(
      {
        advertise: new Set(['podCIDRs', 'clusterIPs']),
        peers: [
          peer('rack "a"\n', '192.0.2.254', 64_999, {
            imports: [{ network: parseCidr('10.0.0.0/8'), longest: 24 }],
            communities: [[1, 2, 3]],
            passwordFile: '/secret',
            localASN: 65_000,
          }),
          peer('far', '198.51.100.1', 64_998, { multihop: 3, bfd: true }),
        ],
      },
      {
        services: [service({}), service({ ip: parseIP('10.96.0.6'), isServed: false })],
        passwords: new Map([['rack "a"\n', 'not told']]),
      },
    ),
  };
  test.each(Object.entries(cases))('%s', async (name, { text }) => {
    await expect(text).toMatchFileSnapshot(`../../golden/routing/${name}.conf`);
  });
});

describe('problems', () => {
  test.each([
    ['no Node "n9" yet', planBird(BGP, facts('n9', nodes))],
    [
      'no Node has the labels',
      plan({
        topology: 'reflectors',
        reflectors: { ...reflectors, requirements: [{ key: 'x', kind: 'there', value: '' }] },
      }),
    ],
    ['set its multihop', plan({ peers: [peer('far', '198.51.100.1', 1)] })],
    ['this node has no IPv6', plan({ peers: [peer('six', '2001:db8::9', 1)] }, { families: [4] })],
    [
      '51 nodes in a BGP mesh',
      planBird(
        { ...BGP, topology: 'mesh' },
        facts(
          'n1',
          Array.from({ length: 51 }, (_, i) => n(i + 1)),
        ),
      ),
    ],
  ])('%s', (words, { problems }) => {
    expect(problems.join('\n')).toContain(words);
  });

  test('a neighbour whose password is not there has no session', () => {
    const { sessions } = plan({ peers: [peer('rack', '192.0.2.254', 1, { passwordFile: '/x' })] });
    expect(sessions).toEqual([]);
  });
});

test('a neighbour for other nodes has no session here', () => {
  const nodesOfIt = parseNodeSelector('!rr') ?? BGP.reflectors;
  const { sessions } = plan({ peers: [peer('rack', '192.0.2.254', 1, { nodes: nodesOfIt })] });
  expect(sessions).toEqual([]);
});

test('of a node without IPv4 the router id stays the same, and is a unicast address', () => {
  const six = [routedNode('n1', ['fd00:1::/64'], ['2001:db8::1'])];
  const ids = [1, 2].map(() => /router id (\d+)\./.exec(planBird(BGP, facts('n1', six)).text)?.[1]);
  expect(ids[0]).toBe(ids[1]);
  expect(Number(ids[0])).toBeGreaterThan(0);
  expect(Number(ids[0])).toBeLessThan(127);
});

test('which networks are told, and why one is not', () => {
  const services = [
    service({}),
    service({ ip: parseIP('203.0.113.1'), kind: 'externalIPs', isServed: false, isLocal: true }),
    service({ ip: parseIP('203.0.113.2'), kind: 'loadBalancerIPs', isServed: false }),
  ];
  const advertise = new Set(['externalIPs', 'loadBalancerIPs'] as const);
  expect(plan({ advertise }, { services }).routes).toEqual([
    {
      network: '10.244.1.0/24',
      what: 'pods of this node',
      whyNot: 'podCIDRs are not in routing.advertise',
    },
    {
      network: 'fd00:1::/64',
      what: 'pods of this node',
      whyNot: 'podCIDRs are not in routing.advertise',
    },
    {
      network: '10.96.0.5/32',
      what: 'shop/web',
      whyNot: 'clusterIPs are not in routing.advertise',
    },
    {
      ...{ network: '203.0.113.1/32', what: 'shop/web' },
      whyNot: 'no endpoint is ready on this node, and its traffic policy is Local',
    },
    { network: '203.0.113.2/32', what: 'shop/web', whyNot: 'no endpoint is ready' },
  ]);
});
