/** Which rules are to be written, and when. */

import { chainKey, type RuleChain, type RulesChange, TABLES } from '../../../iptables/model.ts';
import { rulesDigest } from '../../../iptables/rule-key.ts';
import { CHAIN, isServiceChain } from '../iptables/chain-names.ts';
import { guestKey, type ObservedRules } from '../iptables/kernel-rules.ts';
import { ipvsJumps } from './rules.ts';

export interface RulesPlan {
  readonly change: RulesChange;
  /** By chainKey. */
  readonly digests: ReadonlyMap<string, string>;
  /**
   * Rules of another mode forward connections: they serve until the virtual servers do. Without any,
   * nobody may reach a virtual server before it is known who is masqueraded.
   */
  readonly isLast: boolean;
}

const DISPATCH = chainKey({ table: 'nat', name: CHAIN.services });

/** `observed` where the rules have just been read; else the digests are those written last. */
export function planRules(
  chains: readonly RuleChain[],
  digests: ReadonlyMap<string, string>,
  observed: ObservedRules | undefined,
): RulesPlan {
  const after = new Map(digests);
  const changed: RuleChain[] = [];
  const emptied = observed === undefined ? [] : strangeChains(chains, digests);
  for (const chain of [...chains, ...emptied]) {
    const [key, digest] = [chainKey(chain), rulesDigest(chain.rules)];
    if (after.get(key) !== digest) changed.push(chain);
    after.set(key, digest);
  }
  const guests = ipvsJumps().filter((guest) => observed?.guests.has(guestKey(guest)) === false);
  const dispatch = digests.get(DISPATCH);
  return {
    change: { chains: changed, guests },
    digests: after,
    isLast: dispatch !== undefined && dispatch !== after.get(DISPATCH),
  };
}

/** Chains of the iptables mode that are not in use here; what refuses or accepts in them is old. */
function strangeChains(
  chains: readonly RuleChain[],
  digests: ReadonlyMap<string, string>,
): readonly RuleChain[] {
  const own = new Set(chains.map(chainKey));
  return namesOf(digests)
    .filter((chain) => !own.has(chainKey(chain)) && !isServiceChain(chain.name))
    .map((chain) => ({ ...chain, rules: [] }));
}

/** Chains of single Services in iptables mode, which nothing leads to any more. */
export function leftServiceChains(digests: ReadonlyMap<string, string>): readonly string[] {
  return namesOf(digests)
    .filter(({ table, name }) => table === 'nat' && isServiceChain(name))
    .map(({ name }) => name);
}

function namesOf(digests: ReadonlyMap<string, string>) {
  return [...digests.keys()].flatMap((key) => {
    const [text, name = ''] = key.split(' ');
    return TABLES.filter((table) => table === text).map((table) => ({ table, name }));
  });
}
