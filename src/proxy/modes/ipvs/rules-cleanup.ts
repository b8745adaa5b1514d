/** Which rules go when the IPVS mode, or the mode before it, is no more. */

import type { GuestRule, TableName } from '../../../iptables/model.ts';
import { isOwnChain } from '../iptables/chain-names.ts';
import { isBuiltIn, type ModeChains } from '../iptables/cleanup.ts';
import { jumps } from '../iptables/fixed-chains.ts';
import { ipvsChainNames, isIpvsChain, isIpvsOnlyChain } from './chain-names.ts';
import { ipvsJumps } from './rules.ts';

/** Everything of the IPVS mode, with the chains that it shares with the iptables mode. */
export const IPVS_CHAINS: ModeChains = {
  isOwn: isIpvsChain,
  isJump: (table, chain, target) => isBuiltIn(chain) && isIpvsChain(table, target),
};

/** What the IPVS mode leaves where the iptables mode has taken its place, in the same tables. */
export const BESIDE_IPTABLES: ModeChains = {
  isOwn: isIpvsOnlyChain,
  isJump: (table, chain, target) =>
    IPVS_CHAINS.isJump(table, chain, target) && !hasJump(jumps(), table, chain, target),
};

/** What the iptables mode leaves where the IPVS mode has taken its place. */
export const BESIDE_IPVS: ModeChains = {
  isOwn: (table, name) => isOwnChain(table, name) && !ipvsChainNames(table).has(name),
  isJump: (table, chain, target) =>
    isBuiltIn(chain) && isOwnChain(table, target) && !hasJump(ipvsJumps(), table, chain, target),
};

function hasJump(
  guests: readonly GuestRule[],
  table: TableName,
  chain: string,
  target: string,
): boolean {
  return guests.some(
    (guest) =>
      guest.table === table && guest.chain === chain && guest.rule.endsWith(`-j ${target}`),
  );
}
