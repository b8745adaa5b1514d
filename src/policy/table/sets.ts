/** Sets and maps of table `inet weft-policy`. */
import type { Direction } from '../../kube/policy/types.ts';
import type { IPFamily } from '../../net/ip.ts';
import type { NamedSet } from '../../nftables/model.ts';
import { ip, ip6, meta, th } from '../../nftables/selectors.ts';

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
/** Role, protocols and ports to `return` where they are allowed, `continue` where they are denied. */
export const VERDICTS: NamedSet = {
  name: 'verdicts',
  key: [NUMBER, meta.l4proto, th.dport],
  data: 'verdict',
  isInterval: true,
  hasCounters: true,
};

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
