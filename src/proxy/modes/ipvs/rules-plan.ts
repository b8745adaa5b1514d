/** Which rules are wanted, and when they are written. */

import { guestKey, type ObservedRules } from '../../../iptables/chain-book.ts';
import { chainKey, type RuleChain, type RulesChange, TABLES } from '../../../iptables/model.ts';
import { rulesDigest } from '../../../iptables/rule-key.ts';
import { CHAIN, isServiceChain } from '../iptables/chain-names.ts';
import type { ServiceRules } from '../iptables/kernel-rules.ts';
import { ipvsJumps } from './rules.ts';

export interface RulesPlan {
  readonly change: RulesChange & { readonly chains: readonly RuleChain[] };
  /**
   * Rules of another mode forward connections: they serve until the virtual servers do. Without any,
   * nobody may reach a virtual server before it is known who is masqueraded.
   */
  readonly isLast: boolean;
}

const DISPATCH = chainKey({ table: 'nat', name: CHAIN.services });

/** `observed` where the rules have just been read. */
export function planRules(
  chains: readonly RuleChain[],
  known: Pick<ServiceRules, 'digestOf'>,
  observed: ObservedRules | undefined,
): RulesPlan {
  const emptied = observed === undefined ? [] : strangeChains(chains, observed);
  const guests = ipvsJumps().filter((guest) => observed?.guests.has(guestKey(guest)) === false);
  const before = known.digestOf(DISPATCH);
  const dispatch = chains.find((chain) => chainKey(chain) === DISPATCH)?.rules ?? [];
  return {
    change: { chains: [...chains, ...emptied], guests },
    isLast: before !== undefined && before !== rulesDigest(dispatch),
  };
}

/** Chains of the iptables mode that are not in use here; what refuses or accepts in them is old. */
function strangeChains(
  chains: readonly RuleChain[],
  observed: ObservedRules,
): readonly RuleChain[] {
  const own = new Set(chains.map(chainKey));
  return namesOf(observed)
    .filter((chain) => !own.has(chainKey(chain)) && !isServiceChain(chain.name))
    .map((chain) => ({ ...chain, rules: [] }));
}

/** Chains of single Services in iptables mode, which nothing leads to any more. */
export function leftServiceChains(observed: ObservedRules): readonly string[] {
  return namesOf(observed)
    .filter(({ table, name }) => table === 'nat' && isServiceChain(name))
    .map(({ name }) => name);
}

function namesOf({ digests }: ObservedRules) {
  return [...digests.keys()].flatMap((key) => {
    const [text, name = ''] = key.split(' ');
    return TABLES.filter((table) => table === text).map((table) => ({ table, name }));
  });
}
