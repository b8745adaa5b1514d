/**
 * What the feature folders see of Linux: values and interfaces, no implementation. Everything is
 * synchronous: a netlink request is answered before the send returns.
 */
import type { IP, IPFamily } from '../net/ip.ts';
import type { Mac } from '../net/mac.ts';
import type { Flow } from '../netlink/ctnetlink/flow.ts';
import type { FlowFilter, PortTuple } from '../netlink/ctnetlink/request.ts';
import type { LinkAddress } from '../netlink/rtnetlink/address.ts';
import type { BridgeChange, BridgePort, BridgeSpec } from '../netlink/rtnetlink/bridge.ts';
import type { PortVlan, PortVlanOptions, PortVlanRange } from '../netlink/rtnetlink/bridge-vlan.ts';
import type { ForwardingEntry } from '../netlink/rtnetlink/forwarding.ts';
import type { Link, LinkChange } from '../netlink/rtnetlink/link.ts';
import type { Neighbour, ProxyNeighbour } from '../netlink/rtnetlink/neighbour.ts';
import type { Route } from '../netlink/rtnetlink/route.ts';
import type { RouteAnswer, RouteQuestion } from '../netlink/rtnetlink/route-question.ts';
import type { TokenBucket } from '../netlink/rtnetlink/token-bucket.ts';
import type { IfbSpec, VethSpec } from '../netlink/rtnetlink/veth.ts';
import type { VxlanSpec } from '../netlink/rtnetlink/vxlan.ts';
import type { NetlinkError } from '../netlink/socket.ts';

export type { Flow, Tuple } from '../netlink/ctnetlink/flow.ts';
export type { FlowFilter, PortTuple, TupleFilter } from '../netlink/ctnetlink/request.ts';
export type { LinkAddress } from '../netlink/rtnetlink/address.ts';
export type {
  BridgeChange,
  BridgePort,
  BridgeSpec,
  PortState,
} from '../netlink/rtnetlink/bridge.ts';
export type {
  PortVlan,
  PortVlanOptions,
  PortVlanRange,
} from '../netlink/rtnetlink/bridge-vlan.ts';
export type { ForwardingEntry } from '../netlink/rtnetlink/forwarding.ts';
export type { Link, LinkChange } from '../netlink/rtnetlink/link.ts';
export type { Neighbour, ProxyNeighbour } from '../netlink/rtnetlink/neighbour.ts';
export type { Route } from '../netlink/rtnetlink/route.ts';
export type { RouteAnswer, RouteQuestion } from '../netlink/rtnetlink/route-question.ts';
export type { TokenBucket } from '../netlink/rtnetlink/token-bucket.ts';
export type { IfbSpec, VethSpec } from '../netlink/rtnetlink/veth.ts';
export type { Vxlan, VxlanSpec } from '../netlink/rtnetlink/vxlan.ts';

/** An open network namespace. `id` is `<device>:<inode>`: equal ids are the same namespace. */
export interface Netns {
  readonly fd: number;
  readonly id: string;
  close(): void;
}

export interface Netnses {
  /** Opens a bind-mounted or /proc path. Throws NetnsError when it is missing or none. */
  open(path: string): Netns;
  /** Takes over a descriptor somebody passed; throws NetnsError (and closes it) if it is none. */
  adopt(fd: number, description: string): Netns;
  /** The namespace this process lives in. */
  self(): Netns;
}

/** rtnetlink in one namespace. Lookups of what does not exist give undefined, not an error. */
export interface Rtnl {
  link(name: string): Link | undefined;
  linkByIndex(index: number): Link | undefined;
  links(): readonly Link[];
  /** Creates a bridge; raising it is up to the caller. `false` when the name was taken meanwhile. */
  createBridge(spec: BridgeSpec): boolean;
  /** Creates a link that only holds addresses, down. `false` when the name was taken. */
  createDummy(name: string): boolean;
  createVeth(spec: VethSpec): void;
  changeLink(index: number, change: LinkChange): void;
  changeBridgePort(index: number, port: BridgePort): void;
  /** `false` when it was gone already. */
  deleteLink(index: number): boolean;
  /** Addresses of one link, or of all. */
  addresses(index?: number): readonly (LinkAddress & { readonly link: number })[];
  /** Adds, by default without duplicate address detection. `false` when it was there already. */
  addAddress(index: number, address: LinkAddress): boolean;
  deleteAddress(index: number, address: LinkAddress): boolean;
  /** Unicast routes of one table (254, main, when absent). */
  routes(family: IPFamily, table?: number): readonly Route[];
  /** Appends; an equal route that exists already is left as it is and gives `false`. */
  addRoute(route: Route): boolean;
  replaceRoute(route: Route): void;
  deleteRoute(route: Route): boolean;
  setNeighbour(index: number, address: IP, mac: Mac): void;
  deleteNeighbour(index: number, address: IP): boolean;
  close(): void;
}

/** VLANs of bridges. */
export interface BridgeVlans {
  /** Throws ENOTSUP on kernels without VLAN filtering. */
  changeBridge(index: number, change: BridgeChange): void;
  /** VLANs of a port or, by the bridge's own index, of the bridge; by number, ascending. */
  portVlans(index: number): readonly PortVlan[];
  /** Adds to what is there, or changes the flags of what is there. */
  addPortVlans(index: number, vlans: readonly PortVlanRange[], options?: PortVlanOptions): void;
  /** Only the numbers count; those that are not there are no error. */
  deletePortVlans(index: number, vlans: readonly PortVlanRange[], options?: PortVlanOptions): void;
}

/** Many links at once. */
export interface LinkBatches {
  /**
   * Deletes links with one wait of the kernel for all of them instead of one each, through a link
   * group made for this call. Links that are gone already are no error; other links are never
   * touched. When it throws, what is left has its own group again.
   */
  deleteLinks(indexes: readonly number[]): void;
}

/** Queueing disciplines and filters of links. */
export interface TrafficControl {
  /** Creates an ifb, raised. `false` when the name was taken. */
  createIfb(spec: IfbSpec): boolean;
  /** Makes the link send through this tbf; one that is there is changed without loss. */
  setTokenBucket(link: number, bucket: TokenBucket): void;
  /** The tbf the link sends through, undefined when it is something else. */
  tokenBucket(link: number): TokenBucket | undefined;
  /** Gives back the kernel's default qdisc. `false` when the link had no tbf. */
  deleteTokenBucket(link: number): boolean;
  /**
   * Sends everything the link receives to `target` instead. Shares the `ingress` or `clsact` qdisc
   * somebody made, behind the filters of others; repeated calls change nothing.
   */
  redirectIngress(link: number, target: number): void;
  /** Where `redirectIngress` sends packets now. */
  ingressRedirect(link: number): number | undefined;
  /** Takes the filter back and leaves the qdisc. `false` when there was none. */
  deleteIngressRedirect(link: number): boolean;
}

/** Questions to the routing. */
export interface RouteLookup {
  /** The unicast route by which packets to an address leave; undefined for this node's own. */
  routeTo(address: IP): Route | undefined;
  /** The addresses and networks that lead to this node itself, by their first address. */
  localRoutes(family: IPFamily): readonly IP[];
}

/** Questions about packets. */
export interface RouteQuestions {
  /** What becomes of one, with the checks of forwarding and rp_filter where it came in by a link. */
  askRoute(question: RouteQuestion): RouteAnswer;
}

/** An entry that leads to another node. Routes are put in place of one of equal key. */
export type Entry =
  | { readonly kind: 'neighbour'; readonly entry: Neighbour }
  | { readonly kind: 'forwarding'; readonly entry: ForwardingEntry }
  | { readonly kind: 'route'; readonly entry: Route };

/** `put` adds or replaces by key: a neighbour's address, a MAC, a route's destination and priority. */
export type EntryChange = { readonly action: 'put' | 'delete' } & Entry;

/** Tunnels to other nodes, and the entries that lead into them. */
export interface Tunnels {
  /**
   * Creates a VXLAN link, raised. `false` when the name was taken. Throws EEXIST for a network that
   * another VXLAN link has, EADDRINUSE for a port of somebody else.
   */
  createVxlan(spec: VxlanSpec): boolean;
  /** Of both families; without those that the kernel is still asking for. */
  neighbours(link: number): readonly Neighbour[];
  /** Of a VXLAN link; without those that it learned. */
  forwardingEntries(link: number): readonly ForwardingEntry[];
  /**
   * Makes the changes in order, many to a datagram, and gives one outcome each: undefined or its
   * error. The kernel goes on after one that fails. Deleting what is gone is no error.
   */
  applyEntries(changes: Iterable<EntryChange>): readonly (NetlinkError | undefined)[];
}

/** IPv6 addresses of others that links answer for, where `proxy_ndp` is on. */
export interface ProxyNeighbours {
  /** Those of all links, whoever made them. */
  proxyNeighbours(): readonly ProxyNeighbour[];
  /** One that is there is taken over. */
  setProxyNeighbour(proxy: ProxyNeighbour): void;
  /** `false` when it was not there. */
  deleteProxyNeighbour(proxy: ProxyNeighbour): boolean;
}

/** Everything rtnetlink does for a node. */
export interface NodeRtnl
  extends Rtnl,
    BridgeVlans,
    LinkBatches,
    ProxyNeighbours,
    TrafficControl,
    Tunnels {}

export interface Conntrack {
  /** The kernel picks the flows (kernel 5.8), so few matches among many flows are cheap. */
  flows(filter: FlowFilter): readonly Flow[];
  /** The connection that such a packet belongs to, whichever side sends it; undefined for none. */
  flowOf(packet: PortTuple): Flow | undefined;
  /** Deletes what matches the filter and, if given, the predicate; gives how many it deleted. */
  deleteFlows(filter: FlowFilter, predicate?: (flow: Flow) => boolean): number;
  /** Clears bits of the mark of what matches the filter; gives how many flows it changed. */
  clearMarks(filter: FlowFilter, mask: number): number;
  close(): void;
}

/** What one sweep over the flows did. */
export interface Sweep {
  /** Flows that matched the filter. */
  readonly seen: number;
  readonly deleted: number;
  /** False when the table changed shape meanwhile, so that some flows may not have been seen. */
  readonly isComplete: boolean;
}

/** Conntrack for tables of any size: the kernel lists on another thread, in parts. */
export interface FlowSweeper {
  /** Deletes the flows that match the filter and that `isWanted` names, asked as each is read. */
  deleteFlows(filter: FlowFilter, isWanted: (flow: Flow) => boolean): Promise<Sweep>;
}

export interface Sysctls {
  /** Value without the trailing newline, undefined when the entry does not exist. */
  read(netns: Netns | undefined, path: string): string | undefined;
  /**
   * Writes only when the value differs, so a read-only /proc/sys that is right already is no
   * error. `path` is below /proc/sys with slashes: `net/ipv4/ip_forward`.
   */
  write(netns: Netns | undefined, path: string, value: string): void;
}
