/**
 * One lane per contender of the data path: a client and a server namespace with a node between them
 * that routes, so that lanes differ in nothing but the node's rules.
 */
import { mkdtempSync, writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { netnses } from '../../src/kernel/netns.ts';
import { connect, createNetns, type TestNetns } from '../support/netns.ts';
import { createProxy } from '../support/proxy-lab.ts';
import { type RunningProgram, startIn } from '../support/workloads.ts';
import { clusterIPOf, SERVICE_PORT, serviceObjects, withEndpoints } from './cluster-objects.ts';
import { benchNode, fullSync } from './kube-proxy-layout.ts';
import { startAgent } from './proxy-agent.ts';
import { stillFeed } from './proxy-feeds.ts';
import type { Mode } from './proxy-modes.ts';

/** What is on the node, and where the client connects to. */
export interface Lane {
  readonly name: string;
  /** Puts the rules in place; gives what ends what has to run meanwhile. */
  readonly program: (node: TestNetns, directory: string) => Programmed | Promise<Programmed>;
  readonly host: string;
  readonly port: number;
}

type Programmed = (() => Promise<unknown>) | undefined;

export interface OpenLane extends Lane {
  readonly client: TestNetns;
  remove(): Promise<void>;
}

const SERVER_PORT = 8080;
/** Not the client's, which is the first, where there is another. */
const SERVER_CPU = String(Math.min(1, cpus().length - 1));
/** Of the Service that clients use; all of them are the server's. */
const ENDPOINTS = [1, 2, 3, 4, 5].map((i) => `10.254.2.${i + 10}`);
const DIRECT = ENDPOINTS[0] ?? '';

/** One in the middle: where rules are looked through one by one, the first is found at once. */
const measured = (services: number) => Math.floor(services / 2);
const viaClusterIPOf = (services: number) => ({
  host: clusterIPOf(measured(services)),
  port: SERVICE_PORT,
});
const viaClusterIP = viaClusterIPOf(1);

export const directLane: Lane = {
  name: 'pod to pod',
  program: () => undefined,
  host: DIRECT,
  port: SERVER_PORT,
};

/** The kernel's own cost of address translation; by iptables where nft has no IPv4. */
export function staticRuleLane(name: string, by: 'nft' | 'iptables-legacy' = 'nft'): Lane {
  const program = by === 'nft' ? programStaticRule : programLegacyRule;
  return { name, program, ...viaClusterIP };
}

export function weftLane(services: number): Lane {
  const name = `weft, ${services.toLocaleString('en')}`;
  return { name, program: (node) => programWeft(node, services), ...viaClusterIPOf(services) };
}

export function layoutLane(services: number): Lane {
  const name = `kube-proxy layout, ${services.toLocaleString('en')}`;
  const program: Lane['program'] = (node, directory) => programLayout(node, directory, services);
  return { name, program, ...viaClusterIPOf(services) };
}

/** The installed agent in one of its modes; it does not run meanwhile where it need not. */
export function modeLane(mode: Mode, services: number): Lane {
  const name = `${mode.name}, ${services.toLocaleString('en')}`;
  const program: Lane['program'] = async (node, directory) => {
    const home = mkdtempSync(join(directory, 'lane-'));
    const agent = await startAgent(node, home, stillFeed(home, cluster(services)), mode.config);
    if (mode.isInAgent === true) return agent.end;
    await agent.end();
    return undefined;
  };
  return { name, program, ...viaClusterIPOf(services) };
}

/** Builds the lane with a server that listens; `flows` is flows.c, built. */
export async function openLane(lane: Lane, flows: string, directory: string): Promise<OpenLane> {
  const [client, node, server] = [createNetns('cl'), createNetns('no'), createNetns('se')];
  let endProgrammed: Programmed;
  const remove = async () => {
    await endProgrammed?.();
    for (const netns of [client, node, server]) netns.remove();
  };
  let program: RunningProgram;
  try {
    wire(client, node, server);
    endProgrammed = await lane.program(node, directory);
    program = await startIn(
      server.path,
      ['taskset', '-c', SERVER_CPU, flows, 'serve', String(SERVER_PORT)],
      'ready',
    );
  } catch (thrown) {
    await remove();
    throw thrown;
  }
  return {
    ...lane,
    client,
    async remove() {
      await program.end('SIGKILL');
      await remove();
    },
  };
}

function wire(client: TestNetns, node: TestNetns, server: TestNetns): void {
  connect(
    { netns: node, link: 'client', addresses: ['10.254.1.1/24'] },
    { netns: client, link: 'eth0', addresses: ['10.254.1.2/24'] },
  );
  connect(
    { netns: node, link: 'server', addresses: ['10.254.2.1/24'] },
    {
      netns: server,
      link: 'eth0',
      addresses: ['10.254.2.2/24', ...ENDPOINTS.map((ip) => `${ip}/32`)],
    },
  );
  client.run('ip', 'route', 'add', 'default', 'via', '10.254.1.1');
  server.run('ip', 'route', 'add', 'default', 'via', '10.254.2.1');
  client.run('sysctl', '-qw', 'net.ipv4.ip_local_port_range=1024 65535');
  server.run('sysctl', '-qw', 'net.core.somaxconn=65535', 'net.ipv4.tcp_max_syn_backlog=65535');
  // Flows that were reset must not fill the table while the next ones are counted.
  const closed = 'net.netfilter.nf_conntrack_tcp_timeout_close=1';
  node.run('sysctl', '-qw', 'net.ipv4.ip_forward=1', closed);
}

function programLegacyRule(node: TestNetns): undefined {
  const match = `-d ${viaClusterIP.host} -p tcp --dport ${SERVICE_PORT}`;
  const words = `-t nat -A PREROUTING ${match} -j DNAT --to-destination ${DIRECT}:${SERVER_PORT}`;
  node.run('iptables-legacy', ...words.split(' '));
}

function programStaticRule(node: TestNetns): undefined {
  const rules = [
    'add table ip static',
    'add chain ip static nat { type nat hook prerouting priority -100; }',
    `add rule ip static nat ip daddr ${viaClusterIP.host} tcp dport ${SERVICE_PORT} dnat to ${DIRECT}:${SERVER_PORT}`,
  ];
  node.run('nft', rules.join('; '));
}

async function programWeft(node: TestNetns, services: number): Promise<undefined> {
  const netns = netnses.open(node.path);
  const { nodeName, nodeIP } = benchNode;
  const proxy = createProxy(netns, { families: [4], nodeName, hasNodeObjects: () => true });
  proxy.apply({
    kind: 'node',
    now: {
      metadata: { name: nodeName, namespace: '' },
      status: { addresses: [{ type: 'InternalIP', address: nodeIP }] },
    },
  });
  for (const { service, slices } of cluster(services)) {
    proxy.apply({ kind: 'service', now: service });
    for (const slice of slices) proxy.apply({ kind: 'slice', now: slice });
  }
  proxy.setSynced();
  await proxy.sync();
  await proxy.stop();
  netns.close();
}

function programLayout(node: TestNetns, directory: string, services: number): undefined {
  const file = join(directory, 'layout.nft');
  writeFileSync(file, fullSync(cluster(services), benchNode));
  const { status, stderr } = node.attempt('nft', ['-f', file], 240_000);
  if (status !== 0) throw new Error(`kube-proxy layout of ${services} Services: ${stderr}`);
}

function cluster(services: number) {
  const own = measured(services);
  return Array.from({ length: services }, (_, n) =>
    n === own ? withEndpoints(n, ENDPOINTS) : serviceObjects(n),
  );
}
