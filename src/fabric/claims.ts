import { type Cidr, cidrFamily, containsCidr, hostCidr } from '../net/cidr.ts';
import { PrefixBook } from '../net/prefix-book.ts';
import type { FabricNode } from './nodes.ts';

/** Networks that are nobody's podCIDR. */
export interface Reserved {
  /** The cluster's pods; none given means anywhere. */
  readonly clusterCIDRs: readonly Cidr[];
  /** Networks of links of this node, and of Services; with what they are, for people. */
  readonly taken: readonly { readonly cidr: Cidr; readonly what: string }[];
}

/** Which podCIDRs are whose. */
export interface Claims {
  /** Networks that each Node has for itself, by name. */
  readonly owned: ReadonlyMap<string, readonly Cidr[]>;
  /** Why a Node does not have what it asks for, by name. */
  readonly refused: ReadonlyMap<string, readonly string[]>;
}

/**
 * Gives each podCIDR to one Node: of those that want the same addresses, the oldest, by creation, then
 * uid, then name. Nobody gets addresses of Nodes, of this node's links, of Services, or outside the
 * configured networks of the cluster: a route for them would take traffic from where it belongs.
 */
export function claimPodCIDRs(nodes: Iterable<FabricNode>, reserved: Reserved): Claims {
  const byAge = [...nodes].toSorted(compareAge);
  const owners = new PrefixBook<string>();
  const taken = new PrefixBook<string>();
  for (const { cidr, what } of reserved.taken) taken.set(cidr, what);
  const addresses = new PrefixBook<string>();
  for (const [ip, name] of addressesOf(byAge)) addresses.set(ip, `the address of node ${name}`);
  const owned = new Map<string, readonly Cidr[]>();
  const refused = new Map<string, readonly string[]>();
  for (const node of byAge) {
    const reasons: string[] = [];
    const own = node.podCIDRs.filter((cidr) => {
      const reason =
        outsideOf(reserved.clusterCIDRs, cidr) ??
        overlap(taken.overlapping(cidr) ?? addresses.overlapping(cidr)) ??
        claimFor(node.name, cidr, owners);
      if (reason !== undefined) reasons.push(`podCIDR ${cidr} ${reason}`);
      return reason === undefined;
    });
    owned.set(node.name, own);
    if (reasons.length > 0) refused.set(node.name, reasons);
  }
  return { owned, refused };
}

/** What is free becomes the Node's; else why it does not. */
function claimFor(name: string, cidr: Cidr, owners: PrefixBook<string>): string | undefined {
  const owner = owners.overlapping(cidr);
  if (owner === undefined) {
    owners.set(cidr, name);
    return undefined;
  }
  if (owner === name) return 'overlaps another one of the same node';
  return `overlaps one of node ${owner}, which is older and keeps it`;
}

function* addressesOf(nodes: readonly FabricNode[]): Iterable<readonly [Cidr, string]> {
  for (const { name, addresses } of nodes) {
    for (const ip of Object.values(addresses)) yield [hostCidr(ip), name];
  }
}

/** In words, when the podCIDR is not in the cluster's networks. */
export function outsideOf(clusterCIDRs: readonly Cidr[], cidr: Cidr): string | undefined {
  const own = clusterCIDRs.filter((each) => cidrFamily(each) === cidrFamily(cidr));
  if (own.length === 0 || own.some((each) => containsCidr(each, cidr))) return undefined;
  return `is outside of clusterCIDRs ${own.join(', ')}`;
}

function overlap(what: string | undefined): string | undefined {
  return what === undefined ? undefined : `overlaps ${what}`;
}

function compareAge(a: FabricNode, b: FabricNode): number {
  return (
    compareText(a.createdAt, b.createdAt) ||
    compareText(a.uid, b.uid) ||
    compareText(a.name, b.name)
  );
}

function compareText(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
