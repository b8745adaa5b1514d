/** Sets and maps of table `inet weft-policy`. */
import type { Direction } from '../../kube/policy/types.ts';
import type { IPFamily } from '../../net/ip.ts';
import type { NamedSet } from '../../nftables/model.ts';
import { ct, ether, ip, ip6 } from '../../nftables/selectors.ts';

export const FAMILIES: readonly IPFamily[] = [4, 6];
export const DIRECTIONS: readonly Direction[] = ['egress', 'ingress'];

export const SUFFIX: Readonly<Record<IPFamily, string>> = { 4: 'ip', 6: 'ip6' };
export const HEADER = { 4: ip, 6: ip6 } as const;
/** Of a key with a number: nft knows no other type in network order that it prints in any place. */
const NUMBER = ip.saddr;
/** One that a key begins with; see idData. */
const KEY_NUMBER = [NUMBER, NUMBER];

interface FamilySets {
  readonly subjects: Readonly<Record<Direction, NamedSet>>;
  /** Of pods and nodes that some policy can tell from an address that nobody knows. */
  readonly identities: NamedSet;
  /** The ranges that all ipBlocks cut. */
  readonly blocks: NamedSet;
  /** Subjects, each with itself. */
  readonly selves: NamedSet;
  /** Senders that are told of a refusal. */
  readonly inside: NamedSet;
}

export const SETS: Readonly<Record<IPFamily, FamilySets>> = { 4: setsOf(4), 6: setsOf(6) };
/** Policy set and identity to role. */
export const ROLES: Readonly<Record<Direction, NamedSet>> = {
  egress: { name: 'roles-egress', key: [NUMBER, NUMBER], data: KEY_NUMBER },
  ingress: { name: 'roles-ingress', key: [NUMBER, NUMBER], data: KEY_NUMBER },
};
/** Policy set to the role for everybody else. */
export const DEFAULTS: Readonly<Record<Direction, NamedSet>> = {
  egress: { name: 'defaults-egress', key: [NUMBER], data: KEY_NUMBER },
  ingress: { name: 'defaults-ingress', key: [NUMBER], data: KEY_NUMBER },
};
/** Protocol and port, side by side as in the registers, to their class (port-classes.ts). */
export const CLASSES: NamedSet = {
  name: 'classes',
  key: [ether.saddr],
  data: [NUMBER],
  isInterval: true,
};
/**
 * Role and class to `return` where that is allowed, `continue` where it is denied. Exact keys: in an interval
 * concatenation one element that goes costs the kernel a look at all others.
 */
export const VERDICTS: NamedSet = {
  name: 'verdicts',
  key: [NUMBER, NUMBER],
  data: 'verdict',
  hasCounters: true,
};
/**
 * The current generation. No rule with a verdict, because for each of those the kernel walks through all
 * elements of verdict maps.
 */
export const GENERATIONS: NamedSet = { name: 'generations', key: [ct.mark], size: 4 };

function setsOf(family: IPFamily): FamilySets {
  const { saddr, daddr } = HEADER[family];
  const suffix = SUFFIX[family];
  const number = [NUMBER];
  return {
    subjects: {
      egress: { name: `subjects-egress-${suffix}`, key: [saddr], data: KEY_NUMBER },
      ingress: { name: `subjects-ingress-${suffix}`, key: [daddr], data: KEY_NUMBER },
    },
    identities: { name: `identities-${suffix}`, key: [saddr], data: number },
    blocks: { name: `blocks-${suffix}`, key: [saddr], data: number, isInterval: true },
    selves: { name: `selves-${suffix}`, key: [saddr, daddr] },
    inside: { name: `inside-${suffix}`, key: [saddr], isInterval: true },
  };
}
