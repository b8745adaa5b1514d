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
import { kernelTables } from '../../src/proxy/modes/nftables/kernel-table.ts';
import { tableSessions } from '../../src/proxy/modes/nftables/table-session.ts';
import { ServiceProxy, type ServiceProxyOptions } from '../../src/proxy/service-proxy.ts';
import { systemClock } from '../../src/util/clock.ts';
import { createLogger } from '../../src/util/log.ts';
import { createNetns, type TestNetns } from './netns.ts';
import { buildTopology, type ProxyTopology } from './proxy-topology.ts';
import { type RunningProgram, startServer } from './workloads.ts';

export interface ProxyLab extends ProxyTopology {
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
  buildTopology({ node, client, podA, podB, remote, outside });
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
    openSession: tableSessions(kernelTables(() => NftablesConnection.open({ netns }), { netns })),
    ...options,
  });
}

function forgetFlows(netns: Netns): void {
  const conntrack = openConntrack(netns);
  try {
    for (const family of [4, 6] as const) conntrack.deleteFlows({ family });
  } finally {
    conntrack.close();
  }
}
