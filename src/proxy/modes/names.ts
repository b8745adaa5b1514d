import type { IptablesVariant } from '../../iptables/command.ts';

/** The ways to keep Services in the kernel of a node, the first choice first. */
export const MODES = ['nftables', 'iptables', 'ipvs', 'userspace'] as const;
export type ModeName = (typeof MODES)[number];

/** Where rules for Services are; each kind is of one mode, and of one variant of iptables if it uses that. */
export type RulesKind = 'nftables' | `${'iptables' | 'ipvs'}-${IptablesVariant}` | 'userspace';

export const RULES: Readonly<
  Record<RulesKind, { readonly mode: ModeName; readonly variant?: IptablesVariant }>
> = {
  nftables: { mode: 'nftables' },
  'iptables-nft': { mode: 'iptables', variant: 'nft' },
  'iptables-legacy': { mode: 'iptables', variant: 'legacy' },
  'ipvs-nft': { mode: 'ipvs', variant: 'nft' },
  'ipvs-legacy': { mode: 'ipvs', variant: 'legacy' },
  userspace: { mode: 'userspace' },
};

// The keys are those of the type: the compiler checks the literal.
export const RULES_KINDS = Object.keys(RULES) as readonly RulesKind[];
