import { ChainBook, guestKey, type ObservedRules } from '../../../iptables/chain-book.ts';
import { type Listing, parseListingInTurns, targetOf } from '../../../iptables/listing.ts';
import {
  chainKey,
  type RuleChain,
  type RulesChange,
  TABLES,
  type TableName,
} from '../../../iptables/model.ts';
import type { IptablesPrograms } from '../../../iptables/programs.ts';
import { restoreText } from '../../../iptables/restore-text.ts';
import { rulesDigest } from '../../../iptables/rule-key.ts';
import { Turn } from '../../../util/turns.ts';
import { CHAIN, type IsOwnChain, isOwnChain } from './chain-names.ts';
import { partsOf } from './parts.ts';

/**
 * Chains in one run of iptables-nft-restore 1.8.9, whose time grows with their square. The legacy
 * one replaces the whole table each time, so there it is all or nothing.
 */
export const MOST_CHAINS = 1_000;

/** Numbers of rules by table. */
export type RuleCounts = Readonly<Record<TableName, number>>;

/** The rules of one address family, as a session needs them. */
export type ServiceRules = Pick<KernelRules, 'observe' | 'apply' | 'digestOf' | 'findDrift'>;

/**
 * The rules of one address family in the kernel. It outlives sessions and remembers what was written
 * last, so that it can tell when somebody else has changed it.
 */
export class KernelRules {
  readonly programs: IptablesPrograms;
  readonly #isOwn: IsOwnChain;
  readonly #book = new ChainBook();
  #lastWritten: RuleCounts = countsOf([]);
  #last: Promise<unknown> = Promise.resolve();

  /** `isOwn` names the chains of the mode, those of iptables mode by default. */
  constructor(programs: IptablesPrograms, isOwn: IsOwnChain = isOwnChain) {
    this.programs = programs;
    this.#isOwn = isOwn;
  }

  /** Reads them. */
  async observe(): Promise<ObservedRules> {
    return this.#inTurn(async () => {
      const observed = await this.#read();
      this.#book.begin(observed);
      return observed;
    });
  }

  /**
   * Applies a change, of its chains those whose content differs; tables, and parts of large changes,
   * are transactions of their own.
   */
  async apply(wanted: RulesChange): Promise<void> {
    await this.#inTurn(async () => {
      const change = { ...wanted, chains: await this.#book.differing(wanted.chains ?? []) };
      if (wanted.chains !== undefined) this.#lastWritten = countsOf(sizesOf(change.chains));
      for (const part of this.#partsOf(change)) await this.#restore(part);
    });
  }

  /** Content of a chain, by chainKey, as read and written last; undefined when it is not there. */
  digestOf(key: string): string | undefined {
    return this.#book.digestOf(key);
  }

  /** Reads the tables; what is not as it was written: `nat KUBE-SERVICES`, or `nat OUTPUT -j KUBE-SERVICES`. */
  async findDrift(): Promise<readonly string[]> {
    return this.#inTurn(async () => {
      return this.#book.isEmpty ? [] : this.#book.driftIn(await this.#read());
    });
  }

  async #read(): Promise<ObservedRules> {
    return observedRules(await parseListingInTurns(await this.programs.save()), this.#isOwn);
  }

  /** How many rules the proxy has in its own chains, and how many the last sync wrote. */
  get counts(): { readonly total: RuleCounts; readonly last: RuleCounts } {
    return { total: countsOf(this.#book.sizes), last: this.#lastWritten };
  }

  #partsOf(change: RulesChange): readonly RulesChange[] {
    return this.programs.variant === 'nft' ? partsOf(change, MOST_CHAINS) : [change];
  }

  async #restore(change: RulesChange): Promise<void> {
    const input = restoreText(change);
    if (input === '') return;
    await this.programs.restore(input);
    this.#book.note(change);
  }

  async #inTurn<T>(job: () => Promise<T>): Promise<T> {
    const result = this.#last.then(job);
    this.#last = result.catch(() => {});
    return result;
  }
}

async function observedRules(listing: Listing, isOwn: IsOwnChain): Promise<ObservedRules> {
  const turn = new Turn();
  const digests = new Map<string, string>();
  const sizes = new Map<string, number>();
  const guests = new Set<string>();
  for (const table of TABLES) {
    for (const [name, rules] of listing[table]) {
      if (turn.isOver) await turn.next();
      const note = (rule: string) => guests.add(guestKey({ table, chain: name, rule }));
      if (isOwn(table, name)) {
        digests.set(chainKey({ table, name }), rulesDigest(rules));
        sizes.set(chainKey({ table, name }), rules.length);
      } else if (name === CHAIN.firewall) for (const rule of rules) note(rule);
      else for (const rule of rules) if (leadsToOwn(table, rule, isOwn)) note(rule);
    }
  }
  return {
    digests,
    sizes,
    rulesOf: (key) => {
      const [table, name = ''] = key.split(' ');
      const known = TABLES.find((each) => each === table);
      return known && listing[known].get(name);
    },
    guests,
  };
}

function sizesOf(chains: readonly RuleChain[]): readonly (readonly [string, number])[] {
  return chains.map((chain) => [chainKey(chain), chain.rules.length]);
}

function countsOf(sizes: Iterable<readonly [key: string, size: number]>): RuleCounts {
  const counts = { filter: 0, nat: 0, mangle: 0 };
  for (const [key, size] of sizes) {
    const table = TABLES.find((name) => key.startsWith(`${name} `));
    if (table !== undefined) counts[table] += size;
  }
  return counts;
}

function leadsToOwn(table: TableName, rule: string, isOwn: IsOwnChain): boolean {
  const target = targetOf(rule);
  return target === CHAIN.firewall || isOwn(table, target);
}
