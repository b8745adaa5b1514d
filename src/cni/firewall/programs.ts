/**
 * The same rules through the programs of iptables: for the older interface, which nf_tables does not
 * show, and where there is no table `filter` yet. A DROP policy may come at any time, so the rules are made
 * before it, in the node's own variant.
 */
import type { IptablesVariant } from '../../iptables/command.ts';
import { type ListedTable, targetOf } from '../../iptables/listing.ts';
import type { Iptables } from '../../iptables/programs-sync.ts';
import { hostCidr } from '../../net/cidr.ts';
import { type IP, type IPFamily, ipFamily } from '../../net/ip.ts';
import {
  appendsOf,
  changeTable,
  deletionOf,
  listTable,
  type TablePlace,
} from '../iptables/change.ts';
import type { ForwardedPod, ForwardWish, RuleFilter } from './forward.ts';
import { commentsOf, FORWARD_CHAIN, ownerOf, parseComment, WEFT_CHAIN } from './layout.ts';

/** Chain of the reference's firewall with one pair of rules per address. */
export const REFERENCE_CHAIN = 'CNI-FORWARD';

export function ensureByPrograms(
  iptables: Iptables,
  place: { readonly family: IPFamily; readonly variant?: IptablesVariant },
  wish: ForwardWish,
): void {
  const where = tableOf(place);
  if (rulesFor(place.family, wish.pods).length === 0) return;
  // Nobody on a node without the programs has made a policy with them.
  if (iptables.save(place, 'filter') === undefined) return;
  changeTable(iptables, where, (listed) => additions(listed, place.family, wish));
}

/** Rules of ours that the filter tells of; chain and jump stay. */
export function removeByPrograms(
  iptables: Iptables,
  place: { readonly family: IPFamily; readonly variant: IptablesVariant },
  isRemoved: RuleFilter,
): void {
  removeLines(iptables, tableOf(place), (line) => {
    const parsed = line.startsWith(`-A ${WEFT_CHAIN} `) ? parseComment(commentIn(line)) : undefined;
    return parsed !== undefined && isRemoved(parsed);
  });
}

/** What the reference's firewall has let through for these addresses. */
export function removeReferenceRules(
  iptables: Iptables,
  place: { readonly family: IPFamily; readonly variant: IptablesVariant },
  addresses: readonly IP[],
): void {
  const own = addresses.filter((address) => ipFamily(address) === place.family).map(hostCidr);
  if (own.length === 0) return;
  removeLines(iptables, tableOf(place), (line) => {
    const [, chain, direction, address] = /^-A (\S+) (-s|-d) (\S+) /.exec(line) ?? [];
    return (
      chain === REFERENCE_CHAIN &&
      direction !== undefined &&
      own.some((each) => each === address) &&
      targetOf(line) === 'ACCEPT'
    );
  });
}

/** The first rule that is missing; undefined when none is. */
export function missingByPrograms(
  iptables: Iptables,
  place: { readonly family: IPFamily; readonly variant: IptablesVariant },
  wish: ForwardWish,
): string | undefined {
  return additions(listTable(iptables, tableOf(place)), place.family, wish).find(
    (line) => !line.startsWith('-N '),
  );
}

function tableOf(place: Omit<TablePlace, 'table'>): TablePlace {
  return { ...place, table: 'filter' };
}

function removeLines(
  iptables: Iptables,
  where: TablePlace,
  isRemoved: (line: string) => boolean,
): void {
  if (iptables.save(where, where.table) === undefined) return;
  changeTable(iptables, where, (listed) => appendsOf(listed).filter(isRemoved).map(deletionOf));
}

function additions(
  listed: ListedTable,
  family: IPFamily,
  { adminChain, pods }: ForwardWish,
): readonly string[] {
  const all = appendsOf(listed);
  const present = new Set(all);
  const wished = rulesFor(family, pods);
  if (wished.length === 0) return [];
  const owners = new Set(pods.map(({ owner }) => ownerOf(owner)));
  const admin = `-j ${adminChain}`;
  const jump = `-j ${WEFT_CHAIN}`;
  return [
    ...[WEFT_CHAIN, adminChain].filter((chain) => !listed.has(chain)).map((chain) => `-N ${chain}`),
    ...(present.has(`-A ${WEFT_CHAIN} ${admin}`) ? [] : [`-I ${WEFT_CHAIN} 1 ${admin}`]),
    ...all.filter((line) => isOf(line, owners) && !wished.includes(line)).map(deletionOf),
    ...wished.filter((line) => !present.has(line)),
    ...(present.has(`-A ${FORWARD_CHAIN} ${jump}`)
      ? []
      : [`-I ${FORWARD_CHAIN} ${positionIn(listed.get(FORWARD_CHAIN) ?? [])} ${jump}`]),
  ];
}

function isOf(line: string, owners: ReadonlySet<string>): boolean {
  const { owner } = parseComment(commentIn(line)) ?? {};
  return owner !== undefined && owners.has(owner);
}

/** Counted from 1: behind rules at the top that refuse some packets. */
function positionIn(rules: readonly string[]): number {
  const isRefusal = (rule: string) => ['DROP', 'REJECT'].includes(targetOf(rule));
  const isConditional = (rule: string) => !rule.startsWith('-j ');
  const first = rules.findIndex((rule) => !(isRefusal(rule) && isConditional(rule)));
  return (first < 0 ? rules.length : first) + 1;
}

/** As iptables-save prints them. */
function rulesFor(family: IPFamily, pods: readonly ForwardedPod[]): readonly string[] {
  return pods.flatMap(({ owner, addresses }) => {
    const own = addresses.filter((address) => ipFamily(address) === family);
    return own.flatMap((address) => {
      const { from, to } = commentsOf(owner, address);
      const comment = (text: string) => `-m comment --comment "${text}"`;
      const only = hostCidr(address);
      const answers = '-m conntrack --ctstate RELATED,ESTABLISHED';
      return [
        `-A ${WEFT_CHAIN} -s ${only} ${comment(from)} -j ACCEPT`,
        `-A ${WEFT_CHAIN} -d ${only} ${answers} ${comment(to)} -j ACCEPT`,
      ];
    });
  });
}

/** Ours have no quotes in them. */
function commentIn(line: string): string | undefined {
  return /--comment "([^"\\]*)"/.exec(line)?.[1];
}
