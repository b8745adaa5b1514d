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
  ENTRY_RULE,
  FILTER_TABLES,
  FORWARD_CHAIN,
  ownerOf,
  parseComment,
  type RuleComment,
  WEFT_CHAIN,
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

export const FAMILIES: readonly IPFamily[] = [4, 6];

/** Bounds the race with everybody who changes nf_tables on this node. */
const MAX_ATTEMPTS = 50;

/** Undefined when iptables-nft has not made a FORWARD chain for the family: nothing can drop there. */
export function readForward(nft: ForwardTables, family: IPFamily): ForwardState | undefined {
  const table = FILTER_TABLES[family];
  const chains = chainsOf(nft, family);
  const base = chains.find(({ name }) => name === FORWARD_CHAIN)?.base;
  if (base?.hook !== 'forward') return undefined;
  const hasWeftChain = chains.some(({ name }) => name === WEFT_CHAIN);
  const forward = nft.rules(table, FORWARD_CHAIN);
  return {
    policy: base.policy ?? 'accept',
    hasWeftChain,
    entries: forward.filter(({ target }) => target === WEFT_CHAIN),
    // What an administrator has put first to keep some packets out stays first.
    place: forward.find(({ refuses }) => refuses !== 'some')?.handle,
    rules: hasWeftChain ? nft.rules(table, WEFT_CHAIN) : [],
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
  for (const family of FAMILIES) {
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
      transaction.deleteRule(WEFT_CHAIN, handle);
    }
  });
}

/** With the last rule of any pod the chain goes, too, and the way to it. */
export function removeUnusedForward(nft: ForwardTables): void {
  eachFamily(nft, (state, transaction) => {
    if (!state.hasWeftChain || hasRule(state, () => true)) return;
    for (const { handle } of state.entries) transaction.deleteRule(FORWARD_CHAIN, handle);
    transaction.flushChain(WEFT_CHAIN).deleteChain(WEFT_CHAIN);
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
  const jump = state.entries.length === 0 ? [`${FORWARD_CHAIN} jump ${WEFT_CHAIN}`] : [];
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
  const transaction = new Transaction(FILTER_TABLES[family]);
  if (!state.hasWeftChain) transaction.addChain({ name: WEFT_CHAIN, rules: [] });
  if (!state.rules.some(({ target }) => target === adminChain)) {
    transaction.addChain({ name: adminChain, rules: [] });
    transaction.insertRule(WEFT_CHAIN, adminRule(adminChain));
  }
  const present = new Set(state.rules.map(({ comment }) => comment));
  const wished = rulesFor(family, pods);
  for (const rule of wished) if (!present.has(rule.comment)) transaction.addRule(WEFT_CHAIN, rule);
  const kept = new Set<string | undefined>(wished.map(({ comment }) => comment));
  const owners = new Set(pods.map(({ owner }) => ownerOf(owner)));
  const isReplaced = isOurs((comment) => owners.has(comment.owner ?? '') || isStale(comment));
  for (const rule of state.rules.filter(isReplaced)) {
    if (!kept.has(rule.comment)) transaction.deleteRule(WEFT_CHAIN, rule.handle);
  }
  if (state.entries.length > 0) return transaction;
  return state.place === undefined
    ? transaction.addRule(FORWARD_CHAIN, ENTRY_RULE)
    : transaction.insertRule(FORWARD_CHAIN, ENTRY_RULE, state.place);
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
  for (const family of FAMILIES) {
    retrying(nft, (generation) => {
      const state = readForward(nft, family);
      if (state === undefined) return;
      const transaction = new Transaction(FILTER_TABLES[family]);
      change(state, transaction);
      if (transaction.size > 0) nft.commit(transaction, { generation });
    });
  }
}

/** Whether iptables-nft has made a FORWARD chain; without its rules being listed. */
export function hasForward(nft: ForwardTables, family: IPFamily): boolean {
  return chainsOf(nft, family).some(({ name, base }) => {
    return name === FORWARD_CHAIN && base?.hook === 'forward';
  });
}

/** Names of the chains of table `filter`. */
export function readChains(nft: ForwardTables, family: IPFamily): readonly string[] {
  return chainsOf(nft, family).map(({ name }) => name);
}

function chainsOf(nft: ForwardTables, family: IPFamily) {
  try {
    return nft.chains(FILTER_TABLES[family]);
  } catch (thrown) {
    if (isWithoutNftables(thrown)) return [];
    throw thrown;
  }
}

function retrying(nft: ForwardTables, change: (generation: number) => void): void {
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt += 1) {
    try {
      change(generationOf(nft));
      return;
    } catch (thrown) {
      if (errorCode(thrown) !== 'ERESTART') throw thrown;
    }
  }
  throw new BusyError(`chain ${WEFT_CHAIN}: nf_tables keeps changing`);
}

function generationOf(nft: ForwardTables): number {
  try {
    return nft.generation();
  } catch (thrown) {
    if (isWithoutNftables(thrown)) return 0;
    throw thrown;
  }
}
