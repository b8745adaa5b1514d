import { setImmediate as nextTurn } from 'node:timers/promises';
import type { IptablesPrograms } from '../../kernel/iptables-restore.ts';
import { CHAIN, isOwnChain } from './chain-names.ts';
import { type Listing, parseListingInTurns, targetOf } from './listing.ts';
import { chainKey, type GuestRule, type RulesChange, TABLES, type TableName } from './model.ts';
import { partsOf } from './parts.ts';
import { restoreText } from './restore-text.ts';
import { ruleKey, rulesDigest } from './rule-key.ts';

/**
 * Chains in one run of iptables-nft-restore 1.8.9, whose time grows with their square. The legacy
 * one replaces the whole table each time, so there it is all or nothing.
 */
export const MOST_CHAINS = 1_000;
/** Chains looked at before others have a turn. */
const CHAINS_PER_TURN = 500;

/** What of the proxy's rules is in the kernel; chains by chainKey. */
export interface ObservedRules {
  /** Content of the proxy's own chains, as rulesDigest has it. */
  readonly digests: ReadonlyMap<string, string>;
  /** Whether a chain, anybody's, is there. */
  readonly hasChain: (key: string) => boolean;
  /** The proxy's rules in chains of others, as guestKey has them. */
  readonly guests: ReadonlySet<string>;
}

/** The rules of one address family, as a session needs them. */
export interface ServiceRules {
  /** Reads them. */
  observe(): Promise<ObservedRules>;
  /** Applies a change; tables, and parts of large changes, are transactions of their own. */
  apply(change: RulesChange): Promise<void>;
}

/**
 * The rules of one address family in the kernel. It outlives sessions and remembers what was written
 * last, so that it can tell when somebody else has changed it.
 */
export class KernelRules implements ServiceRules {
  readonly programs: IptablesPrograms;
  /** What the kernel holds, as read and written last. */
  #digests = new Map<string, string>();
  #guests = new Set<string>();
  #last: Promise<unknown> = Promise.resolve();

  constructor(programs: IptablesPrograms) {
    this.programs = programs;
  }

  async observe(): Promise<ObservedRules> {
    return this.#inTurn(async () => {
      const observed = await observedRules(await parseListingInTurns(await this.programs.save()));
      this.#digests = new Map(observed.digests);
      this.#guests = new Set(observed.guests);
      return observed;
    });
  }

  async apply(change: RulesChange): Promise<void> {
    await this.#inTurn(async () => {
      for (const part of this.#partsOf(change)) await this.#restore(part);
    });
  }

  /** What is not as it was written: `nat KUBE-SERVICES`, or `nat OUTPUT -j KUBE-SERVICES`. */
  async findDrift(): Promise<readonly string[]> {
    return this.#inTurn(async () => {
      if (this.#digests.size === 0) return [];
      const observed = await observedRules(await parseListingInTurns(await this.programs.save()));
      const chains = Array.from(this.#digests)
        .filter(([key, digest]) => observed.digests.get(key) !== digest)
        .map(([key]) => key);
      const guests = [...this.#guests].filter((guest) => !observed.guests.has(guest));
      return [...chains, ...guests];
    });
  }

  #partsOf(change: RulesChange): readonly RulesChange[] {
    return this.programs.variant === 'nft' ? partsOf(change, MOST_CHAINS) : [change];
  }

  async #restore(change: RulesChange): Promise<void> {
    const input = restoreText(change);
    if (input === '') return;
    await this.programs.restore(input);
    for (const chain of change.chains ?? []) {
      this.#digests.set(chainKey(chain), rulesDigest(chain.rules));
    }
    for (const chain of change.removedChains ?? []) this.#digests.delete(chainKey(chain));
    for (const guest of change.guests ?? []) this.#guests.add(guestKey(guest));
  }

  async #inTurn<T>(job: () => Promise<T>): Promise<T> {
    const result = this.#last.then(job);
    this.#last = result.catch(() => {});
    return result;
  }
}

async function observedRules(listing: Listing): Promise<ObservedRules> {
  let chains = 0;
  const digests = new Map<string, string>();
  const guests = new Set<string>();
  for (const table of TABLES) {
    for (const [name, rules] of listing[table]) {
      chains += 1;
      if (chains % CHAINS_PER_TURN === 0) await nextTurn();
      const note = (rule: string) => guests.add(guestKey({ table, chain: name, rule }));
      if (isOwnChain(table, name)) digests.set(chainKey({ table, name }), rulesDigest(rules));
      else if (name === CHAIN.firewall) for (const rule of rules) note(rule);
      else for (const rule of rules) if (leadsToOwn(table, rule)) note(rule);
    }
  }
  return {
    digests,
    hasChain: (key) => {
      const [table, name = ''] = key.split(' ');
      return TABLES.some((each) => each === table && listing[each].has(name));
    },
    guests,
  };
}

function leadsToOwn(table: TableName, rule: string): boolean {
  const target = targetOf(rule);
  return target === CHAIN.firewall || isOwnChain(table, target);
}

/** `nat OUTPUT -j KUBE-SERVICES`: the same for a rule that was written and as it is listed. */
export function guestKey({ table, chain, rule }: Omit<GuestRule, 'position'>): string {
  return `${table} ${chain} ${ruleKey(rule)}`;
}
