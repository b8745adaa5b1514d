/** Tables of iptables in memory, as far as the proxy changes them. */

import { ChainBook, guestKey, type ObservedRules } from '../../src/iptables/chain-book.ts';
import { chainKey, type GuestRule, type RulesChange } from '../../src/iptables/model.ts';
import { restoreText } from '../../src/iptables/restore-text.ts';
import { rulesDigest } from '../../src/iptables/rule-key.ts';
import { type IsOwnChain, isOwnChain } from '../../src/proxy/modes/iptables/chain-names.ts';
import type { ServiceRules } from '../../src/proxy/modes/iptables/kernel-rules.ts';

export class FakeIptables implements ServiceRules {
  /** By chainKey. */
  readonly chains = new Map<string, readonly string[]>();
  readonly guests: GuestRule[] = [];
  /** What was applied since the last look. */
  readonly applied: RulesChange[] = [];
  /** Fails the changes that it is true for. */
  refuses: (change: RulesChange) => boolean = () => false;
  readonly #book = new ChainBook();
  readonly #isOwn: IsOwnChain;

  constructor(isOwn: IsOwnChain = isOwnChain) {
    this.#isOwn = isOwn;
  }

  async observe(): Promise<ObservedRules> {
    const own = [...this.chains].filter(([key]) => {
      const [table, name = ''] = key.split(' ');
      return (
        (table === 'filter' || table === 'nat' || table === 'mangle') && this.#isOwn(table, name)
      );
    });
    const observed = {
      digests: new Map(own.map(([key, rules]) => [key, rulesDigest(rules)])),
      sizes: new Map(own.map(([key, rules]) => [key, rules.length])),
      rulesOf: (key: string) => this.chains.get(key),
      guests: new Set(this.guests.map(guestKey)),
    };
    this.#book.begin(observed);
    return observed;
  }

  digestOf(key: string): string | undefined {
    return this.#book.digestOf(key);
  }

  async findDrift(): Promise<readonly string[]> {
    const book = this.#book;
    const found = [...this.chains].map(([key, rules]) => [key, rulesDigest(rules)] as const);
    return book.driftIn({
      digests: new Map(found),
      sizes: new Map(),
      rulesOf: (key) => this.chains.get(key),
      guests: new Set(this.guests.map(guestKey)),
    });
  }

  async apply(wanted: RulesChange): Promise<void> {
    const change = { ...wanted, chains: await this.#book.differing(wanted.chains ?? []) };
    if (restoreText(change) === '') return;
    if (this.refuses(change)) throw new Error('iptables-restore: line 2 failed');
    this.applied.push(change);
    for (const chain of change.newChains ?? []) this.chains.set(chainKey(chain), []);
    for (const chain of change.chains ?? []) this.chains.set(chainKey(chain), chain.rules);
    this.guests.push(...(change.guests ?? []));
    const removed = (change.removedChains ?? []).map(chainKey);
    for (const key of removed) this.chains.set(key, []);
    for (const key of removed) this.#remove(key);
    this.#book.note(change);
  }

  /** The names of the chains in the changes since the last look, sorted. */
  takeNames(): readonly string[] {
    const changes = this.applied.splice(0);
    const names = (chains: RulesChange['chains' | 'removedChains'], sign: string) =>
      (chains ?? []).map(({ table, name }) => `${sign}${table} ${name}`);
    return changes
      .flatMap(({ chains, removedChains }) => [...names(chains, ''), ...names(removedChains, '-')])
      .sort();
  }

  /** Every rule that leads to a chain needs it. */
  #remove(key: string): void {
    const [, name = ''] = key.split(' ');
    const user = [...this.chains].find(([, rules]) =>
      rules.some((rule) => rule.endsWith(`-j ${name}`)),
    );
    if (user !== undefined) throw new Error(`${key} is used by ${user[0]}`);
    this.chains.delete(key);
  }
}
