/**
 * Nodes of a cluster as namespaces, the fabric of each in this process: two on one link, and if asked
 * for more of them behind routers. Pods are namespaces behind a bridge, as the CNI makes them.
 */

import type { FabricSettings } from '../../src/fabric/desired.ts';
import { Fabric, type FabricOptions } from '../../src/fabric/fabric.ts';
import { watchKernel } from '../../src/fabric/watch.ts';
import { netnses } from '../../src/kernel/netns.ts';
import { openNodeEvents } from '../../src/kernel/node-events.ts';
import { openRtnl } from '../../src/kernel/rtnl.ts';
import { sysctls } from '../../src/kernel/sysctls.ts';
import type { Node } from '../../src/kube/types.ts';
import { systemClock } from '../../src/util/clock.ts';
import { node as nodeObject } from './fabric-objects.ts';
import { recordingLog } from './kube.ts';
import { connect, createNetns, type TestNetns } from './netns.ts';

export const LAB_SETTINGS: FabricSettings = {
  ...{ backend: 'auto', tunnelPort: 8472, vni: 201, mtu: 0, clusterCIDRs: [], serviceCIDRs: [] },
};

export interface LabNode {
  readonly netns: TestNetns;
  readonly name: string;
  readonly object: Node;
  /** Of the pod that is made with the node. */
  readonly pod: TestNetns;
  readonly podAddresses: readonly [string, string];
}

export interface FabricLab {
  /** Where all links meet. */
  readonly router: TestNetns;
  readonly nodes: readonly LabNode[];
  remove(): void;
}

/**
 * Nodes n1, n2, … in the links that `links` names: nodes of equal number share one. All links meet in
 * one router. Addresses are 192.0.<link>.<n> and 2001:db8:<link>::<n>, podCIDRs 10.244.<n>.0/24 and
 * fd00:<n>::/64.
 */
export function createFabricLab(links: readonly number[]): FabricLab {
  const made: TestNetns[] = [];
  const make = (label: string) => {
    const netns = createNetns(label);
    made.push(netns);
    return netns;
  };
  try {
    const router = makeRouter(make('fab-r'), new Set(links));
    const nodes = links.map((link, i) => makeNode(make, router, link, i + 1));
    return { router, nodes, remove: () => removeAll(made) };
  } catch (thrown) {
    removeAll(made);
    throw thrown;
  }
}

function removeAll(made: readonly TestNetns[]): void {
  for (const netns of made) netns.remove();
}

/** A bridge for each link, on which the router has the addresses .254 and ::fe. */
function makeRouter(router: TestNetns, links: ReadonlySet<number>): TestNetns {
  forward(router);
  router.batch(
    [...links].flatMap((link) => [
      `link add lan${link} type bridge`,
      `link set lan${link} up`,
      `addr add 192.0.${link}.254/24 dev lan${link}`,
      `addr add 2001:db8:${link}::fe/64 dev lan${link} nodad`,
    ]),
  );
  return router;
}

function forward(netns: TestNetns): void {
  netns.run('sysctl', '-qw', 'net.ipv4.ip_forward=1', 'net.ipv6.conf.all.forwarding=1');
}

function makeNode(
  make: (label: string) => TestNetns,
  router: TestNetns,
  link: number,
  n: number,
): LabNode {
  const netns = make(`fab-n${n}`);
  const pod = make(`fab-p${n}`);
  const addresses = [`192.0.${link}.${n}`, `2001:db8:${link}::${n}`] as const;
  connectNode(netns, router, link, n);
  connect({ netns, link: 'veth-pod' }, { netns: pod, link: 'eth0' });
  netns.batch([
    'link add cni0 type bridge',
    'link set cni0 up',
    'link set veth-pod master cni0',
    `addr add 10.244.${n}.1/24 dev cni0`,
    `addr add fd00:${n}::1/64 dev cni0 nodad`,
  ]);
  pod.batch([
    `addr add 10.244.${n}.2/24 dev eth0`,
    `addr add fd00:${n}::2/64 dev eth0 nodad`,
    `route add default via 10.244.${n}.1`,
    `route add default via fd00:${n}::1`,
  ]);
  const podCIDRs = [`10.244.${n}.0/24`, `fd00:${n}::/64`];
  return {
    ...{ netns, pod, name: `n${n}`, podAddresses: [`10.244.${n}.2`, `fd00:${n}::2`] },
    object: nodeObject(`n${n}`, podCIDRs, addresses),
  };
}

/** The node's eth0, on the link; also to give it back after it was deleted. */
export function connectNode(netns: TestNetns, router: TestNetns, link: number, n: number): void {
  connect({ netns, link: 'eth0' }, { netns: router, link: `to-n${n}` });
  router.run('ip', 'link', 'set', `to-n${n}`, 'master', `lan${link}`);
  netns.batch([
    `addr add 192.0.${link}.${n}/24 dev eth0`,
    `addr add 2001:db8:${link}::${n}/64 dev eth0 nodad`,
    `route add default via 192.0.${link}.254`,
    `route add default via 2001:db8:${link}::fe`,
  ]);
}

export interface RunningFabric {
  readonly fabric: Fabric;
  readonly logged: () => string;
  stop(): Promise<void>;
}

/** The fabric of a node in this process, knowing these Nodes. */
export function startLabFabric(
  node: Pick<LabNode, 'netns' | 'name'>,
  nodes: readonly Pick<LabNode, 'object'>[],
  settings: Partial<FabricSettings> = {},
  {
    isConfirmed = true,
    ...more
  }: Partial<Pick<FabricOptions, 'guard' | 'onReport'>> & { readonly isConfirmed?: boolean } = {},
): RunningFabric {
  const netns = netnses.open(node.netns.path);
  const rtnl = openRtnl(netns);
  const events = openNodeEvents(netns);
  const { log, text } = recordingLog();
  const fabric = new Fabric({
    nodeName: node.name,
    kernel: { rtnl, sysctls, netns },
    settings: { ...LAB_SETTINGS, ...settings },
    clock: systemClock,
    log,
    guard: async () => undefined,
    onReport: () => undefined,
    ...more,
  });
  const watch = watchKernel(events, fabric);
  for (const { object } of nodes) fabric.putNode(object);
  fabric.setSynced();
  if (isConfirmed) fabric.setConfirmed();
  return {
    fabric,
    logged: text,
    async stop() {
      watch.close();
      await fabric.stop();
      events.close();
      rtnl.close();
      netns.close();
    },
  };
}
