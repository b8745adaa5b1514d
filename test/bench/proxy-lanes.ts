/**
 * One lane per contender of the data path: a client and a server namespace with a node between them
 * that routes, so that lanes differ in nothing but the node's rules.
 */
import { writeFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import { netnses } from '../../src/kernel/netns.ts';
import { connect, createNetns, type TestNetns } from '../support/netns.ts';
import { createProxy } from '../support/proxy-lab.ts';
import { type RunningProgram, startIn } from '../support/workloads.ts';
import { clusterIPOf, SERVICE_PORT, serviceObjects, withEndpoints } from './cluster-objects.ts';
import { benchNode, fullSync } from './kube-proxy-layout.ts';

/** What is on the node, and where the client connects to. */
export interface Lane {
  readonly name: string;
  /** Puts the rules in place. */
  readonly program: (node: TestNetns, directory: string) => Promise<void> | void;
  readonly host: string;
  readonly port: number;
}

export interface OpenLane extends Lane {
  readonly client: TestNetns;
  remove(): Promise<void>;
}

const SERVER_PORT = 8080;
/** Not the client's, which is the first, where there is another. */
const SERVER_CPU = String(Math.min(1, cpus().length - 1));
/** Of the Service that clients use; all of them are the server's. */
const ENDPOINTS = [1, 2, 3, 4, 5].map((i) => `10.2.0.${i + 10}`);
const DIRECT = ENDPOINTS[0] ?? '';

const viaClusterIP = { host: clusterIPOf(0), port: SERVICE_PORT };

export const directLane: Lane = {
  name: 'pod to pod',
  program: () => {},
  host: DIRECT,
  port: SERVER_PORT,
};

/** The kernel's own cost of address translation. */
export function staticRuleLane(name: string): Lane {
  return { name, program: programStaticRule, ...viaClusterIP };
}

export function weftLane(services: number): Lane {
  const name = `weft, ${services.toLocaleString('en')}`;
  return { name, program: (node) => programWeft(node, services), ...viaClusterIP };
}

export function layoutLane(services: number): Lane {
  const name = `kube-proxy layout, ${services.toLocaleString('en')}`;
  const program: Lane['program'] = (node, directory) => programLayout(node, directory, services);
  return { name, program, ...viaClusterIP };
}

/** Builds the lane with a server that listens; `flows` is flows.c, built. */
export async function openLane(lane: Lane, flows: string, directory: string): Promise<OpenLane> {
  const [client, node, server] = [createNetns('cl'), createNetns('no'), createNetns('se')];
  const remove = () => {
    for (const netns of [client, node, server]) netns.remove();
  };
  let program: RunningProgram;
  try {
    wire(client, node, server);
    await lane.program(node, directory);
    program = await startIn(
      server.path,
      ['taskset', '-c', SERVER_CPU, flows, 'serve', String(SERVER_PORT)],
      'ready',
    );
  } catch (thrown) {
    remove();
    throw thrown;
  }
  return {
    ...lane,
    client,
    async remove() {
      await program.end('SIGKILL');
      remove();
    },
  };
}

function wire(client: TestNetns, node: TestNetns, server: TestNetns): void {
  connect(
    { netns: node, link: 'client', addresses: ['10.1.0.1/24'] },
    { netns: client, link: 'eth0', addresses: ['10.1.0.2/24'] },
  );
  connect(
    { netns: node, link: 'server', addresses: ['10.2.0.1/24'] },
    {
      netns: server,
      link: 'eth0',
      addresses: ['10.2.0.2/24', ...ENDPOINTS.map((ip) => `${ip}/32`)],
    },
  );
  client.run('ip', 'route', 'add', 'default', 'via', '10.1.0.1');
  server.run('ip', 'route', 'add', 'default', 'via', '10.2.0.1');
  client.run('sysctl', '-qw', 'net.ipv4.ip_local_port_range=1024 65535');
  server.run('sysctl', '-qw', 'net.core.somaxconn=65535', 'net.ipv4.tcp_max_syn_backlog=65535');
  // Flows that were reset must not fill the table while the next ones are counted.
  const closed = 'net.netfilter.nf_conntrack_tcp_timeout_close=1';
  node.run('sysctl', '-qw', 'net.ipv4.ip_forward=1', closed);
}

function programStaticRule(node: TestNetns): void {
  const rules = [
    'add table ip static',
    'add chain ip static nat { type nat hook prerouting priority -100; }',
    `add rule ip static nat ip daddr ${viaClusterIP.host} tcp dport ${SERVICE_PORT} dnat to ${DIRECT}:${SERVER_PORT}`,
  ];
  node.run('nft', rules.join('; '));
}

async function programWeft(node: TestNetns, services: number): Promise<void> {
  const netns = netnses.open(node.path);
  const { nodeName, nodeIP } = benchNode;
  const proxy = createProxy(netns, { families: [4], nodeName, hasNodeObjects: () => true });
  proxy.onNodeAdd({
    metadata: { name: nodeName, namespace: '' },
    status: { addresses: [{ type: 'InternalIP', address: nodeIP }] },
  });
  for (const { service, slices } of cluster(services)) {
    proxy.onServiceAdd(service);
    for (const slice of slices) proxy.onEndpointSliceAdd(slice);
  }
  proxy.setSynced();
  await proxy.sync();
  await proxy.stop();
  netns.close();
}

function programLayout(node: TestNetns, directory: string, services: number): void {
  const file = join(directory, 'layout.nft');
  writeFileSync(file, fullSync(cluster(services), benchNode));
  const { status, stderr } = node.attempt('nft', ['-f', file], 240_000);
  if (status !== 0) throw new Error(`kube-proxy layout of ${services} Services: ${stderr}`);
}

function cluster(services: number) {
  const others = Array.from({ length: services - 1 }, (_, n) => serviceObjects(n + 1));
  return [withEndpoints(0, ENDPOINTS), ...others];
}
