/** Nodes that tell each other and their router of pods and Services, with BIRD as it is in Debian. */
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parseCidr } from '../../src/net/cidr.ts';
import { parseIP } from '../../src/net/ip.ts';
import type { ServiceAddress } from '../../src/routing/facts.ts';
import { BGP, facts, LabBird, peer, routedNode, startRouter } from '../support/bird-lab.ts';
import { createFabricLab, type FabricLab, type LabNode } from '../support/fabric-lab.ts';
import { until } from '../support/until.ts';

const GOLDEN = new URL('../golden/routing/', import.meta.url).pathname;

test.each(readdirSync(GOLDEN))('BIRD takes %s', (name) => {
  expect(spawnSync('bird', ['-p', '-c', join(GOLDEN, name)]).stderr.toString()).toBe('');
});

const LINKS = [1, 1, 2];
const nodes = LINKS.map((link, i) =>
  routedNode(...([`n${i + 1}`, [`10.244.${i + 1}.0/24`, `fd00:${i + 1}::/64`]] as const), [
    `192.0.${link}.${i + 1}`,
    `2001:db8:${link}::${i + 1}`,
  ]),
);
const service = (more: Partial<ServiceAddress> = {}): ServiceAddress => ({
  ...{ ip: parseIP('198.51.100.7'), kind: 'loadBalancerIPs', services: ['shop/web'] },
  ...{ isServed: true, isLocal: false, isServedSomewhere: true, ...more },
});

let lab: FabricLab;
let router: ReturnType<typeof startRouter>;
let birds: readonly LabBird[];

beforeAll(async () => {
  lab = createFabricLab(LINKS);
  router = startRouter(lab.router, routerConfig());
  birds = lab.nodes.map((node, i) => {
    // Pods' bridges do that on a node.
    node.netns.run('sysctl', '-qw', 'net.ipv4.ip_forward=1', 'net.ipv6.conf.all.forwarding=1');
    const link = LINKS[i] ?? 1;
    const linkNetworks = [`192.0.${link}.0/24`, `2001:db8:${link}::/64`].map(parseCidr);
    const settings = {
      ...BGP,
      topology: 'mesh' as const,
      peers: [
        peer('rack', `192.0.${link}.254`, 64_999, { communities: [[64_512, 7]] }),
        peer('rack6', `2001:db8:${link}::fe`, 64_999),
      ],
    };
    return new LabBird(node.netns, settings, facts(node.name, nodes, { linkNetworks }));
  });
  await Promise.all(birds.map((bird) => bird.start()));
  for (const bird of birds)
    await until('all sessions', async () => (await bird.established()) === 6);
}, 60_000);

afterAll(async () => {
  await Promise.all((birds ?? []).map((bird) => bird.remove()));
  router?.remove();
  lab?.remove();
});

/** Takes whatever comes, and says so in its table. */
function routerConfig(): string {
  const sessions = LINKS.map(
    (link, i) => `protocol bgp n${i + 1} {
  local 192.0.${link}.254 as 64999; neighbor 192.0.${link}.${i + 1} as 64512; direct;
  connect delay time 1; connect retry time 2; error wait time 1, 4;
  ipv4 { import all; export where net = 203.0.113.0/24; };
}
protocol bgp n${i + 1}6 {
  local 2001:db8:${link}::fe as 64999; neighbor 2001:db8:${link}::${i + 1} as 64512; direct;
  connect delay time 1; connect retry time 2; error wait time 1, 4;
  ipv6 { import all; export none; };
}`,
  );
  return `router id 192.0.9.9;
protocol device {}
protocol kernel { merge paths on; ipv4 { export where source = RTS_BGP; }; }
protocol kernel { ipv6 { export where source = RTS_BGP; }; }
protocol static { ipv4; route 203.0.113.0/24 blackhole; route 10.244.2.0/25 blackhole; }
${sessions.join('\n')}
`;
}

const [FIRST, SECOND, THIRD] = [0, 1, 2];
const bird = (n: number) => birds[n] as LabBird;
const node = (n: number) => lab.nodes[n] as LabNode;

async function routesOfRouter(network: string): Promise<string> {
  const lines = await router.ask(`show route all for ${network}`);
  return lines.map(({ text }) => text).join('\n');
}

test('pods reach each other over both families, by the link and through a router', () => {
  const pairs = [
    [FIRST, SECOND],
    [FIRST, THIRD],
    [THIRD, SECOND],
  ] as const;
  for (const [from, to] of pairs) {
    for (const address of node(to).podAddresses) {
      const { status } = node(from).pod.attempt('ping', ['-c1', '-W3', '-n', address]);
      expect(status, `n${from + 1} to ${address}`).toBe(0);
    }
  }
});

test('the router knows every podCIDR, with its community', async () => {
  expect(await routesOfRouter('10.244.3.0/24')).toMatch(/unicast \[n3 [\s\S]*\(64512,7\)/);
});

test('nothing is taken from a neighbour that was not asked for', () => {
  expect(bird(FIRST).gateways('203.0.113.0/24')).toEqual([]);
  bird(FIRST).tell({
    settings: {
      peers: [
        ...bird(FIRST).settings.peers.slice(1),
        peer('rack', '192.0.1.254', 64_999, {
          imports: [{ network: parseCidr('203.0.0.0/16'), longest: 24 }],
          communities: [[64_512, 7]],
        }),
      ],
    },
  });
  return until('it is', () => bird(FIRST).gateways('203.0.113.0/24').length === 1);
});

describe('an address of Services', () => {
  const advertise = new Set(['podCIDRs', 'loadBalancerIPs'] as const);

  test('is told by every node that serves it, and taken back', async () => {
    for (const each of birds)
      each.tell({ settings: { advertise }, facts: { services: [service()] } });
    const tellers = async () => {
      const routes = await routesOfRouter('198.51.100.7/32');
      return [...routes.matchAll(/\[(n\d) /g)].map(([, name]) => name).toSorted();
    };
    await until('all nodes tell', async () => (await tellers()).length === 3);
    bird(SECOND).tell({ facts: { services: [service({ isServed: false, isLocal: true })] } });
    await until('one does no more', async () => (await tellers()).length < 3);
    expect(await tellers()).toEqual(['n1', 'n3']);
    // None of them believes another: each serves it itself.
    expect(bird(FIRST).gateways('198.51.100.7/32')).toEqual([]);
  });

  test('no session is lost by that', async () => {
    for (const each of birds) expect(await each.established()).toBe(6);
  });
});

test('a node that goes is seen in about a second, and is back in two', async () => {
  const away = '10.244.3.0/24';
  await until('there', () => bird(FIRST).gateways(away).length === 1);
  const start = performance.now();
  node(THIRD).netns.run('ip', 'link', 'set', 'eth0', 'down');
  await until('gone', () => bird(FIRST).gateways(away).length === 0);
  const lostMs = performance.now() - start;
  node(THIRD).netns.batch([
    'link set eth0 up',
    'addr replace 2001:db8:2::3/64 dev eth0 nodad',
    'route replace default via 192.0.2.254',
    'route replace default via 2001:db8:2::fe',
  ]);
  const up = performance.now();
  await until('back', () => bird(FIRST).gateways(away).length === 1);
  const backMs = performance.now() - up;
  // On a quiet machine 1 and 2 s; the limit is what tells BFD from the hold time of 90 s.
  expect(lostMs).toBeLessThan(5_000);
  expect(backMs).toBeLessThan(12_000);
});

test('a restarted agent changes nothing', async () => {
  const before = bird(SECOND).speaker.report.reloads;
  bird(SECOND).speaker.trigger();
  await until('it looked', async () => (await bird(SECOND).established()) === 6);
  expect(bird(SECOND).speaker.report.reloads).toBe(before);
});

test('a configuration that BIRD refuses is not taken, and the problem is told', async () => {
  const bad = peer('bad', '192.0.1.99', 64_512, { localASN: 0 });
  const { peers } = bird(SECOND).settings;
  bird(SECOND).tell({ settings: { peers: [...peers, bad] } });
  await until('told', () => bird(SECOND).speaker.report.problem.includes('would refuse'));
  expect(await bird(SECOND).established()).toBe(6);
  bird(SECOND).tell({ settings: { peers } });
  await until('well', () => bird(SECOND).speaker.report.problem === '');
});
