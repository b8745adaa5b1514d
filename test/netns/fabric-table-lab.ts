/**
 * Two nodes with a tunnel made by hand, a pod on each, and a host outside that is the switch too. The
 * outside knows a way to the pods of n1, so that every address is answered and the server tells which
 * it has seen.
 */
import { FabricTable } from '../../src/fabric/table/fabric-table.ts';
import type { FabricTableFacts } from '../../src/fabric/table/facts.ts';
import { netnses } from '../../src/kernel/netns.ts';
import { openNodeEvents } from '../../src/kernel/node-events.ts';
import { parseCidr } from '../../src/net/cidr.ts';
import { parseIP } from '../../src/net/ip.ts';
import { NftablesConnection } from '../../src/nftables/connection.ts';
import { systemClock } from '../../src/util/clock.ts';
import { createLogger } from '../../src/util/log.ts';
import { connect, createNetns, type TestNetns } from '../support/netns.ts';
import { type RunningProgram, startServer } from '../support/workloads.ts';

export const PORT = 8080;
export const TUNNEL_PORT = 8472;
export const NODES = ['192.0.2.1', '192.0.2.2'] as const;
export const OUTSIDE = '192.0.2.254';
export const OUTSIDE6 = '2001:db8::fe';

export const FACTS: FabricTableFacts = {
  tunnel: {
    port: TUNNEL_PORT,
    peers: ['192.0.2.2', '2001:db8::2'].map(parseIP),
    own: ['192.0.2.1', '2001:db8::1'].map(parseIP),
  },
  podCIDRs: ['10.244.1.0/24', 'fd00:244:1::/64'].map(parseCidr),
  podLinks: ['cni0'],
  masquerade: { direct: ['10.244.0.0/16', 'fd00:244::/32'].map(parseCidr), families: [4, 6] },
};

export interface OpenedTable {
  readonly table: FabricTable;
  readonly repairs: (readonly string[])[];
  /** Number of transactions in the namespace so far. */
  generation(): number;
  close(): Promise<void>;
}

/** A FabricTable of a namespace, as an agent has it. */
export function openTable(at: TestNetns): OpenedTable {
  const netns = netnses.open(at.path);
  const events = openNodeEvents(netns);
  const repairs: (readonly string[])[] = [];
  const table = new FabricTable({
    connection: NftablesConnection.open({ netns }),
    events,
    clock: systemClock,
    log: createLogger('silent'),
    onRepair: (by) => void repairs.push(by),
  });
  const reader = NftablesConnection.open({ netns });
  const close = async () => {
    await table.close();
    reader.close();
    events.close();
    netns.close();
  };
  return { table, repairs, generation: () => reader.generation(), close };
}

export interface FabricTableLab {
  readonly n1: TestNetns;
  readonly n2: TestNetns;
  readonly p1: TestNetns;
  readonly p2: TestNetns;
  readonly outside: TestNetns;
  remove(): Promise<void>;
}

const macOf = (node: number) => `02:fb:00:00:00:0${node}`;

export async function createFabricTableLab(): Promise<FabricTableLab> {
  const made = (['n1', 'n2', 'p1', 'p2', 'out'] as const).map((name) => createNetns(`ft-${name}`));
  const servers: RunningProgram[] = [];
  const remove = async () => {
    await Promise.all(servers.map((server) => server.end('SIGKILL')));
    for (const netns of made) netns.remove();
  };
  try {
    // As many as there are names.
    const [n1, n2, p1, p2, outside] = made as [
      TestNetns,
      TestNetns,
      TestNetns,
      TestNetns,
      TestNetns,
    ];
    layOut({ n1, n2, p1, p2, outside });
    servers.push(...(await Promise.all(made.map(({ path }) => startServer(path, 'server', PORT)))));
    return { n1, n2, p1, p2, outside, remove };
  } catch (thrown) {
    await remove();
    throw thrown;
  }
}

function layOut({ n1, n2, p1, p2, outside }: Omit<FabricTableLab, 'remove'>): void {
  outside.batch(['link add br0 type bridge', 'link set br0 up']);
  connectNode(outside, n1, p1, 1);
  connectNode(outside, n2, p2, 2);
  outside.batch([
    `addr add ${OUTSIDE}/24 dev br0`,
    `addr add ${OUTSIDE6}/64 dev br0 nodad`,
    'route add 10.244.1.0/24 via 192.0.2.1',
    'route add fd00:244:1::/64 via 2001:db8::1',
    'route add 2001:db8:1::/64 via 2001:db8::1',
  ]);
  addTunnel(n1, 1, 2);
  addTunnel(n2, 2, 1);
}

function connectNode(outside: TestNetns, node: TestNetns, pod: TestNetns, number: number): void {
  connect(
    { netns: node, link: 'eth0', addresses: [`192.0.2.${number}/24`, `2001:db8::${number}/64`] },
    { netns: outside, link: `n${number}` },
  );
  outside.batch([`link set n${number} master br0`]);
  const own = [`10.244.${number}`, `fd00:244:${number}::`, `2001:db8:${number}::`] as const;
  connect(
    { netns: node, link: 'cni0', addresses: [`${own[0]}.1/24`, `${own[1]}1/64`, `${own[2]}1/64`] },
    {
      netns: pod,
      link: 'eth0',
      addresses: [`${own[0]}.10/24`, `${own[1]}10/64`, `${own[2]}10/64`],
    },
  );
  pod.batch([
    `route add default via ${own[0]}.1`,
    `route add default via ${own[1]}1 src ${own[1]}10`,
    `route add 2001:db8::/64 via ${own[2]}1 src ${own[1]}10`,
  ]);
  node.run('sysctl', '-qw', 'net.ipv4.ip_forward=1', 'net.ipv6.conf.all.forwarding=1');
}

function addTunnel(node: TestNetns, own: number, peer: number): void {
  node.batch([
    `link add vx address ${macOf(own)} type vxlan id 1 local 192.0.2.${own} dstport ${TUNNEL_PORT} nolearning`,
    'link set vx mtu 1450 up',
    `neigh replace 169.254.9.${peer} lladdr ${macOf(peer)} dev vx nud permanent`,
    `neigh replace fe80::${peer} lladdr ${macOf(peer)} dev vx nud permanent`,
    `route add 10.244.${peer}.0/24 via 169.254.9.${peer} dev vx onlink`,
    `route add fd00:244:${peer}::/64 via fe80::${peer} dev vx onlink`,
  ]);
  const entry = [macOf(peer), 'dev', 'vx', 'dst', `192.0.2.${peer}`, 'self', 'permanent'];
  node.run('bridge', 'fdb', 'append', ...entry);
}
