import { type Cidr, cidrFamily, containsCidr, containsIP } from '../net/cidr.ts';
import type { IP } from '../net/ip.ts';
import { PrefixBook } from '../net/prefix-book.ts';
import { compareText } from '../util/text-order.ts';
import { type Steps, takeAtOnce } from '../util/turns.ts';
import { settleDisputes } from './disputes.ts';
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

/**
 * Gives each podCIDR to one Node: of those that want the same addresses, the oldest, by creation, then
 * uid, then name. Nobody gets addresses of Nodes, of this node's links, of Services, or outside the
 * configured networks of the cluster: a route for them would take traffic from where it belongs. What a
 * single Node says of its addresses takes no podCIDR away (see disputes.ts).
 */
export function claimPodCIDRs(nodes: Iterable<FabricNode>, reserved: Reserved): Claims {
  return takeAtOnce(claimSteps(nodes, reserved));
}

/** `claimPodCIDRs`, a Node a step. */
export function* claimSteps(nodes: Iterable<FabricNode>, reserved: Reserved): Steps<Claims> {
  const byAge = [...nodes].toSorted(compareAge);
  yield;
  const reasonAgainst = withReserved(reserved);
  const against = new Map<Cidr, string>();
  const wanted = new Map<FabricNode, readonly Cidr[]>();
  for (const node of byAge) {
    for (const cidr of node.podCIDRs) {
      const reason = reasonAgainst(cidr);
      if (reason !== undefined) against.set(cidr, reason);
    }
    const isWanted = (cidr: Cidr) => !hasOwnAddress(node, cidr) && !against.has(cidr);
    wanted.set(node, exactly(node.podCIDRs, isWanted));
    yield;
  }
  const { strays, addressIn } = yield* settleDisputes(byAge, wanted);
  const owners = new PrefixBook<string>();
  const addresses = new Map<IP, string>();
  const owned = new Map<string, readonly Cidr[]>();
  const misplaced = new Map<string, ReadonlySet<IP>>();
  const refused = new Map<string, readonly string[]>();
  for (const node of byAge) {
    const stray = strays.get(node);
    const reasons = addressReasons(node, stray, addresses);
    if (stray !== undefined) misplaced.set(node.name, new Set(stray.keys()));
    const own = exactly(node.podCIDRs, (cidr) => {
      const reason =
        against.get(cidr) ??
        overlap(nameText(addressIn(cidr))) ??
        claimFor(node.name, cidr, owners);
      if (reason !== undefined) reasons.push(`podCIDR ${cidr} ${reason}`);
      return reason === undefined;
    });
    owned.set(node.name, own);
    if (reasons.length > 0) refused.set(node.name, reasons);
    yield;
  }
  return { owned, misplaced, refused };
}

/** Those that are, which nearly always are all: then the same array, as there are thousands. */
function exactly<T>(items: readonly T[], is: (item: T) => boolean): readonly T[] {
  const found = items.filter(is);
  return found.length === items.length ? items : found;
}

/** Why a network is no podCIDR, whatever Nodes say. */
function withReserved({ clusterCIDRs, taken }: Reserved): (cidr: Cidr) => string | undefined {
  const book = new PrefixBook<string>();
  for (const { cidr, what } of taken) book.set(cidr, what);
  return (cidr) => outsideOf(clusterCIDRs, cidr) ?? overlap(book.overlapping(cidr));
}

function hasOwnAddress({ addresses }: FabricNode, cidr: Cidr): boolean {
  const own = addresses[cidrFamily(cidr)];
  return own !== undefined && containsIP(cidr, own);
}

/** What is wrong with the addresses; notes those that nobody had before. */
function addressReasons(
  { name, addresses }: FabricNode,
  strays: ReadonlyMap<IP, string> | undefined,
  known: Map<IP, string>,
): string[] {
  return Object.values(addresses).flatMap((ip) => {
    const owner = strays?.get(ip);
    if (owner !== undefined) {
      return `InternalIP ${ip} is not used: it is in the podCIDR of node ${owner}`;
    }
    const other = known.get(ip);
    if (other === undefined) known.set(ip, name);
    return other === undefined
      ? []
      : `InternalIP ${ip} is that of node ${other} too: delete the Node that is gone`;
  });
}

function nameText(name: string | undefined): string | undefined {
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
