import { type Cidr, cidrFamily, containsCidr, hostCidr } from '../net/cidr.ts';
import type { IP } from '../net/ip.ts';
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
  /** InternalIPs that are not used, as they are addresses of another Node's pods; by name. */
  readonly misplaced: ReadonlyMap<string, ReadonlySet<IP>>;
  /** Why a Node does not have what it asks for, by name. */
  readonly refused: ReadonlyMap<string, readonly string[]>;
}

/** So many Nodes with addresses in a podCIDR are right, and the podCIDR is wrong. */
const MOST_MISPLACED = 1;

/**
 * Gives each podCIDR to one Node: of those that want the same addresses, the oldest, by creation, then
 * uid, then name. Nobody gets addresses of Nodes, of this node's links, of Services, or outside the
 * configured networks of the cluster: a route for them would take traffic from where it belongs. Only
 * the address of a single younger Node takes no podCIDR away, as a Node says itself what its addresses
 * are: then that address is not used.
 */
export function claimPodCIDRs(nodes: Iterable<FabricNode>, reserved: Reserved): Claims {
  const byAge = [...nodes].toSorted(compareAge);
  const books = readBooks(byAge, reserved);
  const owned = new Map<string, readonly Cidr[]>();
  const misplaced = new Map<string, ReadonlySet<IP>>();
  const refused = new Map<string, readonly string[]>();
  for (const node of byAge) {
    const reasons: string[] = [];
    const strays = claimAddresses(node, books, reasons);
    if (strays.size > 0) misplaced.set(node.name, strays);
    const own = node.podCIDRs.filter((cidr) => {
      const reason =
        outsideOf(reserved.clusterCIDRs, cidr) ??
        overlap(books.taken.overlapping(cidr) ?? addressIn(cidr, books)) ??
        claimFor(node.name, cidr, books.owners);
      if (reason !== undefined) reasons.push(`podCIDR ${cidr} ${reason}`);
      return reason === undefined;
    });
    owned.set(node.name, own);
    if (reasons.length > 0) refused.set(node.name, reasons);
  }
  return { owned, misplaced, refused };
}

interface Books {
  readonly taken: PrefixBook<string>;
  /** Whose a podCIDR is, of the Nodes that were looked at. */
  readonly owners: PrefixBook<string>;
  /** Names of the Nodes that were looked at, by their addresses that are used. */
  readonly settled: PrefixBook<string>;
  /** The same of all Nodes, whether they are used or not. */
  readonly said: PrefixBook<string>;
  /** Names of the Nodes that have an address in a network that is somebody's podCIDR. */
  readonly inside: ReadonlyMap<Cidr, ReadonlySet<string>>;
}

function readBooks(nodes: readonly FabricNode[], reserved: Reserved): Books {
  const taken = new PrefixBook<string>();
  for (const { cidr, what } of reserved.taken) taken.set(cidr, what);
  const wanted = new PrefixBook<Cidr>();
  for (const cidr of nodes.flatMap(({ podCIDRs }) => podCIDRs)) wanted.set(cidr, cidr);
  const said = new PrefixBook<string>();
  const inside = new Map<Cidr, Set<string>>();
  for (const { name, addresses } of nodes) {
    for (const ip of Object.values(addresses)) {
      said.set(hostCidr(ip), name);
      const cidr = wanted.longestMatch(ip);
      if (cidr !== undefined) inside.set(cidr, (inside.get(cidr) ?? new Set()).add(name));
    }
  }
  return { taken, owners: new PrefixBook(), settled: new PrefixBook(), said, inside };
}

/** Gives the addresses of the Node that are those of an older one's pods. */
function claimAddresses(
  { name, addresses }: FabricNode,
  { owners, settled }: Books,
  reasons: string[],
): ReadonlySet<IP> {
  const strays = new Set<IP>();
  for (const ip of Object.values(addresses)) {
    const owner = owners.longestMatch(ip);
    const other = settled.get(hostCidr(ip));
    if (owner !== undefined) {
      strays.add(ip);
      reasons.push(`InternalIP ${ip} is not used: it is in the podCIDR of node ${owner}`);
    } else if (other === undefined) settled.set(hostCidr(ip), name);
    else
      reasons.push(`InternalIP ${ip} is that of node ${other} too: delete the Node that is gone`);
  }
  return strays;
}

/** Whose address keeps the network from being a podCIDR. */
function addressIn(cidr: Cidr, { settled, said, inside }: Books): string | undefined {
  // Those in a smaller podCIDR are not counted for this one.
  const isTolerable = inside.get(cidr)?.size === MOST_MISPLACED;
  const name = settled.overlapping(cidr) ?? (isTolerable ? undefined : said.overlapping(cidr));
  return name === undefined ? undefined : `the address of node ${name}`;
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
