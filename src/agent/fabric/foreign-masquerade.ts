/**
 * Whether rules of others masquerade what pods send to pods of other nodes. Somebody's leftovers, or an
 * administrator's: the rules are asked this one question and are otherwise none of our business. Pure.
 */
import { type Cidr, cidrFamily } from '../../net/cidr.ts';
import type { IPFamily } from '../../net/ip.ts';
import { type DescribedChains, RuleSearch } from '../foreign/search.ts';

/** The chains of one table that see packets on their way out, and those that they lead to. */
export interface NatTable {
  /** For people: `table ip nat of iptables-legacy`. */
  readonly name: string;
  readonly families: readonly IPFamily[];
  readonly chains: DescribedChains;
  /** Names of the chains that hooks lead to, in their order. */
  readonly bases: readonly string[];
}

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

/** What puts it right. */
export const MASQUERADE_CURE = 'delete it, or have its owner leave out the networks of pods';

/** One line each, for people; the cure is the same for all. */
export function foreignMasqueradeText({ table, chain, rule }: ForeignMasquerade): string {
  return `${table}, chain ${chain}: ${rule} masquerades what pods send to pods of other nodes`;
}

function findIn(
  table: NatTable,
  traffic: PodTraffic,
  family: IPFamily,
): readonly ForeignMasquerade[] {
  const packets = {
    family,
    sources: traffic.podCIDRs,
    destinations: traffic.clusterCIDRs,
    inputs: [],
    outputs: traffic.underlays,
  };
  const search = new RuleSearch(table.chains, packets, 'masquerade');
  for (const base of table.bases) search.walk(base);
  return search.found.map(({ chain, rule }) => {
    return { family, table: table.name, chain, rule: rule.text };
  });
}
