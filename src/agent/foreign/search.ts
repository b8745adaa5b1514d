/**
 * Which rules of a chain, and of those that it leads to, packets are sure to meet. What cannot be told (a
 * set, another extension) is no reason to blame a rule. Pure.
 */
import type { NatRule } from '../../nftables/nat-rule.ts';
import { type PacketClass, type Share, shareOf } from './share.ts';

export type DescribedRule = Pick<NatRule, 'conditions' | 'action'> & {
  /** For people: the rule, or where it is. */
  readonly text: string;
};

/** By name. */
export type DescribedChains = ReadonlyMap<string, readonly DescribedRule[]>;

/** A rule that does what is looked for, to all of the packets or to some. */
export interface FoundRule {
  readonly chain: string;
  readonly rule: DescribedRule;
  readonly share: Share;
}

type End = 'ends' | 'returns' | 'goesOn';

/** What becomes of packets in a chain. */
export interface Walked {
  readonly end: End;
  /** A rule that is not looked for ends the way of some of them. */
  readonly hasEnded: boolean;
  /** It may be that one ends the way of all. */
  readonly hasDoubt: boolean;
}

/** Jumps within jumps; the kernel allows 16. */
const MOST_JUMPS = 16;

export class RuleSearch {
  readonly #found = new Map<string, FoundRule>();
  readonly #chains: DescribedChains;
  readonly #packets: PacketClass;
  readonly #wanted: 'masquerade' | 'drop';

  constructor(chains: DescribedChains, packets: PacketClass, wanted: 'masquerade' | 'drop') {
    this.#chains = chains;
    this.#packets = packets;
    this.#wanted = wanted;
  }

  /** Each once, in the order in which they are met. */
  get found(): readonly FoundRule[] {
    return [...this.#found.values()];
  }

  /** Follows the packets from the first rule of a chain on. */
  walk(chain: string): Walked {
    return this.#walk(chain, true, 0);
  }

  #walk(chain: string, isSure: boolean, depth: number): Walked {
    let [hasEnded, hasDoubt, mayHaveReturned] = [false, false, false];
    for (const rule of this.#chains.get(chain) ?? []) {
      const share = shareOf(rule.conditions, this.#packets);
      if (share === 'none') continue;
      const isMet = isSure && share !== 'unknown' && !hasDoubt && !mayHaveReturned;
      const step = this.#act(chain, rule, isMet ? share : undefined, depth);
      hasEnded ||= step.hasEnded;
      hasDoubt ||= step.hasDoubt || (share === 'unknown' && step.hasEnded);
      mayHaveReturned ||= share === 'unknown' && step.end === 'returns';
      if (share === 'all' && step.end !== 'goesOn') return { end: step.end, hasEnded, hasDoubt };
    }
    return { end: 'goesOn', hasEnded, hasDoubt };
  }

  /** `met`: how many are sure to meet it; undefined: nobody knows. */
  #act(chain: string, rule: DescribedRule, met: Share | undefined, depth: number): Walked {
    const { action, text } = rule;
    const plain = { hasEnded: false, hasDoubt: false };
    if (action.kind === this.#wanted) {
      if (met !== undefined) this.#found.set(`${chain} ${text}`, { chain, rule, share: met });
      return { ...plain, end: 'ends' };
    }
    switch (action.kind) {
      case 'masquerade':
      case 'accept':
      case 'drop':
        return { ...plain, hasEnded: true, end: 'ends' };
      case 'return':
        return { ...plain, end: 'returns' };
      case 'none':
        return { ...plain, end: 'goesOn' };
      case 'jump':
      case 'goto': {
        const isKnown = depth < MOST_JUMPS && this.#chains.has(action.chain);
        if (!isKnown) return { ...plain, end: 'goesOn' };
        const inner = this.#walk(action.chain, met !== undefined, depth + 1);
        if (inner.end === 'ends') return inner;
        return { ...inner, end: action.kind === 'goto' ? 'returns' : 'goesOn' };
      }
    }
  }
}
