import type { Link, LinkAddress, Route } from '../../kernel/types.ts';
import { type Cidr, containsCidr, containsIP } from '../../net/cidr.ts';

/**
 * Names of the links by which this node's pods send: those that have an address in one of their
 * networks, as a bridge has, or a route of one address or more of them without a gateway, as the veth
 * of a routed pod has. Sorted. Pure.
 */
export function podLinks(
  podCIDRs: readonly Cidr[],
  node: {
    readonly links: readonly Pick<Link, 'index' | 'name'>[];
    readonly addresses: readonly (Pick<LinkAddress, 'address'> & { readonly link: number })[];
    /** Of the main table. */
    readonly routes: readonly Pick<Route, 'destination' | 'gateway' | 'link'>[];
  },
): readonly string[] {
  const indexes = new Set([
    ...node.addresses
      .filter(({ address }) => podCIDRs.some((cidr) => containsIP(cidr, address)))
      .map(({ link }) => link),
    ...node.routes
      .filter(({ gateway }) => gateway === undefined)
      .filter(({ destination }) => podCIDRs.some((cidr) => containsCidr(cidr, destination)))
      .map(({ link }) => link),
  ]);
  return node.links
    .filter(({ index }) => indexes.has(index))
    .map(({ name }) => name)
    .toSorted();
}
