import type { IP, IPFamily } from '../net/ip.ts';
import type { Mac } from '../net/mac.ts';
import { NLM_F_APPEND, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REPLACE } from '../netlink/message.ts';
import { NETLINK_ROUTE } from '../netlink/numbers.ts';
import * as addresses from '../netlink/rtnetlink/address.ts';
import * as bridges from '../netlink/rtnetlink/bridge.ts';
import * as links from '../netlink/rtnetlink/link.ts';
import * as neighbours from '../netlink/rtnetlink/neighbour.ts';
import * as routes from '../netlink/rtnetlink/route.ts';
import { encodeDummy, encodeIfb, encodeVeth } from '../netlink/rtnetlink/veth.ts';
import { type NetlinkError, NetlinkSocket } from '../netlink/socket.ts';
import { succeedsUnless, unlessErrno } from '../util/errno.ts';
import { GONE } from './netlink-errors.ts';
import * as bridgeVlans from './rtnl/bridge-vlans.ts';
import { deleteLinks } from './rtnl/link-batch.ts';
import { type Requests, withLinkNames } from './rtnl/named-links.ts';
import * as proxies from './rtnl/proxy-neighbours.ts';
import * as routing from './rtnl/routing.ts';
import * as trafficControl from './rtnl/traffic-control.ts';
import * as tunnels from './rtnl/tunnels.ts';
import type {
  BridgeChange,
  BridgePort,
  BridgeSpec,
  EntryChange,
  ForwardingEntry,
  IfbSpec,
  Link,
  LinkAddress,
  LinkChange,
  Neighbour,
  Netns,
  NodeRtnl,
  PortVlan,
  PortVlanOptions,
  PortVlanRange,
  ProxyNeighbour,
  Route,
  RouteAnswer,
  RouteLookup,
  RouteQuestion,
  RouteQuestions,
  TokenBucket,
  VethSpec,
  VxlanSpec,
} from './types.ts';

/** Opens rtnetlink in `netns`, or in the namespace of this process. */
export function openRtnl(netns?: Netns): NodeRtnl & RouteLookup & RouteQuestions {
  return new RtnlSocket(
    NetlinkSocket.open(NETLINK_ROUTE, {
      ...(netns === undefined ? {} : { netns }),
      receiveBufferBytes: 1 << 21,
    }),
  );
}

class RtnlSocket implements NodeRtnl, RouteLookup, RouteQuestions {
  readonly #socket: Requests;
  readonly close: () => void;

  constructor(socket: NetlinkSocket) {
    this.#socket = withLinkNames(socket);
    this.close = () => socket.close();
  }

  link(name: string): Link | undefined {
    return this.#getLink(links.encodeLinkByName(name), `get link ${name}`);
  }

  linkByIndex(index: number): Link | undefined {
    return this.#getLink(links.encodeLinkByIndex(index), `get link ${index}`);
  }

  links(): readonly Link[] {
    const replies = this.#socket.dump(links.RTM_GETLINK, links.encodeLinkFilter(), 'list links');
    return replies.map((reply) => links.decodeLink(reply.payload));
  }

  createBridge(spec: BridgeSpec): boolean {
    return this.#createIfAbsent(
      links.RTM_NEWLINK,
      bridges.encodeBridge(spec),
      `create bridge ${spec.name}`,
    );
  }

  createDummy(name: string): boolean {
    return this.#createIfAbsent(links.RTM_NEWLINK, encodeDummy(name), `create dummy link ${name}`);
  }

  createVeth(spec: VethSpec): void {
    const what = `create veth ${spec.host.name} with peer ${spec.pod.name}`;
    const payload = encodeVeth(spec);
    this.#socket.request(links.RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, payload, what);
    const { name, alias } = spec.host;
    // Not in one datagram: the kernel would go on after EEXIST and rename somebody else's link.
    if (alias !== undefined) {
      const change = links.encodeLinkChangeByName(name, { alias });
      this.#socket.request(links.RTM_NEWLINK, 0, change, `set the alias of link ${name}`);
    }
  }

  changeLink(index: number, change: LinkChange): void {
    const what = `change link ${index} (${Object.keys(change).join(', ')})`;
    this.#socket.request(links.RTM_NEWLINK, 0, links.encodeLinkChange(index, change), what);
  }

  changeBridgePort(index: number, port: BridgePort): void {
    const payload = bridges.encodeBridgePort(index, port);
    this.#socket.request(links.RTM_SETLINK, 0, payload, `change bridge port of link ${index}`);
  }

  deleteLink(index: number): boolean {
    const payload = links.encodeLinkByIndex(index);
    return this.#deleteIfPresent(links.RTM_DELLINK, payload, `delete link ${index}`);
  }

  addresses(index = 0): readonly (LinkAddress & { readonly link: number })[] {
    const payload = addresses.encodeAddressFilter(index);
    const replies = this.#socket.dump(addresses.RTM_GETADDR, payload, 'list addresses');
    return replies.map((reply) => addresses.decodeAddress(reply.payload));
  }

  addAddress(index: number, address: LinkAddress): boolean {
    const what = `add address ${address.address}/${address.prefixLength} to link ${index}`;
    return this.#createIfAbsent(
      addresses.RTM_NEWADDR,
      addresses.encodeAddress(index, address),
      what,
    );
  }

  deleteAddress(index: number, address: LinkAddress): boolean {
    const what = `delete address ${address.address}/${address.prefixLength} of link ${index}`;
    return this.#deleteIfPresent(
      addresses.RTM_DELADDR,
      addresses.encodeAddress(index, address),
      what,
    );
  }

  routes(family: IPFamily, table: number = routes.RT_TABLE_MAIN): readonly Route[] {
    return routing.listRoutes(this.#socket, family, table);
  }

  localRoutes(family: IPFamily): readonly IP[] {
    return routing.localRoutes(this.#socket, family);
  }

  routeTo(address: IP): Route | undefined {
    return routing.routeTo(this.#socket, address);
  }

  askRoute(question: RouteQuestion): RouteAnswer {
    return routing.askRoute(this.#socket, question);
  }

  addRoute(route: Route): boolean {
    const payload = routes.encodeRoute(route);
    return succeedsUnless(['EEXIST'], () => {
      const flags = NLM_F_CREATE | NLM_F_APPEND;
      this.#socket.request(routes.RTM_NEWROUTE, flags, payload, `add ${routes.routeText(route)}`);
    });
  }

  replaceRoute(route: Route): void {
    const flags = NLM_F_CREATE | NLM_F_REPLACE;
    const payload = routes.encodeRoute(route);
    this.#socket.request(routes.RTM_NEWROUTE, flags, payload, `replace ${routes.routeText(route)}`);
  }

  deleteRoute(route: Route): boolean {
    const payload = routes.encodeRoute(route);
    return this.#deleteIfPresent(routes.RTM_DELROUTE, payload, `delete ${routes.routeText(route)}`);
  }

  setNeighbour(index: number, address: IP, mac: Mac): void {
    const payload = neighbours.encodeNeighbour({ link: index, address, mac, isPermanent: false });
    const flags = NLM_F_CREATE | NLM_F_REPLACE;
    const what = `set neighbour ${address} on link ${index}`;
    this.#socket.request(neighbours.RTM_NEWNEIGH, flags, payload, what);
  }

  deleteNeighbour(index: number, address: IP): boolean {
    const payload = neighbours.encodeNeighbourKey(index, address);
    const what = `delete neighbour ${address} on link ${index}`;
    return this.#deleteIfPresent(neighbours.RTM_DELNEIGH, payload, what);
  }

  proxyNeighbours(): readonly ProxyNeighbour[] {
    return proxies.proxyNeighbours(this.#socket);
  }

  setProxyNeighbour(proxy: ProxyNeighbour): void {
    proxies.setProxyNeighbour(this.#socket, proxy);
  }

  deleteProxyNeighbour(proxy: ProxyNeighbour): boolean {
    return proxies.deleteProxyNeighbour(this.#socket, proxy);
  }

  changeBridge(index: number, change: BridgeChange): void {
    const payload = bridges.encodeBridgeChange(index, change);
    this.#socket.request(links.RTM_NEWLINK, 0, payload, `change bridge of link ${index}`);
  }

  portVlans(index: number): readonly PortVlan[] {
    return bridgeVlans.portVlans(this.#socket, index);
  }

  addPortVlans(index: number, vlans: readonly PortVlanRange[], options?: PortVlanOptions): void {
    bridgeVlans.changePortVlans(this.#socket, 'add', { index, vlans, ...options });
  }

  deletePortVlans(index: number, vlans: readonly PortVlanRange[], options?: PortVlanOptions): void {
    bridgeVlans.changePortVlans(this.#socket, 'delete', { index, vlans, ...options });
  }

  deleteLinks(indexes: readonly number[]): void {
    deleteLinks(this.#socket, indexes);
  }

  createIfb(spec: IfbSpec): boolean {
    return this.#createIfAbsent(links.RTM_NEWLINK, encodeIfb(spec), `create ifb ${spec.name}`);
  }

  setTokenBucket(link: number, bucket: TokenBucket): void {
    trafficControl.setTokenBucket(this.#socket, link, bucket);
  }

  tokenBucket(link: number): TokenBucket | undefined {
    return trafficControl.tokenBucket(this.#socket, link);
  }

  deleteTokenBucket(link: number): boolean {
    return trafficControl.deleteTokenBucket(this.#socket, link);
  }

  redirectIngress(link: number, target: number): void {
    trafficControl.redirectIngress(this.#socket, link, target);
  }

  ingressRedirect(link: number): number | undefined {
    return trafficControl.ingressRedirect(this.#socket, link);
  }

  deleteIngressRedirect(link: number): boolean {
    return trafficControl.deleteIngressRedirect(this.#socket, link);
  }

  createVxlan(spec: VxlanSpec): boolean {
    return tunnels.createVxlan(this.#socket, spec);
  }

  neighbours(link: number): readonly Neighbour[] {
    return tunnels.neighbours(this.#socket, link);
  }

  forwardingEntries(link: number): readonly ForwardingEntry[] {
    return tunnels.forwardingEntries(this.#socket, link);
  }

  applyEntries(changes: Iterable<EntryChange>): readonly (NetlinkError | undefined)[] {
    return tunnels.applyEntries(this.#socket, changes);
  }

  #getLink(payload: Buffer, what: string): Link | undefined {
    const [reply] =
      unlessErrno(['ENODEV'], () => this.#socket.request(links.RTM_GETLINK, 0, payload, what)) ??
      [];
    return reply === undefined ? undefined : links.decodeLink(reply.payload);
  }

  #createIfAbsent(type: number, payload: Buffer, what: string): boolean {
    return succeedsUnless(['EEXIST'], () => {
      this.#socket.request(type, NLM_F_CREATE | NLM_F_EXCL, payload, what);
    });
  }

  #deleteIfPresent(type: number, payload: Buffer, what: string): boolean {
    return succeedsUnless(GONE, () => {
      this.#socket.request(type, 0, payload, what);
    });
  }
}

/** For one use, in the namespace of this process. */
export function withRtnl<T>(use: (rtnl: NodeRtnl) => T): T {
  const rtnl = openRtnl();
  try {
    return use(rtnl);
  } finally {
    rtnl.close();
  }
}
