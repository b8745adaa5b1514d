import { isDeepStrictEqual } from 'node:util';
import type { Link, LinkAddress, Route } from '../kernel/types.ts';
import { type Cidr, prefixLength } from '../net/cidr.ts';
import { type IP, type IPFamily, ipFamily } from '../net/ip.ts';
import { PrefixBook } from '../net/prefix-book.ts';
import { FABRIC_PROTOCOL } from './names.ts';

/** What the kernel says of the network below: facts, read at one moment. */
export interface UnderlayFacts {
  readonly links: readonly Link[];
  readonly addresses: readonly (LinkAddress & { readonly link: number })[];
  /** Of table main, both families, without those of the fabric. */
  readonly routes: readonly Route[];
}

/** How packets to another node leave this one. */
export interface Hop {
  readonly link: number;
  /** The other node is on that link itself; else a router is between. */
  readonly isDirect: boolean;
}

/** The network that Nodes reach each other by. */
export interface Underlay {
  /** Own addresses among the Node's, that there are. */
  readonly own: Partial<Readonly<Record<IPFamily, OwnAddress>>>;
  /** Those on the links of these addresses, with what they are. */
  readonly networks: readonly { readonly cidr: Cidr; readonly what: string }[];
  /** Undefined where no route leads. */
  hopTo(address: IP): Hop | undefined;
}

export interface OwnAddress {
  readonly address: IP;
  readonly link: Link;
}

/**
 * Reads off how other Nodes are reached. Routes of the fabric itself do not count, and of routes to
 * one network the one with the lowest metric does, as in the kernel's own choice.
 */
export function readUnderlay(
  { links, addresses, routes }: UnderlayFacts,
  nodeAddresses: Partial<Readonly<Record<IPFamily, IP>>>,
): Underlay {
  const hops = new PrefixBook<Route>();
  const foreign = routes.filter(({ protocol }) => protocol !== FABRIC_PROTOCOL);
  for (const route of foreign) {
    const known = hops.get(route.destination);
    if (known === undefined || metricOf(route) < metricOf(known))
      hops.set(route.destination, route);
  }
  const byIndex = new Map(links.map((link) => [link.index, link]));
  const own: { -readonly [family in IPFamily]?: OwnAddress } = {};
  for (const ip of Object.values(nodeAddresses)) {
    const link = byIndex.get(addresses.find(({ address }) => address === ip)?.link ?? 0);
    if (link !== undefined) own[ipFamily(ip)] = { address: ip, link };
  }
  return {
    own,
    networks: networksOf(foreign, own),
    hopTo(address) {
      const route = hops.longestMatch(address);
      if (route?.link === undefined) return undefined;
      return { link: route.link, isDirect: route.gateway === undefined };
    },
  };
}

/** A route without metric is taken first. */
function metricOf({ priority = 0 }: Route): number {
  return priority;
}

function networksOf(foreign: readonly Route[], own: Underlay['own']): Underlay['networks'] {
  const names = new Map(Object.values(own).map(({ link }) => [link.index, link.name]));
  return foreign.flatMap(({ destination, gateway, link = 0 }) => {
    const name = names.get(link);
    const isConnected = gateway === undefined && prefixLength(destination) > 0;
    if (name === undefined || !isConnected) return [];
    return [{ cidr: destination, what: `the network of link ${name}` }];
  });
}

/** `readUnderlay` again and again: the same value as long as nothing that it says is another. */
export function underlayReader(): typeof readUnderlay {
  let last: { readonly routes: readonly Route[]; readonly underlay: Underlay } | undefined;
  return (facts, nodeAddresses) => {
    const underlay = readUnderlay(facts, nodeAddresses);
    const { routes } = facts;
    const isSame =
      isDeepStrictEqual(last?.underlay.own, underlay.own) &&
      isDeepStrictEqual(last?.routes, routes);
    if (last === undefined || !isSame) last = { routes, underlay };
    return last.underlay;
  };
}
