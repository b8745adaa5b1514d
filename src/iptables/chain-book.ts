import { inTurns } from '../util/turns.ts';
import { chainKey, type GuestRule, type RuleChain, type RulesChange } from './model.ts';
import { ruleKey, rulesDigest } from './rule-key.ts';

/** What of somebody's rules is in the kernel; chains by chainKey. */
export interface ObservedRules {
  /** Content of his own chains, as rulesDigest has it. */
  readonly digests: ReadonlyMap<string, string>;
  /** How many rules these have. */
  readonly sizes: ReadonlyMap<string, number>;
  /** The rules of a chain, anybody's, as they are listed; undefined when it is not there. */
  readonly rulesOf: (key: string) => readonly string[] | undefined;
  /** His rules in chains of others, as guestKey has them. */
  readonly guests: ReadonlySet<string>;
}

/**
 * What the kernel holds of somebody's own chains and of his rules in chains of others, as read and
 * written last. Whoever writes asks it what differs, and tells it what was applied.
 */
export class ChainBook {
  #digests = new Map<string, string>();
  #sizes = new Map<string, number>();
  #guests = new Set<string>();

  /** Begins anew with what was read. */
  begin({ digests, sizes, guests }: Omit<ObservedRules, 'rulesOf'>): void {
    this.#digests = new Map(digests);
    this.#sizes = new Map(sizes);
    this.#guests = new Set(guests);
  }

  get isEmpty(): boolean {
    return this.#digests.size === 0;
  }

  /** Numbers of rules, by chainKey. */
  get sizes(): ReadonlyMap<string, number> {
    return this.#sizes;
  }

  /** Content of a chain, as rulesDigest has it; undefined when it is not there. */
  digestOf(key: string): string | undefined {
    return this.#digests.get(key);
  }

  /** The chains whose content is another than the kernel's. */
  async differing(chains: Iterable<RuleChain>): Promise<readonly RuleChain[]> {
    const found: RuleChain[] = [];
    await inTurns(chains, (chain) => {
      if (this.digestOf(chainKey(chain)) !== rulesDigest(chain.rules)) found.push(chain);
    });
    return found;
  }

  /** The change is in the kernel. */
  note({ chains = [], removedChains = [], guests = [] }: RulesChange): void {
    for (const chain of chains) {
      this.#digests.set(chainKey(chain), rulesDigest(chain.rules));
      this.#sizes.set(chainKey(chain), chain.rules.length);
    }
    for (const chain of removedChains) {
      this.#digests.delete(chainKey(chain));
      this.#sizes.delete(chainKey(chain));
    }
    for (const guest of guests) this.#guests.add(guestKey(guest));
  }

  /** What is not any more as it was written: keys of chains and of rules in chains of others. */
  driftIn(observed: ObservedRules): readonly string[] {
    const chains = Array.from(this.#digests)
      .filter(([key, digest]) => observed.digests.get(key) !== digest)
      .map(([key]) => key);
    const guests = [...this.#guests].filter((guest) => !observed.guests.has(guest));
    return [...chains, ...guests];
  }
}

/** `nat OUTPUT -j KUBE-SERVICES`: the same for a rule that was written and as it is listed. */
export function guestKey({ table, chain, rule }: Omit<GuestRule, 'position'>): string {
  return `${table} ${chain} ${ruleKey(rule)}`;
}
