import { openRtnl } from '../../../kernel/rtnl.ts';
import { linkSysctl, sysctls } from '../../../kernel/sysctls.ts';
import { readTcpCounters } from '../../../kernel/tcp-counters.ts';
import type { Link, LinkAddress, Route, RouteLookup, Rtnl } from '../../../kernel/types.ts';
import { nthAddress, prefixLength } from '../../../net/cidr.ts';
import type { IP } from '../../../net/ip.ts';
import { specialKind } from '../../../net/special.ts';
import { factOf, isUnread } from '../check.ts';
import type { CheckedNode, CheckedPod } from '../checked-node.ts';
import type { CounterDeltas } from '../counter-deltas.ts';
import type { LostPeer, LostPod, Uplink, WayFacts } from '../ways.ts';

/** More nodes than that are not asked for: it is one question to the kernel each. */
const MOST_PEERS = 64;
/** Of this node; the same. */
const MOST_POD_ADDRESSES = 512;
/** An address of a podCIDR that a pod may have. */
const POD_NUMBER = 2;

/** What the kernel says of the node at one moment. */
interface Ground {
  readonly links: readonly Link[];
  readonly addresses: readonly (LinkAddress & { readonly link: number })[];
  readonly routes: readonly Route[];
}

export function readWayFacts(node: CheckedNode, deltas: CounterDeltas): WayFacts {
  const { pods, agent } = node;
  const rtnl = openRtnl();
  try {
    const ground = factOf(() => readGround(rtnl));
    const onGround = <T>(read: (ground: Ground) => T) =>
      isUnread(ground) ? ground : factOf(() => read(ground));
    const peers = soughtPeers(node);
    const sample = soughtPods(pods);
    return {
      uplinks: onGround((read) => uplinksOf(read, pods)),
      filtered: factOf(() => {
        const { IPReversePathFilter } = readTcpCounters(['IPReversePathFilter']);
        return deltas.grown('rp_filter', IPReversePathFilter);
      }),
      podMtu: onGround(({ links }) => podMtuOf(links, pods)),
      hasFabric: agent?.fabric !== undefined,
      paths: agent?.fabric?.findings,
      soughtPeers: peers.length,
      lostPeers: factOf(() => peers.filter(({ address }) => isLost(rtnl, address))),
      soughtPods: sample.length,
      lostPods: onGround(({ links }) => lostPods(rtnl, links, sample)),
    };
  } finally {
    rtnl.close();
  }
}

/** Links that lead out of the node. Throws NetlinkError. */
export function readUplinks(pods: readonly CheckedPod[]): readonly Uplink[] {
  const rtnl = openRtnl();
  try {
    return uplinksOf(readGround(rtnl), pods);
  } finally {
    rtnl.close();
  }
}

function readGround(rtnl: Rtnl): Ground {
  return {
    links: rtnl.links(),
    addresses: rtnl.addresses(),
    routes: [...rtnl.routes(4), ...rtnl.routes(6)],
  };
}

/** Links with an address that others may know, without those of pods and tunnels. */
function uplinksOf(
  { links, addresses, routes }: Ground,
  pods: readonly CheckedPod[],
): readonly Uplink[] {
  const bridges = new Set(pods.map(({ bridge }) => bridge));
  const all = Number(sysctls.read(undefined, linkSysctl('ipv4', 'all', 'rp_filter')) ?? 0);
  const isUplink = (link: Link) =>
    link.isUp &&
    link.vxlan === undefined &&
    !bridges.has(link.name.split('.')[0] ?? '') &&
    addresses.some((each) => each.link === link.index && specialKind(each.address) === undefined) &&
    (link.kind !== 'bridge' ||
      links.some((port) => port.master === link.index && port.kind !== 'veth'));
  const isDefault = ({ destination }: Route) => prefixLength(destination) === 0;
  return links.filter(isUplink).map(({ index, name, mtu }) => {
    const own = sysctls.read(undefined, linkSysctl('ipv4', name, 'rp_filter'));
    return {
      ...{ name, mtu, rpFilter: Math.max(all, Number(own ?? 0)) },
      isDefault: routes.some((route) => route.link === index && isDefault(route)),
    };
  });
}

function podMtuOf(links: readonly Link[], pods: readonly CheckedPod[]): number | undefined {
  const names = new Set(pods.map(({ bridge }) => bridge));
  const bridges = new Set(links.filter(({ name }) => names.has(name)).map(({ index }) => index));
  const ports = links.filter(({ kind, master }) => kind === 'veth' && bridges.has(master ?? 0));
  return ports.length === 0 ? undefined : Math.max(...ports.map(({ mtu }) => mtu));
}

/** By the podCIDRs where the fabric knows them, else an endpoint of each node. */
function soughtPeers({ agent }: CheckedNode): readonly (LostPeer & { readonly address: IP })[] {
  const peers = agent?.fabric?.peers.flatMap(({ name: node, podCIDRs }) =>
    podCIDRs.flatMap((cidr) => {
      const address = nthAddress(cidr, POD_NUMBER);
      return address === undefined ? [] : [{ node, address }];
    }),
  );
  return (peers ?? agent?.proxy?.endpoints() ?? []).slice(0, MOST_PEERS);
}

function isLost(rtnl: RouteLookup, address: IP): boolean {
  return rtnl.routeTo(address) === undefined;
}

/** With their addresses; a route may be of one alone. */
function soughtPods(pods: readonly CheckedPod[]) {
  return pods
    .flatMap((pod) => pod.addresses.map((address) => ({ pod, address })))
    .slice(0, MOST_POD_ADDRESSES);
}

function lostPods(
  rtnl: RouteLookup,
  links: readonly Link[],
  sample: ReturnType<typeof soughtPods>,
): readonly LostPod[] {
  return sample.flatMap(({ pod: { name, bridge }, address }) => {
    const index = rtnl.routeTo(address)?.link;
    const link = links.find((each) => each.index === index)?.name;
    // A gateway in a VLAN has a link of its own on the bridge.
    if (link !== undefined && (link === bridge || link.startsWith(`${bridge}.`))) return [];
    return [{ name, address, bridge, link }];
  });
}
