/**
 * What a packet costs in a node that enforces policies, against nodes without rules, with connection
 * tracking alone, and, through a clusterIP, with our proxy alone.
 */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { openConntrack } from '../../src/kernel/conntrack.ts';
import { netnses } from '../../src/kernel/netns.ts';
import { createNetns, type TestNetns } from '../support/netns.ts';
import { createEnforcer } from '../support/policy-enforcer.ts';
import { createProxy } from '../support/proxy-lab.ts';
import { service, slice } from '../support/proxy-objects.ts';
import { type RunningProgram, startIn } from '../support/workloads.ts';
import { inTurn, measureInTurns, medianRatio } from './flow-rounds.ts';
import { BENCH_NODE, type BenchSize, benchChanges, localIPs } from './policy-world.ts';
import { median } from './statistics.ts';

export interface PolicyData {
  /** CPU time of one packet, by lane, ns. */
  readonly firstPacketNs: Readonly<Record<string, number>>;
  readonly establishedNs: Readonly<Record<string, number>>;
  /** Medians of ratios, slice by slice. */
  readonly firstOfConntrack: number;
  readonly establishedOfConntrack: number;
  /** How far two equal lanes are apart. */
  readonly firstOfEqual: number;
  readonly establishedOfEqual: number;
  readonly connectionsPerSecond: Readonly<Record<string, number>>;
  /** Connections for the same CPU time, against a node without policies. */
  readonly connectionsOfNone: number;
  readonly connectionsOfEqual: number;
}

interface Lane {
  readonly name: string;
  readonly client: TestNetns;
  readonly node: TestNetns;
  readonly server: TestNetns;
  readonly close: () => Promise<void>;
}

const BARE = 'no rules';
const TRACKED = 'conntrack alone';
const TRACKED_AGAIN = 'conntrack alone, again';
const POLICY = 'policies';
const NO_POLICY = 'no policies';
const NO_POLICY_AGAIN = 'no policies, again';
/** Two pods of one app. */
const CLIENT = 0;
const SERVER = 100;
const CLUSTER_IP = '10.96.0.10';
const SERVICE_PORT = 80;
const SERVER_PORT = 8080;
/** Short and many, as in flow-rounds. */
const PACKETS = 5_000;
const SLICES_PER_ROUND = 32;
const CLIENT_SYSCTLS = ['net.ipv4.ip_local_port_range=1024 65535'];
const SERVER_SYSCTLS = ['net.core.somaxconn=65535', 'net.ipv4.tcp_max_syn_backlog=65535'];
const execute = promisify(execFile);

export interface PolicyDataOptions {
  readonly flows: string;
  readonly packets: string;
  readonly rounds: number;
  readonly size: BenchSize;
}

export async function measurePolicyData(options: PolicyDataOptions): Promise<PolicyData> {
  const { firstPacketNs, establishedNs } = await measurePackets(options);
  const connects = await measureConnections(options);
  const cpu = (name: string) => connects.get(name)?.map(({ cpuUs }) => cpuUs);
  const rates = [...connects].map(
    ([name, rounds]) => [name, rounds.map(({ rate }) => rate)] as const,
  );
  return {
    firstPacketNs: medians(firstPacketNs),
    establishedNs: medians(establishedNs),
    firstOfConntrack: medianRatio(firstPacketNs.get(POLICY), firstPacketNs.get(TRACKED)),
    establishedOfConntrack: medianRatio(establishedNs.get(POLICY), establishedNs.get(TRACKED)),
    firstOfEqual: medianRatio(firstPacketNs.get(TRACKED_AGAIN), firstPacketNs.get(TRACKED)),
    establishedOfEqual: medianRatio(establishedNs.get(TRACKED_AGAIN), establishedNs.get(TRACKED)),
    connectionsPerSecond: medians(new Map(rates)),
    connectionsOfNone: medianRatio(cpu(NO_POLICY), cpu(POLICY)),
    connectionsOfEqual: medianRatio(cpu(NO_POLICY), cpu(NO_POLICY_AGAIN)),
  };
}

function medians(samples: ReadonlyMap<string, readonly number[]>) {
  return Object.fromEntries([...samples].map(([name, values]) => [name, median(values)]));
}

async function measurePackets({ packets, rounds, size }: PolicyDataOptions) {
  const lanes: Lane[] = [];
  const programs: RunningProgram[] = [];
  try {
    for (const name of [BARE, TRACKED, TRACKED_AGAIN, POLICY])
      lanes.push(await openLane(name, size));
    for (const { server } of lanes) {
      swallow(server);
      programs.push(await startIn(server.path, ['taskset', '-c', '1', packets, 'serve'], 'ready'));
    }
    const firstPacketNs = new Map<string, number[]>(lanes.map(({ name }) => [name, []]));
    const establishedNs = new Map<string, number[]>(lanes.map(({ name }) => [name, []]));
    for (let slice = 0; slice < rounds * SLICES_PER_ROUND; slice += 1) {
      for (const lane of inTurn(lanes, slice)) {
        firstPacketNs.get(lane.name)?.push(await packetNs(packets, lane, 'new'));
        forgetFlows(lane.node);
        establishedNs.get(lane.name)?.push(await packetNs(packets, lane, 'same'));
      }
    }
    return { firstPacketNs, establishedNs };
  } finally {
    for (const program of programs) await program.end('SIGKILL');
    for (const lane of lanes) await lane.close();
  }
}

async function packetNs(program: string, lane: Lane, kind: 'new' | 'same'): Promise<number> {
  const words = [program, localIPs(SERVER)[0], String(PACKETS), kind];
  const { stdout } = await execute(
    'nsenter',
    [`--net=${lane.client.path}`, 'taskset', '-c', '0', ...words],
    { timeout: 60_000 },
  );
  return Number(stdout);
}

/** Slices of connections, by lane. */
async function measureConnections({ flows, rounds, size }: PolicyDataOptions) {
  const lanes: Lane[] = [];
  const programs: RunningProgram[] = [];
  try {
    for (const name of [NO_POLICY, NO_POLICY_AGAIN, POLICY]) {
      const lane = await openLane(name, size, true);
      lanes.push(lane);
      lane.client.run('sysctl', '-qw', ...CLIENT_SYSCTLS);
      lane.server.run('sysctl', '-qw', ...SERVER_SYSCTLS);
      const serve = ['taskset', '-c', '1', flows, 'serve', String(SERVER_PORT), '0.0.0.0'];
      programs.push(await startIn(lane.server.path, serve, 'ready'));
    }
    const measured = await measureInTurns(
      flows,
      lanes.map(({ name, client }) => ({ name, client, host: CLUSTER_IP, port: SERVICE_PORT })),
      { connects: rounds, streams: 0 },
    );
    return new Map([...measured].map(([name, { connects }]) => [name, connects]));
  } finally {
    for (const program of programs) await program.end('SIGKILL');
    for (const lane of lanes) await lane.close();
  }
}

/** A node between two of its pods, with what its name says. */
async function openLane(name: string, size: BenchSize, hasService = false): Promise<Lane> {
  const [client, node, server] = ['client', 'node', 'server'].map((label) => createNetns(label));
  if (client === undefined || node === undefined || server === undefined) throw new Error('three');
  const closers: (() => Promise<void> | void)[] = [];
  const close = async () => {
    for (const each of closers.reverse()) await each();
    for (const netns of [client, node, server]) netns.remove();
  };
  try {
    node.run('sysctl', '-qw', 'net.ipv4.ip_forward=1');
    attach(node, client, 'client', CLIENT);
    attach(node, server, 'server', SERVER);
    if (name === TRACKED || name === TRACKED_AGAIN) track(node);
    if (hasService) closers.push(await addService(node));
    if (name === POLICY) closers.push(enforce(node, size));
  } catch (thrown) {
    await close();
    throw thrown;
  }
  return { name, client, node, server, close };
}

function attach(node: TestNetns, pod: TestNetns, link: string, number: number): void {
  const [ip] = localIPs(number);
  const mac = (side: number) => `02:bb:00:00:0${side}:0${link.length}`;
  node.batch([
    `link add ${link} up address ${mac(1)} type veth peer name eth0 address ${mac(2)} netns ${pod.name}`,
    `neigh add ${ip} lladdr ${mac(2)} dev ${link} nud permanent`,
    `route add ${ip} dev ${link}`,
  ]);
  pod.batch([
    'link set eth0 up',
    `addr add ${ip}/32 dev eth0`,
    `neigh add 169.254.1.1 lladdr ${mac(1)} dev eth0 nud permanent`,
    'route add default via 169.254.1.1 dev eth0 onlink',
  ]);
}

/** What every node with policies or Services has anyway. */
function track(node: TestNetns): void {
  node.run('nft', 'add table inet t; add chain inet t c { type filter hook forward priority 0; }');
  node.run('nft', 'add rule inet t c ct state established,related accept');
}

/** Datagrams end here before anybody answers them, but for the flow of the server. */
function swallow(server: TestNetns): void {
  server.run(
    'nft',
    'add table ip t; add chain ip t c { type filter hook prerouting priority -500; }',
  );
  server.run('nft', 'add rule ip t c udp dport != 1024 drop');
}

function enforce(node: TestNetns, size: BenchSize): () => Promise<void> {
  const enforcer = createEnforcer({ nodeName: BENCH_NODE }, netnses.open(node.path));
  for (const change of benchChanges(size)) enforcer.apply(change);
  enforcer.setSynced();
  enforcer.commit();
  return () => enforcer.close();
}

async function addService(node: TestNetns): Promise<() => Promise<void>> {
  const netns = netnses.open(node.path);
  const proxy = createProxy(netns, { families: [4] });
  const ports = [{ name: 'http', protocol: 'TCP' as const, port: SERVER_PORT }];
  proxy.apply({ kind: 'service', now: service('bench', CLUSTER_IP) });
  proxy.apply({
    kind: 'slice',
    now: slice({ service: 'bench', endpoints: [localIPs(SERVER)[0]], ports }),
  });
  proxy.setSynced();
  await proxy.sync();
  return async () => {
    await proxy.stop();
    netns.close();
  };
}

function forgetFlows(node: TestNetns): void {
  const netns = netnses.open(node.path);
  const conntrack = openConntrack(netns);
  try {
    conntrack.deleteFlows({ family: 4 });
  } finally {
    conntrack.close();
    netns.close();
  }
}
