import { type Listing, parseListing, targetOf } from '../../../iptables/listing.ts';
import {
  type GuestRule,
  type RulesChange,
  TABLES,
  type TableName,
} from '../../../iptables/model.ts';
import type { IptablesPrograms } from '../../../iptables/programs.ts';
import { restoreText } from '../../../iptables/restore-text.ts';
import { CHAIN, type IsOwnChain, isOwnChain } from './chain-names.ts';
import { MOST_CHAINS } from './kernel-rules.ts';
import { partsOf } from './parts.ts';

/** What a mode has in the tables. */
export interface ModeChains {
  readonly isOwn: IsOwnChain;
  /** Whether the mode, of whatever version, makes such a rule in a chain of others. */
  readonly isJump: (table: TableName, chain: string, target: string) => boolean;
}

/**
 * Removes everything of the proxy, kube-proxy's own rules of the same names among it. True when
 * there was something.
 */
export async function removeServiceRules(programs: IptablesPrograms): Promise<boolean> {
  return removeModeRules(programs, IPTABLES_CHAINS);
}

/** The same for what a mode has there. */
export async function removeModeRules(
  programs: IptablesPrograms,
  chains: ModeChains,
): Promise<boolean> {
  const change = removal(parseListing(await programs.save()), chains);
  const parts = programs.variant === 'nft' ? partsOf(change, MOST_CHAINS) : [change];
  const inputs = parts.map(restoreText).filter((input) => input !== '');
  for (const input of inputs) await programs.restore(input);
  return inputs.length > 0;
}

/**
 * What removes the proxy's chains and the jumps to them from these tables. KUBE-FIREWALL is the
 * kubelet's and stays; so does a chain that rules of others use, with all that it leads to.
 */
export function removal(listing: Listing, chains: ModeChains = IPTABLES_CHAINS): RulesChange {
  const parts = TABLES.map((table) => tableRemoval(table, listing, chains));
  return {
    removedGuests: parts.flatMap(({ removedGuests }) => removedGuests),
    removedChains: parts.flatMap(({ removedChains }) => removedChains),
  };
}

function tableRemoval(table: TableName, listing: Listing, { isOwn, isJump }: ModeChains) {
  const chains = listing[table];
  const removedGuests: GuestRule[] = [];
  const kept = new Set<string>();
  const keep = (name: string) => {
    if (kept.has(name)) return;
    kept.add(name);
    for (const rule of chains.get(name) ?? []) {
      if (isOwn(table, targetOf(rule))) keep(targetOf(rule));
    }
  };
  for (const [chain, rules] of chains) {
    if (isOwn(table, chain)) continue;
    for (const rule of rules) {
      const target = targetOf(rule);
      if (isJump(table, chain, target))
        removedGuests.push({ table, chain, rule, position: 'first' });
      else if (isOwn(table, target)) keep(target);
    }
  }
  const removedChains = [...chains.keys()]
    .filter((name) => isOwn(table, name) && !kept.has(name))
    .map((name) => ({ table, name }));
  return { removedGuests, removedChains };
}

const BUILT_IN = ['PREROUTING', 'INPUT', 'FORWARD', 'OUTPUT', 'POSTROUTING'];
const ENTRIES: readonly string[] = [
  CHAIN.services,
  CHAIN.externalServices,
  CHAIN.nodePorts,
  CHAIN.forward,
  CHAIN.proxyFirewall,
  CHAIN.postrouting,
];

export function isBuiltIn(chain: string): boolean {
  return BUILT_IN.includes(chain);
}

const IPTABLES_CHAINS: ModeChains = {
  isOwn: isOwnChain,
  isJump: (_table, chain, target) => isBuiltIn(chain) && ENTRIES.includes(target),
};
