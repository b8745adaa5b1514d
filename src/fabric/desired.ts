import { type Cidr, parseCidr } from '../net/cidr.ts';
import type { IP, IPFamily } from '../net/ip.ts';
import type { Mac } from '../net/mac.ts';
import { withLastResult } from '../util/last-result.ts';
import type { Steps } from '../util/turns.ts';
import { ClaimKeeper } from './claim-keeper.ts';
import type { Reserved } from './claims.ts';
import type { FabricNode } from './nodes.ts';
import type { Backend, Peer } from './plan.ts';
import type { TunnelSettings } from './tunnel.ts';
import { type Underlay, type UnderlayFacts, underlayReader } from './underlay.ts';

export interface FabricSettings extends TunnelSettings {
  readonly backend: Backend;
  /** Where podCIDRs must be in; empty for anywhere. */
  readonly clusterCIDRs: readonly Cidr[];
  readonly serviceCIDRs: readonly Cidr[];
  /** Why this node's own object may be missing, where no kubelet makes it. */
  readonly whyNoNode?: string | undefined;
}

/** Nodes as they concern this one. */
export interface Neighbourhood {
  readonly underlay: Underlay;
  /** Undefined while this node's own object is not known. */
  readonly own: FabricNode | undefined;
  /** Of the own podCIDRs those that may be used. */
  readonly podCIDRs: readonly Cidr[];
  readonly peers: readonly Peer[];
  /** What of Nodes is wrong, in words. */
  readonly problems: readonly string[];
}

/** Who is there, what is whose, and how they are reached; a Node a step. */
export type ReadNeighbourhood = (
  nodeName: string,
  nodes: ReadonlyMap<string, FabricNode>,
  facts: UnderlayFacts,
  settings: FabricSettings,
) => Steps<Neighbourhood>;

const NO_ADDRESSES: FabricNode['addresses'] = {};
const NO_STRAYS: ReadonlySet<IP> = new Set();

/** Addresses of the host, of a link, of groups (RFC 6890): no other node has pods there. */
const SPECIAL_NETWORKS = [
  ...['0.0.0.0/8', '127.0.0.0/8', '169.254.0.0/16', '224.0.0.0/3'],
  ...['::/127', 'fe80::/10', 'ff00::/8'],
].map((text) => ({ cidr: parseCidr(text), what: `the special network ${text}` }));

/** A pure function that remembers its last answer, and of the next looks only at what changed. */
export function neighbourhoodReader(): ReadNeighbourhood {
  const underlayOf = withLastResult(underlayReader());
  const reservedOf = withLastResult(readReserved);
  const keeper = new ClaimKeeper();
  return function* (nodeName, nodes, facts, settings) {
    const own = nodes.get(nodeName);
    const underlay = underlayOf(facts, own?.addresses ?? NO_ADDRESSES);
    const claims = yield* keeper.steps(nodes, reservedOf(underlay, settings));
    const { owned, misplaced, refused } = claims;
    const ownAddresses = new Set(Object.values(own?.addresses ?? NO_ADDRESSES));
    const peers: Peer[] = [];
    const problems: string[] = [];
    const macs = new Map<Mac, string>();
    for (const node of nodes.values()) {
      const { name } = node;
      for (const problem of [...node.problems, ...(refused.get(name) ?? [])]) {
        problems.push(`node ${name}: ${problem}`);
      }
      const other = macs.get(node.tunnelMac);
      if (other === undefined) macs.set(node.tunnelMac, name);
      else problems.push(`node ${name}: ${sameMac(node, other)}`);
      if (node !== own) {
        const addresses = without(node.addresses, ownAddresses, misplaced.get(name) ?? NO_STRAYS);
        peers.push({ node, podCIDRs: owned.get(name) ?? [], addresses });
      }
      yield;
    }
    return { underlay, own, podCIDRs: owned.get(nodeName) ?? [], peers, problems };
  };
}

/** One forwarding entry cannot lead to both. */
function sameMac({ tunnelMac }: FabricNode, other: string): string {
  return `the MAC of its tunnel, ${tunnelMac}, is that of node ${other} too: have one of them make another device`;
}

/** The same value where all are used, which nearly always is the case. */
function without(
  addresses: FabricNode['addresses'],
  ...unusable: readonly ReadonlySet<IP>[]
): FabricNode['addresses'] {
  const isUsed = (ip: IP) => !unusable.some((each) => each.has(ip));
  if (Object.values(addresses).every(isUsed)) return addresses;
  const used: { -readonly [family in IPFamily]?: IP } = {};
  for (const family of [4, 6] as const) {
    const ip = addresses[family];
    if (ip !== undefined && isUsed(ip)) used[family] = ip;
  }
  return used;
}

function readReserved(
  { networks }: Underlay,
  { clusterCIDRs, serviceCIDRs }: FabricSettings,
): Reserved {
  const ofServices = serviceCIDRs.map((cidr) => ({ cidr, what: 'the addresses of Services' }));
  return { clusterCIDRs, taken: [...networks, ...ofServices, ...SPECIAL_NETWORKS] };
}

/** Addresses that tunnel packets may come from: those of all Nodes. */
export function peerAddresses(peers: readonly Peer[]): readonly IP[] {
  return peers.flatMap(({ addresses }) => Object.values(addresses));
}

/** Why this node cannot have pods, with the cure; undefined when it can. */
export function whyWithoutPods(
  nodeName: string,
  { own, podCIDRs, underlay, problems }: Neighbourhood,
  whyNoNode?: string,
): string | undefined {
  if (own === undefined) {
    return (
      whyNoNode ??
      `there is no Node ${nodeName}: wait for the kubelet, or set nodeName to the Node's name`
    );
  }
  if (podCIDRs.length === 0) {
    const ownProblem = problems.find((problem) => problem.startsWith(`node ${nodeName}: podCIDR`));
    return (
      ownProblem ??
      `Node ${nodeName} has no podCIDRs: start the controller manager with --allocate-node-cidrs and ` +
        '--cluster-cidr, or set spec.podCIDRs'
    );
  }
  if (Object.keys(underlay.own).length > 0) return undefined;
  const addresses = Object.values(own.addresses);
  return addresses.length === 0
    ? `Node ${nodeName} has no InternalIP: wait for the kubelet`
    : `no link of this node has its InternalIP ${addresses.join(' or ')}`;
}
