import type { Direction } from '../kube/policy/types.ts';
import type { ObservedElement } from '../nftables/model.ts';
import type { CompiledPolicy } from './compiled-policy.ts';
import type { Outcome } from './role.ts';

/**
 * Packets that were judged, since the elements that count them are there: the first of a connection,
 * and one more after each change that takes something away.
 */
export interface PolicyCounter {
  readonly policy: string;
  readonly tier: CompiledPolicy['tier'];
  readonly direction: Direction;
  readonly allowed: number;
  readonly denied: number;
}

/** Policies that isolate a pod together are each counted for a denial. */
export function policyCounters(
  elements: readonly ObservedElement[],
  verdicts: { outcomeAt(key: string): Outcome | undefined },
): readonly PolicyCounter[] {
  const counters = new Map<string, { -readonly [K in keyof PolicyCounter]: PolicyCounter[K] }>();
  for (const { key, counter } of elements) {
    const outcome = verdicts.outcomeAt(key);
    if (outcome?.tier === undefined) continue;
    const { tier, direction, isAllowed } = outcome;
    const packets = Number(counter?.packets ?? 0n);
    for (const policy of outcome.policies) {
      const name = `${direction} ${tier} ${policy}`;
      const counted = counters.get(name) ?? { policy, tier, direction, allowed: 0, denied: 0 };
      counted[isAllowed ? 'allowed' : 'denied'] += packets;
      counters.set(name, counted);
    }
  }
  return [...counters.values()];
}
