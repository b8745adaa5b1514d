import { type Cidr, containsCidr, hostCidr } from '../net/cidr.ts';
import { PrefixBook } from '../net/prefix-book.ts';
import { type Steps, takeAtOnce } from '../util/turns.ts';
import { type Claims, claimSteps, outsideOf, type Reserved } from './claims.ts';
import type { FabricNode } from './nodes.ts';

/** Of more changes than one in so many Nodes all are looked at again. */
const MOST_CHANGED = 8;

/**
 * `claimPodCIDRs` again and again, of Nodes that hardly change: while nobody is refused anything, who
 * comes or changes is only compared with all others, and the answer to everybody else is as it was.
 */
export class ClaimKeeper {
  #known: Known | undefined;

  /** `reserved` is another value when something in it is. */
  claim(nodes: ReadonlyMap<string, FabricNode>, reserved: Reserved): Claims {
    return takeAtOnce(this.steps(nodes, reserved));
  }

  /** `claim`, a Node a step. */
  *steps(nodes: ReadonlyMap<string, FabricNode>, reserved: Reserved): Steps<Claims> {
    const known = this.#known;
    this.#known = undefined;
    if (known !== undefined && known.reserved === reserved && takeChanges(known, nodes)) {
      this.#known = known;
      return { owned: known.owned, misplaced: new Map(), refused: new Map() };
    }
    const claims = yield* claimSteps(nodes.values(), reserved);
    if (claims.refused.size === 0) this.#known = yield* knownOf(nodes, reserved);
    return claims;
  }
}

/** A cluster in which every Node has what it asks for. */
interface Known {
  readonly reserved: Reserved;
  readonly nodes: Map<string, FabricNode>;
  readonly owned: Map<string, FabricNode['podCIDRs']>;
  readonly podCIDRs: PrefixBook<string>;
  readonly addresses: PrefixBook<string>;
}

/** Undefined where two Nodes have one address: then it is not known whose it is when one goes. */
function* knownOf(
  nodes: ReadonlyMap<string, FabricNode>,
  reserved: Reserved,
): Steps<Known | undefined> {
  const known: Known = {
    reserved,
    ...{ nodes: new Map(), owned: new Map() },
    ...{ podCIDRs: new PrefixBook(), addresses: new PrefixBook() },
  };
  for (const node of nodes.values()) {
    if (hasSharedAddress(known, node)) return undefined;
    add(known, node);
    yield;
  }
  return known;
}

/** False where somebody is refused, or may have been given what another one left. */
function takeChanges(known: Known, nodes: ReadonlyMap<string, FabricNode>): boolean {
  const gone = [...known.nodes.values()].filter((node) => nodes.get(node.name) !== node);
  const come = [...nodes.values()].filter((node) => known.nodes.get(node.name) !== node);
  if ((gone.length + come.length) * MOST_CHANGED > nodes.size) return false;
  for (const node of gone) remove(known, node);
  for (const node of come) {
    if (!isFree(known, node)) return false;
    add(known, node);
  }
  return true;
}

function isFree(known: Known, node: FabricNode): boolean {
  const { podCIDRs, addresses, reserved } = known;
  return (
    !hasSharedAddress(known, node) &&
    !overlapsItself(node) &&
    Object.values(node.addresses).every((ip) => podCIDRs.longestMatch(ip) === undefined) &&
    node.podCIDRs.every(
      (cidr) =>
        outsideOf(reserved.clusterCIDRs, cidr) === undefined &&
        !reserved.taken.some((taken) => overlaps(taken.cidr, cidr)) &&
        podCIDRs.overlapping(cidr) === undefined &&
        addresses.overlapping(cidr) === undefined,
    )
  );
}

function overlaps(a: Cidr, b: Cidr): boolean {
  return containsCidr(a, b) || containsCidr(b, a);
}

/** One of its podCIDRs has addresses of another one, or the Node's own. */
function overlapsItself({ podCIDRs, addresses }: FabricNode): boolean {
  const book = new PrefixBook<true>();
  for (const ip of Object.values(addresses)) book.set(hostCidr(ip), true);
  return podCIDRs.some((cidr) => {
    const isTaken = book.overlapping(cidr) !== undefined;
    book.set(cidr, true);
    return isTaken;
  });
}

function hasSharedAddress({ addresses }: Known, node: FabricNode): boolean {
  return Object.values(node.addresses).some((ip) => addresses.get(hostCidr(ip)) !== undefined);
}

function add(known: Known, node: FabricNode): void {
  known.nodes.set(node.name, node);
  known.owned.set(node.name, node.podCIDRs);
  for (const cidr of node.podCIDRs) known.podCIDRs.set(cidr, node.name);
  for (const ip of Object.values(node.addresses)) known.addresses.set(hostCidr(ip), node.name);
}

function remove(known: Known, node: FabricNode): void {
  known.nodes.delete(node.name);
  known.owned.delete(node.name);
  for (const cidr of node.podCIDRs) known.podCIDRs.delete(cidr);
  for (const ip of Object.values(node.addresses)) known.addresses.delete(hostCidr(ip));
}
