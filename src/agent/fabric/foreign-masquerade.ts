/**
 * Whether rules of others masquerade what pods send to pods of other nodes. Somebody's leftovers, or an
 * administrator's: the rules are asked this one question and are otherwise none of our business. Pure.
 */
import { type Cidr, cidrFamily, containsCidr } from '../../net/cidr.ts';
import type { IPFamily } from '../../net/ip.ts';
import type { NatCondition, NatRule } from '../../nftables/decode-nat.ts';

/** The chains of one table that see packets on their way out, and those that they lead to. */
export interface NatTable {
  /** For people: `table ip nat of iptables-legacy`. */
  readonly name: string;
  readonly families: readonly IPFamily[];
  readonly chains: ReadonlyMap<string, readonly DescribedRule[]>;
  /** Names of the chains that hooks lead to, in their order. */
  readonly bases: readonly string[];
}

export type DescribedRule = Pick<NatRule, 'conditions' | 'action'> & {
  /** For people: the rule, or where it is. */
  readonly text: string;
};

/** Packets of pods to pods. */
export interface PodTraffic {
  /** Of this node. */
  readonly podCIDRs: readonly Cidr[];
  /** Where the pods of other nodes are. */
  readonly clusterCIDRs: readonly Cidr[];
  /** Links that lead to other nodes. */
  readonly underlays: readonly string[];
}

/** A rule that rewrites the source of such packets, of some or of all. */
export interface ForeignMasquerade {
  readonly family: IPFamily;
  readonly table: string;
  readonly chain: string;
  readonly rule: string;
}

/** How many of the packets pass a condition, as far as can be told. */
type Share = 'all' | 'some' | 'none' | 'unknown';

type End = 'ends' | 'returns' | 'goesOn';

/** Jumps within jumps; the kernel allows 16. */
const MOST_JUMPS = 16;

/**
 * The rules that are sure to be met, in the order of tables, families and chains, each once. What cannot
 * be told (a set, a state, another extension) is no reason to blame a rule.
 */
export function foreignMasquerades(
  tables: readonly NatTable[],
  traffic: PodTraffic,
): readonly ForeignMasquerade[] {
  return tables.flatMap((table) =>
    table.families.flatMap((family) => {
      const ofFamily = (cidr: Cidr) => cidrFamily(cidr) === family;
      const podCIDRs = traffic.podCIDRs.filter(ofFamily);
      const clusterCIDRs = traffic.clusterCIDRs.filter(ofFamily);
      if (podCIDRs.length === 0 || clusterCIDRs.length === 0) return [];
      return findIn(table, { ...traffic, podCIDRs, clusterCIDRs }, family);
    }),
  );
}

/** One line each, for people. */
export function foreignMasqueradeText({ table, chain, rule }: ForeignMasquerade): string {
  return (
    `${table}, chain ${chain}: ${rule} masquerades what pods send to pods of other nodes; ` +
    'delete it, or have its owner leave out the networks of pods'
  );
}

function findIn(
  table: NatTable,
  traffic: PodTraffic,
  family: IPFamily,
): readonly ForeignMasquerade[] {
  const search = new Search(table, traffic, family);
  for (const base of table.bases) search.walk(base, true, 0);
  return [...search.found.values()];
}

/** What becomes of packets in a chain. */
interface Walked {
  readonly end: End;
  /** A rule that rewrites nothing ends the way of some of them. */
  readonly hasEnded: boolean;
  /** It may be that it ends the way of all. */
  readonly hasDoubt: boolean;
}

class Search {
  readonly found = new Map<string, ForeignMasquerade>();
  readonly #table: NatTable;
  readonly #traffic: PodTraffic;
  readonly #family: IPFamily;

  constructor(table: NatTable, traffic: PodTraffic, family: IPFamily) {
    this.#table = table;
    this.#traffic = traffic;
    this.#family = family;
  }

  walk(chain: string, isSure: boolean, depth: number): Walked {
    let [hasEnded, hasDoubt, mayHaveReturned] = [false, false, false];
    for (const rule of this.#table.chains.get(chain) ?? []) {
      const share = shareOf(rule.conditions, this.#traffic, this.#family);
      if (share === 'none') continue;
      const isMet = isSure && share !== 'unknown' && !hasDoubt && !mayHaveReturned;
      const step = this.#act(chain, rule, isMet, depth);
      hasEnded ||= step.hasEnded;
      hasDoubt ||= step.hasDoubt || (share === 'unknown' && step.hasEnded);
      mayHaveReturned ||= share === 'unknown' && step.end === 'returns';
      if (share === 'all' && step.end !== 'goesOn') return { end: step.end, hasEnded, hasDoubt };
    }
    return { end: 'goesOn', hasEnded, hasDoubt };
  }

  #act(chain: string, { action, text }: DescribedRule, isMet: boolean, depth: number): Walked {
    const plain = { hasEnded: false, hasDoubt: false };
    switch (action.kind) {
      case 'masquerade': {
        const found = { family: this.#family, table: this.#table.name, chain, rule: text };
        if (isMet) this.found.set(`${chain} ${text}`, found);
        return { ...plain, end: 'ends' };
      }
      case 'end':
        return { ...plain, hasEnded: true, end: 'ends' };
      case 'return':
        return { ...plain, end: 'returns' };
      case 'none':
        return { ...plain, end: 'goesOn' };
      case 'jump':
      case 'goto': {
        const isKnown = depth < MOST_JUMPS && this.#table.chains.has(action.chain);
        if (!isKnown) return { ...plain, end: 'goesOn' };
        const inner = this.walk(action.chain, isMet, depth + 1);
        if (inner.end === 'ends') return inner;
        return { ...inner, end: action.kind === 'goto' ? 'returns' : 'goesOn' };
      }
    }
  }
}

function shareOf(
  conditions: readonly NatCondition[],
  traffic: PodTraffic,
  family: IPFamily,
): Share {
  const shares = new Set(conditions.map((condition) => shareOfOne(condition, traffic, family)));
  for (const share of ['none', 'unknown', 'some'] as const) if (shares.has(share)) return share;
  return 'all';
}

function shareOfOne(condition: NatCondition, traffic: PodTraffic, family: IPFamily): Share {
  switch (condition.kind) {
    case 'source':
      return turned(shareWithin(traffic.podCIDRs, condition.network), condition.isNegated);
    case 'destination':
      return turned(shareWithin(traffic.clusterCIDRs, condition.network), condition.isNegated);
    case 'mark':
      // Nobody has marked them.
      return turned((0 & condition.mask) === condition.value ? 'all' : 'none', condition.isNegated);
    case 'output':
      return turned(shareOfLinks(traffic.underlays, condition.name), condition.isNegated);
    case 'family':
      return turned(condition.family === family ? 'all' : 'none', condition.isNegated);
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
function shareWithin(networks: readonly Cidr[], network: Cidr): Share {
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
