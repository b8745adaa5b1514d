import {
  type Cidr,
  cidrFamily,
  containsIP,
  hostCidr,
  networkAddress,
  prefixLength,
} from '../net/cidr.ts';
import { commonBits, type IP, ipFamily } from '../net/ip.ts';
import { PrefixBook } from '../net/prefix-book.ts';
import type { Steps } from '../util/turns.ts';
import type { FabricNode } from './nodes.ts';

/** Which addresses and podCIDRs count, where the ones are in the others. */
export interface Disputes {
  /** Addresses that are not used, by the Node that says it has them; with whose pods' they are. */
  readonly strays: ReadonlyMap<FabricNode, ReadonlyMap<IP, string>>;
  /** Whose address keeps the network from being a podCIDR. */
  addressIn(cidr: Cidr): string | undefined;
}

/** podCIDRs by the Nodes that want them. */
export type WantedCidrs = ReadonlyMap<FabricNode, readonly Cidr[]>;

/** One Node in another one's podCIDR may lie; of several it is the podCIDRs that are wrong. */
const MOST_LIARS = 1;

interface Dispute {
  readonly node: FabricNode;
  readonly ip: IP;
}

/**
 * Decides between addresses and the podCIDRs of others that they are in; `wanted` are those that nothing else
 * speaks against. A Node says at any time what its addresses are, and may have chosen its podCIDR when it
 * came. So nothing that the two say decides, nor which of them is older: what does not belong to where all
 * other Nodes have theirs is wrong, and where that does not tell, the address. A Node a step.
 */
export function* settleDisputes(
  nodes: readonly FabricNode[],
  wanted: WantedCidrs,
): Steps<Disputes> {
  const disputes = yield* findDisputes(nodes, wanted);
  const isMistake = new Set(disputes.map(({ node }) => node)).size > MOST_LIARS;
  const strays = new Map<FabricNode, Map<IP, string>>();
  for (const dispute of isMistake ? [] : disputes) {
    const { node, ip } = dispute;
    const holders = holdersOf(ip, wanted);
    if (!isAmongPods(ip, nodes, new Set([node, ...holders]))) continue;
    strays.set(node, (strays.get(node) ?? new Map()).set(ip, holders[0]?.name ?? ''));
  }
  const used = new PrefixBook<string>();
  for (const node of nodes) {
    for (const ip of Object.values(node.addresses)) {
      const isUsed = strays.get(node)?.has(ip) !== true;
      if (isUsed && used.get(hostCidr(ip)) === undefined) used.set(hostCidr(ip), node.name);
    }
    yield;
  }
  return { strays, addressIn: (cidr) => used.overlapping(cidr) };
}

function* findDisputes(
  nodes: readonly FabricNode[],
  wanted: WantedCidrs,
): Steps<readonly Dispute[]> {
  const holders = new PrefixBook<FabricNode>();
  for (const [node, cidrs] of wanted) {
    for (const cidr of cidrs) holders.set(cidr, node);
    yield;
  }
  const found: Dispute[] = [];
  for (const node of nodes) {
    for (const ip of Object.values(node.addresses)) {
      if (holders.longestMatch(ip) !== undefined) found.push({ node, ip });
    }
    yield;
  }
  return found;
}

function holdersOf(ip: IP, wanted: WantedCidrs): readonly FabricNode[] {
  return [...wanted].flatMap(([node, cidrs]) =>
    cidrs.some((cidr) => cidrFamily(cidr) === ipFamily(ip) && containsIP(cidr, ip)) ? [node] : [],
  );
}

/** Whether the address is at least as near to podCIDRs of third Nodes as to their addresses. */
function isAmongPods(
  ip: IP,
  nodes: readonly FabricNode[],
  parties: ReadonlySet<FabricNode>,
): boolean {
  const family = ipFamily(ip);
  let [toPods, toNodes] = [0, 0];
  for (const node of nodes) {
    if (parties.has(node)) continue;
    const address = node.addresses[family];
    if (address !== undefined) toNodes = Math.max(toNodes, commonBits(ip, address));
    for (const cidr of node.podCIDRs) {
      if (cidrFamily(cidr) !== family) continue;
      const bits = Math.min(prefixLength(cidr), commonBits(ip, networkAddress(cidr)));
      toPods = Math.max(toPods, bits);
    }
  }
  return toPods >= toNodes;
}
