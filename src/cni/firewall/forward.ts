/**
 * Rules in tables that belong to iptables. Every change is made only if nothing in the namespace has
 * changed since the rules were read, so that of two who add the same rule one finds it there.
 */
import { type IP, type IPFamily, ipFamily } from '../../net/ip.ts';
import { isWithoutNftables } from '../../nftables/absence.ts';
import type { NftablesConnection } from '../../nftables/connection.ts';
import type { ObservedRule } from '../../nftables/decode-rules.ts';
import { Transaction } from '../../nftables/transaction.ts';
import { BusyError, errorCode } from '../../util/errors.ts';
import type { Attachment } from '../attachment.ts';
import {
  addressRules,
  adminRule,
  type CommentedRule,
  entryRule,
  filterTables,
  forwardChain,
  ownerOf,
  parseComment,
  type RuleComment,
  weftChain,
} from './layout.ts';

/** The part of NftablesConnection that is needed. */
export type ForwardTables = Pick<
  NftablesConnection,
  'chains' | 'rules' | 'commit' | 'generation' | 'close'
>;

/** What is in the kernel for one family. */
export interface ForwardState {
  /** What happens to packets that no rule of FORWARD decides. */
  readonly policy: 'accept' | 'drop';
  readonly hasWeftChain: boolean;
  /** Rules of FORWARD that lead to our chain. */
  readonly entries: readonly ObservedRule[];
  /** The rule of FORWARD that a new one is put in front of; undefined: it goes last. */
  readonly place: bigint | undefined;
  /** Rules of our chain, in order. */
  readonly rules: readonly ObservedRule[];
}

/** An attachment and the addresses that are its own. */
export interface ForwardedPod {
  readonly owner: Attachment;
  readonly addresses: readonly IP[];
}

export interface ForwardWish {
  readonly adminChain: string;
  readonly pods: readonly ForwardedPod[];
}

/** Which of our rules go. */
export type RuleFilter = (comment: RuleComment) => boolean;

export const families: readonly IPFamily[] = [4, 6];

/** Bounds the race with everybody who changes nf_tables on this node. */
const maxAttempts = 50;

/** Undefined when iptables-nft has not made a FORWARD chain for the family: nothing can drop there. */
export function readForward(nft: ForwardTables, family: IPFamily): ForwardState | undefined {
  const table = filterTables[family];
  const chains = chainsOf(nft, family);
  const base = chains.find(({ name }) => name === forwardChain)?.base;
  if (base?.hook !== 'forward') return undefined;
  const hasWeftChain = chains.some(({ name }) => name === weftChain);
  const forward = nft.rules(table, forwardChain);
  return {
    policy: base.policy ?? 'accept',
    hasWeftChain,
    entries: forward.filter(({ target }) => target === weftChain),
    // What an administrator has put first to keep some packets out stays first.
    place: forward.find(({ refuses }) => refuses !== 'some')?.handle,
    rules: hasWeftChain ? nft.rules(table, weftChain) : [],
  };
}

/**
 * Adds what is missing; usually nothing is. Rules of the same pods for other addresses go: they are of
 * an ADD before. `isStale` tells of others that go in the same step. The wish is asked for again whenever
 * somebody was faster.
 */
export function ensureForward(
  nft: ForwardTables,
  wished: () => ForwardWish,
  isStale: RuleFilter = () => false,
): void {
  for (const family of families) {
    retrying(nft, (generation) => {
      const wish = wished();
      if (rulesFor(family, wish.pods).length === 0) return;
      const state = readForward(nft, family);
      if (state === undefined) return;
      nft.commit(additions(state, family, wish, isStale), { generation });
    });
  }
}

/** Takes rules of ours back. Chain and jump stay: an administrator may have put rules in front of it. */
export function removeForward(nft: ForwardTables, isRemoved: RuleFilter): void {
  eachFamily(nft, (state, transaction) => {
    for (const { handle } of state.rules.filter(isOurs(isRemoved))) {
      transaction.deleteRule(weftChain, handle);
    }
  });
}

/** With the last rule of any pod the chain goes, too, and the way to it. */
export function removeUnusedForward(nft: ForwardTables): void {
  eachFamily(nft, (state, transaction) => {
    if (!state.hasWeftChain || hasRule(state, () => true)) return;
    for (const { handle } of state.entries) transaction.deleteRule(forwardChain, handle);
    transaction.flushChain(weftChain).deleteChain(weftChain);
  });
}

/** Comments of the wished rules that are missing, and `jump` when nothing leads to them. */
export function missingRules(
  state: ForwardState,
  family: IPFamily,
  pods: readonly ForwardedPod[],
): readonly string[] {
  const wished = rulesFor(family, pods);
  if (wished.length === 0) return [];
  const present = new Set(state.rules.map(({ comment }) => comment));
  const missing = wished.filter(({ comment }) => !present.has(comment));
  const jump = state.entries.length === 0 ? [`${forwardChain} jump ${weftChain}`] : [];
  return [...jump, ...missing.map(({ comment }) => comment)];
}

export function hasRule({ rules }: ForwardState, filter: RuleFilter): boolean {
  return rules.some(isOurs(filter));
}

function rulesFor(family: IPFamily, pods: readonly ForwardedPod[]): readonly CommentedRule[] {
  return pods.flatMap(({ owner, addresses }) => {
    const own = addresses.filter((address) => ipFamily(address) === family);
    return own.flatMap((address) => addressRules(owner, address));
  });
}

/** Empty when everything is there: committing that does nothing. */
function additions(
  state: ForwardState,
  family: IPFamily,
  { adminChain, pods }: ForwardWish,
  isStale: RuleFilter,
): Transaction {
  const transaction = new Transaction(filterTables[family]);
  if (!state.hasWeftChain) transaction.addChain({ name: weftChain, rules: [] });
  if (!state.rules.some(({ target }) => target === adminChain)) {
    transaction.addChain({ name: adminChain, rules: [] });
    transaction.insertRule(weftChain, adminRule(adminChain));
  }
  const present = new Set(state.rules.map(({ comment }) => comment));
  const wished = rulesFor(family, pods);
  for (const rule of wished) if (!present.has(rule.comment)) transaction.addRule(weftChain, rule);
  const kept = new Set<string | undefined>(wished.map(({ comment }) => comment));
  const owners = new Set(pods.map(({ owner }) => ownerOf(owner)));
  const isReplaced = isOurs((comment) => owners.has(comment.owner ?? '') || isStale(comment));
  for (const rule of state.rules.filter(isReplaced)) {
    if (!kept.has(rule.comment)) transaction.deleteRule(weftChain, rule.handle);
  }
  if (state.entries.length > 0) return transaction;
  return state.place === undefined
    ? transaction.addRule(forwardChain, entryRule)
    : transaction.insertRule(forwardChain, entryRule, state.place);
}

function isOurs(filter: RuleFilter): (rule: ObservedRule) => boolean {
  return ({ comment }) => {
    const parsed = parseComment(comment);
    return parsed !== undefined && filter(parsed);
  };
}

function eachFamily(
  nft: ForwardTables,
  change: (state: ForwardState, transaction: Transaction) => void,
): void {
  for (const family of families) {
    retrying(nft, (generation) => {
      const state = readForward(nft, family);
      if (state === undefined) return;
      const transaction = new Transaction(filterTables[family]);
      change(state, transaction);
      if (transaction.size > 0) nft.commit(transaction, { generation });
    });
  }
}

/** Whether iptables-nft has made a FORWARD chain; without its rules being listed. */
export function hasForward(nft: ForwardTables, family: IPFamily): boolean {
  return chainsOf(nft, family).some(({ name, base }) => {
    return name === forwardChain && base?.hook === 'forward';
  });
}

/** Names of the chains of table `filter`. */
export function readChains(nft: ForwardTables, family: IPFamily): readonly string[] {
  return chainsOf(nft, family).map(({ name }) => name);
}

function chainsOf(nft: ForwardTables, family: IPFamily) {
  try {
    return nft.chains(filterTables[family]);
  } catch (thrown) {
    if (isWithoutNftables(thrown)) return [];
    throw thrown;
  }
}

function retrying(nft: ForwardTables, change: (generation: number) => void): void {
  for (let attempt = 0; attempt < maxAttempts; attempt += 1) {
    try {
      change(generationOf(nft));
      return;
    } catch (thrown) {
      if (errorCode(thrown) !== 'ERESTART') throw thrown;
    }
  }
  throw new BusyError(`chain ${weftChain}: nf_tables keeps changing`);
}

function generationOf(nft: ForwardTables): number {
  try {
    return nft.generation();
  } catch (thrown) {
    if (isWithoutNftables(thrown)) return 0;
    throw thrown;
  }
}
