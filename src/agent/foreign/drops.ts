/**
 * Whether rules of others drop what pods send or what is sent to them: an administrator's, or leftovers. A
 * drop that may be meant (of a port, of forged packets) is nobody's business; one of all packets of a pod,
 * or one that names the pods, is told. Pure.
 */
import { type Cidr, cidrFamily, containsCidr } from '../../net/cidr.ts';
import type { IPFamily } from '../../net/ip.ts';
import { type DescribedChains, type FoundRule, RuleSearch } from './search.ts';
import type { PacketClass } from './share.ts';

/** The chains of one table that see packets of pods, and those that they lead to. */
export interface FilterTable {
  /** For people: `table ip filter of iptables-legacy`. */
  readonly name: string;
  readonly families: readonly IPFamily[];
  readonly chains: DescribedChains;
  readonly bases: readonly FilterBase[];
}

export interface FilterBase {
  readonly chain: string;
  readonly policy: 'accept' | 'drop';
  /** The command that has it accept. */
  readonly policyCure: string;
  /** Links are not known by which packets will leave. */
  readonly isBeforeRouting: boolean;
}

/** A pod, or all of them. */
export interface PodPlace {
  readonly name: string;
  /** Its addresses, or the podCIDRs. */
  readonly networks: readonly Cidr[];
  /** Links by which its packets come to the node. */
  readonly links: readonly string[];
  /** Links that lead out of the node. */
  readonly uplinks: readonly string[];
}

export interface ForeignDrop {
  readonly family: IPFamily;
  readonly table: string;
  readonly chain: string;
  /** `rule "-A FORWARD -j DROP"`, or `the policy drop`. */
  readonly what: string;
  readonly direction: 'from' | 'to';
  readonly pod: string;
  readonly isWhole: boolean;
  readonly cure: string;
}

/** In the order of tables and chains; of one rule the first pod that it meets. */
export function foreignDrops(
  tables: readonly FilterTable[],
  pods: readonly PodPlace[],
): readonly ForeignDrop[] {
  const found = new Map<string, ForeignDrop>();
  for (const table of tables) {
    for (const { pod, direction, packets } of classesOf(table, pods)) {
      for (const base of table.bases) {
        const place = { family: packets.family, table: table.name, direction, pod: pod.name };
        for (const drop of dropsOf(table, base, packets)) {
          const key = `${table.name} ${drop.chain} ${drop.what}`;
          if (!found.has(key)) found.set(key, { ...place, ...drop });
        }
      }
    }
  }
  return [...found.values()];
}

function classesOf({ families }: FilterTable, pods: readonly PodPlace[]) {
  return pods.flatMap((pod) =>
    families.flatMap((family) => {
      const own = pod.networks.filter((cidr) => cidrFamily(cidr) === family);
      if (own.length === 0) return [];
      const { links, uplinks } = pod;
      const from: PacketClass = { family, sources: own, inputs: links, outputs: uplinks };
      const to: PacketClass = { family, destinations: own, inputs: uplinks, outputs: links };
      return [
        { pod, direction: 'from', packets: from },
        { pod, direction: 'to', packets: to },
      ] as const;
    }),
  );
}

/** What drops some packets, or all of them, in one table; none where it is for another family. */
export function dropsOfPackets(table: FilterTable, packets: PacketClass): readonly Drop[] {
  if (!table.families.includes(packets.family)) return [];
  return table.bases.flatMap((base) => dropsOf(table, base, packets));
}

export type Drop = Pick<ForeignDrop, 'chain' | 'what' | 'isWhole' | 'cure'>;

function dropsOf({ chains }: FilterTable, base: FilterBase, packets: PacketClass): readonly Drop[] {
  const seen = base.isBeforeRouting ? { ...packets, outputs: [] } : packets;
  const search = new RuleSearch(chains, seen, 'drop');
  const { end, hasEnded, hasDoubt } = search.walk(base.chain);
  const rules = search.found.filter((rule) => rule.share === 'all' || namesPods(rule, packets));
  const drops = rules.map(({ chain, rule, share }) => ({
    ...{ chain, what: rule.text, isWhole: share === 'all' && !hasEnded },
    cure: 'delete it, or have its owner leave pods out',
  }));
  const { chain, policy, policyCure } = base;
  const isDropped = policy === 'drop' && end !== 'ends' && !hasDoubt;
  if (!isDropped) return drops;
  const isWhole = !hasEnded && search.found.length === 0;
  return [...drops, { chain, what: 'the policy drop', isWhole, cure: policyCure }];
}

/** It is for a network of pods, and not for all the world. */
function namesPods({ rule }: FoundRule, { sources = [], destinations = [] }: PacketClass): boolean {
  const own = [...sources, ...destinations];
  return rule.conditions.some((condition) => {
    if (condition.kind !== 'source' && condition.kind !== 'destination') return false;
    const side = condition.kind === 'source' ? sources : destinations;
    if (side.length === 0 || condition.isNegated) return false;
    return own.some(
      (cidr) => containsCidr(cidr, condition.network) || isNear(condition.network, cidr),
    );
  });
}

/** A network that is not much larger than that of pods: 10.0.0.0/8 is somebody's idea of all that is private. */
function isNear(network: Cidr, own: Cidr): boolean {
  return (
    containsCidr(network, own) && Number(network.split('/')[1]) >= LEAST_LENGTH[cidrFamily(own)]
  );
}

const LEAST_LENGTH: Readonly<Record<IPFamily, number>> = { 4: 9, 6: 17 };
