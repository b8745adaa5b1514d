import type { IptablesPrograms } from '../../kernel/iptables-restore.ts';
import { CHAIN, isOwnChain } from './chain-names.ts';
import { MOST_CHAINS } from './kernel-rules.ts';
import { type Listing, parseListing, targetOf } from './listing.ts';
import { type GuestRule, type RulesChange, TABLES, type TableName } from './model.ts';
import { partsOf } from './parts.ts';
import { restoreText } from './restore-text.ts';

/**
 * Removes everything of the proxy, kube-proxy's own rules of the same names among it. True when
 * there was something.
 */
export async function removeServiceRules(programs: IptablesPrograms): Promise<boolean> {
  const change = removal(parseListing(await programs.save()));
  const parts = programs.variant === 'nft' ? partsOf(change, MOST_CHAINS) : [change];
  const inputs = parts.map(restoreText).filter((input) => input !== '');
  for (const input of inputs) await programs.restore(input);
  return inputs.length > 0;
}

/**
 * What removes the proxy's chains and the jumps to them from these tables. KUBE-FIREWALL is the
 * kubelet's and stays; so does a chain that rules of others use, with all that it leads to.
 */
export function removal(listing: Listing): RulesChange {
  const parts = TABLES.map((table) => tableRemoval(table, listing));
  return {
    removedGuests: parts.flatMap(({ removedGuests }) => removedGuests),
    removedChains: parts.flatMap(({ removedChains }) => removedChains),
  };
}

function tableRemoval(table: TableName, listing: Listing) {
  const chains = listing[table];
  const removedGuests: GuestRule[] = [];
  const kept = new Set<string>();
  const keep = (name: string) => {
    if (kept.has(name)) return;
    kept.add(name);
    for (const rule of chains.get(name) ?? []) {
      if (isOwnChain(table, targetOf(rule))) keep(targetOf(rule));
    }
  };
  for (const [chain, rules] of chains) {
    if (isOwnChain(table, chain)) continue;
    for (const rule of rules) {
      const target = targetOf(rule);
      if (!isOwnChain(table, target)) continue;
      if (isJump(chain, target)) removedGuests.push({ table, chain, rule, position: 'first' });
      else keep(target);
    }
  }
  const removedChains = [...chains.keys()]
    .filter((name) => isOwnChain(table, name) && !kept.has(name))
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

/** Whether the proxy itself, of whatever version, makes such a rule. */
function isJump(chain: string, target: string): boolean {
  return BUILT_IN.includes(chain) && ENTRIES.includes(target);
}
