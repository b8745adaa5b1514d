import type { Route } from '../kernel/types.ts';
import { type Cidr, cidrFamily, networkAddress } from '../net/cidr.ts';
import type { IP, IPFamily } from '../net/ip.ts';
import { linkLocalOf } from '../net/mac.ts';
import { type Steps, takeAtOnce } from '../util/turns.ts';
import { type Entries, type Entry, entryKey } from './entries.ts';
import { FABRIC_METRIC, FABRIC_PROTOCOL } from './names.ts';
import type { FabricNode } from './nodes.ts';
import type { Underlay } from './underlay.ts';

export type Backend = 'auto' | 'host-gw' | 'vxlan' | 'none';

/** How packets get to a peer's pods. */
export type Path = 'direct' | 'vxlan' | 'unreachable' | 'none';

/** Another Node, as far as it is given podCIDRs. */
export interface Peer {
  readonly node: FabricNode;
  /** Those of its podCIDRs that are its own. */
  readonly podCIDRs: readonly Cidr[];
  /** Those of its InternalIPs that are used. */
  readonly addresses: FabricNode['addresses'];
}

/** The device that tunnels end at. */
export interface TunnelEnd {
  /** ifindex */
  readonly link: number;
  /** Family of the addresses that tunnels run between. */
  readonly family: IPFamily;
  /** False where the kernel has no IPv6: then no link-local address can be a gateway. */
  readonly hasIPv6: boolean;
}

export interface PlanFacts {
  readonly backend: Backend;
  readonly peers: Iterable<Peer>;
  readonly underlay: Underlay;
  /** Undefined while there is none. */
  readonly tunnel: TunnelEnd | undefined;
}

export interface PlannedPeer {
  readonly name: string;
  /** InternalIPs of the node that are used. */
  readonly addresses: readonly IP[];
  readonly path: Path;
  readonly podCIDRs: readonly Cidr[];
  /** Why it is not reached, or not in full. */
  readonly problems: readonly string[];
}

export interface Plan {
  /** The planner's own, which changes with its next plan. */
  readonly entries: Entries;
  readonly peers: readonly PlannedPeer[];
  /** One more than that of the planner's last. */
  readonly number: number;
  /** Of the entries that are others than in the plan before; undefined: all may be. */
  readonly changedKeys: ReadonlySet<string> | undefined;
}

/** What planning one peer depends on besides the peer. */
type Ground = Omit<PlanFacts, 'peers'>;

interface PeerPlan {
  readonly path: Path;
  readonly entries: readonly Entry[];
  readonly problems: readonly string[];
}

interface Known {
  readonly peer: Peer;
  readonly planned: PlannedPeer;
  readonly entries: readonly Entry[];
  /** Of the entries. */
  readonly keys: readonly string[];
}

/** Plans what must be in the kernel; of who was planned before, only those about whom something changed. */
export class Planner {
  #ground: Ground | undefined;
  #known: ReadonlyMap<string, Known> = new Map();
  #entries = new Map<string, Entry>();
  /** No two peers have an entry of one key: what one leaves is nobody else's. */
  #isDistinct = false;
  #number = 0;

  /** What must be in the kernel so that the pods of all peers are reached. */
  plan(facts: PlanFacts): Plan {
    return takeAtOnce(this.steps(facts));
  }

  /** `plan`, a peer a step. */
  *steps(facts: PlanFacts): Steps<Plan> {
    const isSame = isSameGround(this.#ground, facts);
    const before = isSame ? this.#known : new Map<string, Known>();
    const known = new Map<string, Known>();
    const come: Known[] = [];
    for (const peer of facts.peers) {
      const last = before.get(peer.node.name);
      const isKnown = last !== undefined && isSamePeer(last.peer, peer);
      const now = isKnown ? last : look(peer, facts);
      known.set(peer.node.name, now);
      if (!isKnown) come.push(now);
      yield;
    }
    const gone: Known[] = [];
    for (const each of before.values()) {
      if (known.get(each.planned.name) !== each) gone.push(each);
    }
    const changedKeys = isSame ? this.#change(gone, come) : undefined;
    if (changedKeys === undefined) yield* this.#fill(known.values());
    const { backend, underlay, tunnel } = facts;
    this.#ground = { backend, underlay, tunnel };
    this.#known = known;
    this.#number += 1;
    const peers = Array.from(known.values(), ({ planned }) => planned);
    return { entries: this.#entries, peers, number: this.#number, changedKeys };
  }

  /** Gives the keys; undefined where an entry is not one peer's alone. */
  #change(gone: readonly Known[], come: readonly Known[]): ReadonlySet<string> | undefined {
    if (!this.#isDistinct) return undefined;
    const changed = new Set<string>();
    for (const key of gone.flatMap(({ keys }) => keys)) {
      this.#entries.delete(key);
      changed.add(key);
    }
    for (const each of come) {
      if (!this.#add(each)) return undefined;
      for (const key of each.keys) changed.add(key);
    }
    return changed;
  }

  *#fill(all: Iterable<Known>): Steps<void> {
    this.#entries = new Map();
    this.#isDistinct = true;
    for (const each of all) {
      if (!this.#add(each)) this.#isDistinct = false;
      yield;
    }
  }

  /** The last of a key counts; false where it is not the first. */
  #add({ keys, entries }: Known): boolean {
    const size = this.#entries.size + keys.length;
    for (const [i, key] of keys.entries()) {
      const entry = entries[i];
      if (entry !== undefined) this.#entries.set(key, entry);
    }
    return this.#entries.size === size;
  }
}

function isSameGround(a: Ground | undefined, b: Ground): boolean {
  return (
    a?.backend === b.backend &&
    a.underlay === b.underlay &&
    a.tunnel?.link === b.tunnel?.link &&
    a.tunnel?.family === b.tunnel?.family &&
    a.tunnel?.hasIPv6 === b.tunnel?.hasIPv6
  );
}

function isSamePeer(a: Peer, b: Peer): boolean {
  return (
    a.node === b.node &&
    a.addresses[4] === b.addresses[4] &&
    a.addresses[6] === b.addresses[6] &&
    a.podCIDRs.length === b.podCIDRs.length &&
    a.podCIDRs.every((cidr, i) => cidr === b.podCIDRs[i])
  );
}

function look(peer: Peer, facts: PlanFacts): Known {
  const { path, problems, entries } = planPeer(peer, facts);
  const { name } = peer.node;
  const addresses = Object.values(peer.addresses);
  const planned = { name, addresses, podCIDRs: peer.podCIDRs, path, problems };
  return { peer, planned, entries: entries.slice(), keys: entries.map(entryKey) };
}

function planPeer(peer: Peer, facts: PlanFacts): PeerPlan {
  const nothing = { entries: [], problems: [] };
  if (facts.backend === 'none' || peer.podCIDRs.length === 0) return { path: 'none', ...nothing };
  const direct = facts.backend === 'vxlan' ? undefined : directRoutes(peer, facts.underlay);
  const tunnel = tunnelEntries(peer, facts);
  // A peer on this link may still send through its tunnel, so it is known there in either case.
  if (direct?.problems.length === 0) {
    return { path: 'direct', problems: [], entries: [...neighbours(tunnel), ...direct.routes] };
  }
  if (facts.backend === 'host-gw') {
    const entries = [...neighbours(tunnel), ...(direct?.routes ?? [])];
    return { path: 'unreachable', entries, problems: direct?.problems ?? [] };
  }
  // Routes into the tunnel stay also when nothing leads to its other end: packets for pods do not leave
  // by the default route then.
  const { entries, problems } = tunnel;
  return { entries, problems, path: tunnel.isReached ? 'vxlan' : 'unreachable' };
}

function neighbours({ entries }: { readonly entries: readonly Entry[] }): readonly Entry[] {
  return entries.filter(({ kind }) => kind !== 'route');
}

/** Routes over the link that both nodes are on. */
function directRoutes({ addresses, podCIDRs }: Peer, underlay: Underlay) {
  const routes: Entry[] = [];
  const problems: string[] = [];
  for (const cidr of podCIDRs) {
    const found = directGateway(addresses, cidrFamily(cidr), underlay);
    if (typeof found === 'string') problems.push(`${cidr}: ${found}`);
    else routes.push(routeTo(cidr, found));
  }
  return { routes, problems };
}

/** An address of either family will do: IPv4 can go by an IPv6 router (RFC 5549), not the reverse. */
function directGateway(
  addresses: Peer['addresses'],
  family: IPFamily,
  underlay: Underlay,
): { readonly gateway: IP; readonly link: number } | string {
  const candidates = family === 4 ? [addresses[4], addresses[6]] : [addresses[6]];
  const present = candidates.filter((address) => address !== undefined);
  if (present.length === 0) return `the node has no IPv${family} InternalIP`;
  for (const gateway of present) {
    const hop = underlay.hopTo(gateway);
    if (hop?.isDirect === true) return { gateway, link: hop.link };
  }
  const address = present.join(' and ');
  return present.some((each) => underlay.hopTo(each) !== undefined)
    ? `${address} is behind a router, which has no route to these pods`
    : `no route leads to ${address}`;
}

/** A link of less than 1280 bytes has no IPv6 either. */
const NO_IPV6 =
  'the tunnel carries no IPv6: its MTU is below 1280, or the kernel has IPv6 disabled';

function otherDevice(family: IPFamily): string {
  return `it has a tunnel device for each family, as flannel makes them, and weft one for both, over IPv${family}: use host-gw, or weft on both nodes`;
}

/** Who the peer's tunnel is, where it is, and what it is for. */
function tunnelEntries(
  { node, podCIDRs, addresses }: Peer,
  { tunnel, underlay }: PlanFacts,
): Omit<PeerPlan, 'path'> & { readonly isReached: boolean } {
  const nothing = { isReached: false, entries: [] };
  if (tunnel === undefined) return { ...nothing, problems: ['there is no tunnel device'] };
  const { link, family, hasIPv6 } = tunnel;
  const remote = addresses[family];
  if (remote === undefined) {
    const lacking = `the node has no IPv${family} InternalIP, which tunnels use here`;
    return { ...nothing, problems: [lacking] };
  }
  const mac = node.tunnelMac;
  // Stands for the tunnel.
  const linkLocal = linkLocalOf(mac);
  const problems = underlay.hopTo(remote) === undefined ? [`no route leads to ${remote}`] : [];
  const gatewayOf = (cidr: Cidr) => (hasIPv6 ? linkLocal : networkAddress(cidr));
  const whyNot = (cidr: Cidr) => {
    if (!hasIPv6 && cidrFamily(cidr) === 6) return NO_IPV6;
    return node.hasTunnelPerFamily && cidrFamily(cidr) !== family ? otherDevice(family) : undefined;
  };
  const usable = podCIDRs.filter((cidr) => whyNot(cidr) === undefined);
  const left = podCIDRs.filter((cidr) => !usable.includes(cidr));
  const gateways = new Set(hasIPv6 ? [linkLocal] : usable.map(gatewayOf));
  return {
    isReached: problems.length === 0,
    problems: [...problems, ...left.map((cidr) => `${cidr}: ${whyNot(cidr)}`)],
    entries: [
      ...Array.from(gateways, (address): Entry => {
        return { kind: 'neighbour', entry: { link, address, mac, isPermanent: true } };
      }),
      { kind: 'forwarding', entry: { link, mac, remote } },
      // The kernel asks no route for a link-local gateway.
      ...usable.map((cidr) => routeTo(cidr, { gateway: gatewayOf(cidr), link }, !hasIPv6)),
    ],
  };
}

function routeTo(
  destination: Cidr,
  hop: { readonly gateway: IP; readonly link: number },
  isOnlink = false,
): Entry {
  const entry: Route = {
    destination,
    ...hop,
    protocol: FABRIC_PROTOCOL,
    priority: FABRIC_METRIC,
    ...(isOnlink ? { isOnlink } : {}),
  };
  return { kind: 'route', entry };
}
