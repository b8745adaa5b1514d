/** How many of some packets a condition of a rule lets pass, as far as can be told. Pure. */
import { type Cidr, containsCidr, prefixLength } from '../../net/cidr.ts';
import type { IPFamily } from '../../net/ip.ts';
import type { NatCondition } from '../../nftables/nat-rule.ts';

/** Packets that are asked about, of one family: first ones of connections. */
export interface PacketClass {
  readonly family: IPFamily;
  /** Undefined: from anywhere. */
  readonly sources?: readonly Cidr[];
  readonly destinations?: readonly Cidr[];
  /** Links by which they come and leave; none: nobody knows. */
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
}

export type Share = 'all' | 'some' | 'none' | 'unknown';

/** Of a rule with these conditions. */
export function shareOf(conditions: readonly NatCondition[], packets: PacketClass): Share {
  const shares = new Set(conditions.map((condition) => shareOfOne(condition, packets)));
  for (const share of ['none', 'unknown', 'some'] as const) if (shares.has(share)) return share;
  return 'all';
}

function shareOfOne(condition: NatCondition, packets: PacketClass): Share {
  switch (condition.kind) {
    case 'source':
      return turned(shareWithin(packets.sources, condition.network), condition.isNegated);
    case 'destination':
      return turned(shareWithin(packets.destinations, condition.network), condition.isNegated);
    case 'mark':
      // Nobody has marked them.
      return turned((0 & condition.mask) === condition.value ? 'all' : 'none', condition.isNegated);
    case 'input':
      return turned(shareOfLinks(packets.inputs, condition.name), condition.isNegated);
    case 'output':
      return turned(shareOfLinks(packets.outputs, condition.name), condition.isNegated);
    case 'state':
      return condition.isNew ? 'all' : 'none';
    case 'family':
      return turned(condition.family === packets.family ? 'all' : 'none', condition.isNegated);
    case 'part':
      return 'some';
    case 'unknown':
      return 'unknown';
  }
}

function turned(share: Share, isNegated: boolean): Share {
  if (!isNegated || share === 'some' || share === 'unknown') return share;
  return share === 'all' ? 'none' : 'all';
}

/** How much of `networks` a network holds. */
function shareWithin(networks: readonly Cidr[] | undefined, network: Cidr): Share {
  if (networks === undefined) return prefixLength(network) === 0 ? 'all' : 'some';
  if (networks.every((each) => containsCidr(network, each))) return 'all';
  const isTouched = networks.some((each) => {
    return containsCidr(network, each) || containsCidr(each, network);
  });
  return isTouched ? 'some' : 'none';
}

function shareOfLinks(links: readonly string[], name: string): Share {
  if (links.length === 0) return 'unknown';
  const isMeant = name.endsWith('+')
    ? (link: string) => link.startsWith(name.slice(0, -1))
    : (link: string) => link === name;
  const count = links.filter(isMeant).length;
  if (count === 0) return 'none';
  return count === links.length ? 'all' : 'some';
}
