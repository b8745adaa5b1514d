/** BIRD of a node ends and starts again, and what its router makes of that. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, expect, test } from 'vitest';
import { parseCidr } from '../../src/net/cidr.ts';
import { BGP, facts, LabBird, peer, routedNode, startRouter } from '../support/bird-lab.ts';
import { createFabricLab, type FabricLab } from '../support/fabric-lab.ts';
import type { TestNetns } from '../support/netns.ts';
import { until } from '../support/until.ts';
import { type RunningProgram, startIn } from '../support/workloads.ts';

const ROUTER_ASN = 64_999;
const IMPORTED = { network: parseCidr('203.0.113.0/24'), longest: 24 };
const NETWORKS = ['10.244.1.0/24', 'fd00:1::/64'] as const;

let lab: FabricLab;
let router: ReturnType<typeof startRouter>;
let bird: LabBird;

afterEach(async () => {
  await bird?.remove();
  router?.remove();
  lab?.remove();
});

async function start(bfd: boolean): Promise<void> {
  lab = createFabricLab([1]);
  router = startRouter(lab.router, routerConfig(bfd));
  const [node] = lab.nodes;
  if (node === undefined) throw new Error('no node');
  const addresses = ['192.0.1.1', '2001:db8:1::1'];
  const linkNetworks = ['192.0.1.0/24', '2001:db8:1::/64'].map(parseCidr);
  const peers = ['192.0.1.254', '2001:db8:1::fe'].map((address, i) =>
    peer(`rack${i}`, address, ROUTER_ASN, { bfd, imports: [IMPORTED] }),
  );
  const known = facts('n1', [routedNode('n1', NETWORKS, addresses)], { linkNetworks });
  bird = new LabBird(node.netns, { ...BGP, peers }, known);
  await bird.start();
  for (const network of NETWORKS) await until(network, () => isInKernel(network));
}

function routerConfig(bfd: boolean): string {
  const detection = bfd ? 'bfd on; graceful restart off;' : 'hold time 9; graceful restart on;';
  const session = (own: string, neighbour: string, family: string) => `protocol bgp {
  local ${own} as ${ROUTER_ASN}; neighbor ${neighbour} as 64512; direct; ${detection}
  connect delay time 1; connect retry time 2; error wait time 1, 4;
  ${family} { import all; export where source = RTS_STATIC; };
}
protocol kernel { ${family} { export where source = RTS_BGP; }; }`;
  return `router id 192.0.9.9;
protocol device { scan time 2; }
protocol static { ipv4; route 203.0.113.0/24 blackhole; }
${bfd ? 'protocol bfd { interface "*" { interval 250 ms; multiplier 3; }; }' : ''}
${session('192.0.1.254', '192.0.1.1', 'ipv4')}
${session('2001:db8:1::fe', '2001:db8:1::1', 'ipv6')}
`;
}

function isInKernel(network: string): boolean {
  const family = network.includes(':') ? '-6' : '-4';
  return lab.router.run('ip', family, 'route', 'show', network).includes('proto bird');
}

const watch = ({ path }: TestNetns) => startIn(path, ['ip', 'monitor', 'route'], undefined);
const takenBack = (monitor: RunningProgram) =>
  monitor
    .output()
    .match(/(?<=^Deleted )\S+/gm)
    ?.toSorted() ?? [];

test('without BFD: routes of IPv4 stay there and here; IPv6 comes up again', async () => {
  await start(false);
  await until('the node knows it', () => bird.gateways(IMPORTED.network).length === 1);
  const [routerSees, nodeSees] = [await watch(lab.router), await watch(bird.netns)];
  await bird.kill();
  await sleep(1_000);
  await bird.startBird();
  await until('both sessions', async () => (await bird.established()) === 2);
  for (const network of NETWORKS) await until(network, () => isInKernel(network));
  await sleep(1_000);
  await Promise.all([routerSees.end(), nodeSees.end()]);
  expect(takenBack(routerSees)).toEqual(['fd00:1::/64']);
  expect(takenBack(nodeSees)).toEqual([]);
});

test('with BFD: its end is seen in about a second, whatever restarts', async () => {
  await start(true);
  const startedAt = performance.now();
  await bird.kill();
  for (const network of NETWORKS) await until(network, () => !isInKernel(network));
  const seenMs = performance.now() - startedAt;
  await bird.startBird();
  for (const network of NETWORKS) await until(network, () => isInKernel(network));
  expect(seenMs).toBeLessThan(5_000);
});
