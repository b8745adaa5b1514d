/**
 * A node with pods, a second node's pod behind a link, and a host outside, as namespaces:
 *
 *     client 10.1.0.2, pod-a 10.1.0.3, pod-b 10.1.0.4  --br0--  node  --192.168.0.0/24--  remote 10.2.0.2
 *                                                               node  --203.0.113.0/24--  outside
 *
 * with IPv6 twins, and a Service proxy for the node. The outside sends everything else to the node,
 * load balancer addresses among it; one of those the node itself has, another the other node.
 */

import { openConntrack } from '../../src/kernel/conntrack.ts';
import { netnses } from '../../src/kernel/netns.ts';
import type { Netns } from '../../src/kernel/types.ts';
import { parseCidr } from '../../src/net/cidr.ts';
import { NftablesConnection } from '../../src/nftables/connection.ts';
import { kernelTables } from '../../src/proxy/nftables/kernel-table.ts';
import { tableSessions } from '../../src/proxy/nftables/session.ts';
import { ServiceProxy, type ServiceProxyOptions } from '../../src/proxy/service-proxy.ts';
import { systemClock } from '../../src/util/clock.ts';
import { createLogger } from '../../src/util/log.ts';
import { IPV4, IPV6, LB_ON_NODE } from './flows/net.ts';
import { connect, createNetns, type TestNetns } from './netns.ts';
import { type RunningProgram, startServer } from './workloads.ts';

export interface ProxyLab {
  readonly node: TestNetns;
  readonly client: TestNetns;
  readonly podA: TestNetns;
  readonly podB: TestNetns;
  readonly remote: TestNetns;
  readonly outside: TestNetns;
  /** Makes the node's connection tracking forget all flows, so that none meets an older one. */
  forgetFlows(): void;
  /** A proxy for the node that was told nothing yet. */
  proxy(options?: Partial<ServiceProxyOptions>): ServiceProxy;
  remove(): Promise<void>;
}

export const SERVER_PORT = 8080;

/** Makes the namespaces and starts a server in each pod but the client. */
export async function createProxyLab(): Promise<ProxyLab> {
  const [node, client, podA, podB, remote, outside] = [
    ...['node', 'client', 'pod-a', 'pod-b', 'remote', 'outside'],
  ].map(createNetns) as [TestNetns, TestNetns, TestNetns, TestNetns, TestNetns, TestNetns];
  forward(node);
  node.run('ip', 'link', 'add', 'br0', 'type', 'bridge');
  node.run('ip', 'link', 'set', 'br0', 'up');
  for (const address of ['10.1.0.1/24', 'fd00:10:1::1/64']) addAddress(node, 'br0', address);
  [client, podA, podB].forEach((pod, i) => {
    const link = `pod${i}`;
    const addresses = [`10.1.0.${i + 2}/24`, `fd00:10:1::${i + 2}/64`];
    connect({ netns: node, link }, { netns: pod, link: 'eth0', addresses });
    // With br_netfilter a pod that reaches itself is bridged: DNAT leads back to the same port.
    node.run('ip', 'link', 'set', link, 'master', 'br0');
    node.run('bridge', 'link', 'set', 'dev', link, 'hairpin', 'on');
    addDefaultRoutes(pod, '10.1.0.1', 'fd00:10:1::1');
  });
  link(node, 'eth0', ['192.168.0.1/24', 'fd00:192::1/64'], remote, [
    '192.168.0.2/24',
    'fd00:192::2/64',
  ]);
  addAddress(remote, 'lo', '10.2.0.2/32');
  addAddress(remote, 'lo', 'fd00:10:2::2/128');
  addDefaultRoutes(remote, '192.168.0.1', 'fd00:192::1');
  node.run('ip', 'route', 'add', '10.2.0.0/24', 'via', '192.168.0.2');
  node.run('ip', 'route', 'add', 'fd00:10:2::/64', 'via', 'fd00:192::2');
  link(node, 'eth1', ['203.0.113.1/24', '2001:db8::1/64'], outside, [
    '203.0.113.2/24',
    '2001:db8::2/64',
  ]);
  addDefaultRoutes(outside, '203.0.113.1', '2001:db8::1');
  addDefaultRoutes(node, '203.0.113.2', '2001:db8::2');
  addMoreAddresses(node, remote, outside);
  meetNeighbours(node);
  const servers: RunningProgram[] = await Promise.all([
    startServer(podA.path, 'a', SERVER_PORT),
    startServer(podB.path, 'b', SERVER_PORT),
    startServer(remote.path, 'remote', SERVER_PORT),
  ]);
  const nodeNetns: Netns = netnses.open(node.path);
  return {
    ...{ node, client, podA, podB, remote, outside },
    forgetFlows: () => forgetFlows(nodeNetns),
    proxy: (options) => createProxy(nodeNetns, options),
    async remove() {
      for (const server of servers) await server.end('SIGKILL');
      nodeNetns.close();
      for (const netns of [node, client, podA, podB, remote, outside]) netns.remove();
    },
  };
}

/** A proxy that programs the given namespace. */
export function createProxy(
  netns: { readonly fd: number },
  options: Partial<ServiceProxyOptions> = {},
): ServiceProxy {
  return new ServiceProxy({
    families: [4, 6],
    nodeName: 'node-a',
    localDetection: { kind: 'cidrs', cidrs: ['10.0.0.0/8', 'fd00:10::/32'].map(parseCidr) },
    nodePortAddresses: { kind: 'primary' },
    hasNodeObjects: () => false,
    localAddresses: () => [],
    masqueradesAll: false,
    minSyncPeriodMs: 0,
    syncPeriodMs: 30_000,
    clock: systemClock,
    log: createLogger('warn'),
    openSession: tableSessions(kernelTables(() => NftablesConnection.open({ netns }))),
    ...options,
  });
}

/** What only some flows meet: second addresses, and those of load balancers. */
function addMoreAddresses(node: TestNetns, remote: TestNetns, outside: TestNetns): void {
  for (const { family, second, stranger, lb, elsewhere, node: nodeAddress } of [IPV4, IPV6]) {
    const [host, network] = family === 4 ? [32, 24] : [128, 64];
    addAddress(node, 'eth0', `${second}/${network}`);
    addAddress(node, 'lo', `${lb(LB_ON_NODE)}/${host}`);
    addAddress(outside, 'eth0', `${stranger}/${network}`);
    addAddress(remote, 'lo', `${elsewhere}/${host}`);
    const remoteGateway = nodeAddress.replace(/1$/, '2');
    node.run('ip', 'route', 'add', `${elsewhere}/${host}`, 'via', remoteGateway);
  }
}

/** Resolves every neighbour, so that no first packet waits for it. */
function meetNeighbours(node: TestNetns): void {
  for (const { podA, podB, client, remote, outside, stranger } of [IPV4, IPV6]) {
    for (const address of [podA, podB, client, remote, outside, stranger]) {
      node.run('ping', '-c', '1', '-w', '5', address);
    }
  }
}

function forgetFlows(netns: Netns): void {
  const conntrack = openConntrack(netns);
  try {
    for (const family of [4, 6] as const) conntrack.deleteFlows({ family });
  } finally {
    conntrack.close();
  }
}

function forward(netns: TestNetns): void {
  netns.run('sysctl', '-qw', 'net.ipv4.ip_forward=1', 'net.ipv6.conf.all.forwarding=1');
  // Many clients live in one namespace: the kernel's limit of ICMP errors for each would be met.
  netns.run('sysctl', '-qw', 'net.ipv4.icmp_ratelimit=0', 'net.ipv6.icmp.ratelimit=0');
}

function addAddress(netns: TestNetns, dev: string, address: string): void {
  netns.run('ip', 'addr', 'add', address, 'dev', dev, ...(address.includes(':') ? ['nodad'] : []));
}

function addDefaultRoutes(netns: TestNetns, ...gateways: readonly string[]): void {
  for (const gateway of gateways) netns.run('ip', 'route', 'add', 'default', 'via', gateway);
}

function link(
  node: TestNetns,
  name: string,
  nodeAddresses: readonly string[],
  peer: TestNetns,
  peerAddresses: readonly string[],
): void {
  connect(
    { netns: node, link: name, addresses: nodeAddresses },
    { netns: peer, link: 'eth0', addresses: peerAddresses },
  );
}
