/** All nodes of a cluster of fifty at once, both families, against programs that do the same. */
import { execFileSync } from 'node:child_process';
import { TUNNEL_NAME, tunnelMac } from '../../src/fabric/names.ts';
import { netnses } from '../../src/kernel/netns.ts';
import { openNodeEvents } from '../../src/kernel/node-events.ts';
import { createNetns, type TestNetns } from '../support/netns.ts';
import { UPLINK } from './fabric-cold.ts';
import { benchNodes } from './fabric-nodes.ts';
import { startFabric } from './fabric-running.ts';
import { median } from './statistics.ts';

export interface FiftyRow {
  readonly nodes: number;
  readonly weftMs: number;
  readonly byHandMs: number;
}

const NODES = 50;

/** Each node in a namespace, all fabrics in this process, without traffic. */
export async function measureFifty(rounds: number): Promise<FiftyRow> {
  const runs: { weftMs: number; byHandMs: number }[] = [];
  for (let round = 0; round < rounds; round++) {
    console.error(`${NODES} nodes: round ${round + 1} of ${rounds}`);
    const weftMs = await withNodes(startAll);
    const byHandMs = await withNodes(async (nodes) => programAll(nodes));
    runs.push({ weftMs, byHandMs });
  }
  return {
    nodes: NODES,
    weftMs: median(runs.map(({ weftMs }) => weftMs)),
    byHandMs: median(runs.map(({ byHandMs }) => byHandMs)),
  };
}

async function withNodes(measure: (nodes: readonly TestNetns[]) => Promise<number>) {
  const nodes: TestNetns[] = [];
  try {
    for (let n = 0; n < NODES; n++) {
      const node = createNetns('fifty');
      nodes.push(node);
      node.batch([...UPLINK.link, ...addressesOf(n)]);
    }
    return await measure(nodes);
  } finally {
    for (const node of nodes) node.remove();
  }
}

/** Number 0 has those of UPLINK; the others are behind routers for it, as it is for them. */
function addressesOf(n: number): readonly string[] {
  if (n === 0) return UPLINK.addresses;
  const addresses = nodeOf(n).addresses.map((address) => {
    return `addr add ${address}/${address.includes(':') ? '64 dev eth0 nodad' : '24 dev eth0'}`;
  });
  return [...addresses, 'route add default dev eth0', 'route add ::/0 dev eth0'];
}

const ALL = [...benchNodes(NODES - 1)];

function nodeOf(n: number) {
  const { metadata, spec, status } = ALL[n] ?? {};
  return {
    name: metadata?.name ?? '',
    podCIDRs: spec?.podCIDRs ?? [],
    addresses: status?.addresses?.map(({ address }) => address) ?? [],
  };
}

async function startAll(nodes: readonly TestNetns[]): Promise<number> {
  const opened = nodes.map(({ path }) => {
    const netns = netnses.open(path);
    return { netns, events: openNodeEvents(netns) };
  });
  const startedAt = performance.now();
  const fabrics = opened.map((each, n) =>
    startFabric({ ...each, nodeName: nodeOf(n).name, backend: 'vxlan' }),
  );
  const settled = fabrics.map((fabric) => {
    for (const node of ALL) fabric.put(node);
    fabric.synced();
    return fabric.settled(({ isReady }) => isReady);
  });
  await Promise.all(settled);
  const elapsedMs = performance.now() - startedAt;
  for (const fabric of fabrics) await fabric.stop();
  for (const { events, netns } of opened) {
    events.close();
    netns.close();
  }
  return elapsedMs;
}

/** One `ip` and one `bridge` for each node. */
function programAll(nodes: readonly TestNetns[]): number {
  const device = `dev ${TUNNEL_NAME}`;
  const startedAt = performance.now();
  for (const [n, node] of nodes.entries()) {
    const [local = ''] = nodeOf(n).addresses;
    const peers = ALL.flatMap((_, i) => (i === n ? [] : [{ ...nodeOf(i), i }]));
    const gatewayOf = (i: number) => `fe80::${(i + 1).toString(16)}`;
    node.batch([
      `link add ${TUNNEL_NAME} mtu 1450 type vxlan id 1 local ${local} dstport 8472 nolearning`,
      `link set ${TUNNEL_NAME} up`,
      ...peers.flatMap(({ name, podCIDRs: [v4, v6], i }) => [
        `neigh replace ${gatewayOf(i)} lladdr ${tunnelMac(name)} ${device}`,
        `route replace ${v4} via inet6 ${gatewayOf(i)} ${device}`,
        `route replace ${v6} via ${gatewayOf(i)} ${device}`,
      ]),
    ]);
    const entries = peers.map(
      ({ name, addresses }) => `fdb replace ${tunnelMac(name)} ${device} dst ${addresses[0]}`,
    );
    execFileSync('bridge', ['-n', node.name, '-batch', '-'], { input: entries.join('\n') });
  }
  return performance.now() - startedAt;
}
