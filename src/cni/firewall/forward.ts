/**
 * Rules in tables that belong to iptables. Every change is made only if nothing in the namespace has
 * changed since the rules were read, so that of two who add the same rule one finds it there.
 */
import { type Cidr, cidrFamily } from '../../net/cidr.ts';
import type { IPFamily } from '../../net/ip.ts';
import type { NftablesConnection } from '../../nftables/connection.ts';
import type { ObservedRule } from '../../nftables/decode-rules.ts';
import { Transaction } from '../../nftables/transaction.ts';
import { BusyError, errorCode } from '../../util/errors.ts';
import {
  adminRule,
  commentPrefix,
  entryRule,
  filterTables,
  forwardChain,
  isSubnetComment,
  subnetRules,
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
  /** Rules of our chain, in order. */
  readonly rules: readonly ObservedRule[];
}

export interface ForwardWish {
  readonly network: string;
  readonly adminChain: string;
  readonly subnets: readonly Cidr[];
}

export const families: readonly IPFamily[] = [4, 6];

/** Bounds the race with everybody who changes nf_tables on this node. */
const maxAttempts = 50;
/** A kernel without nf_tables, or without a family of it, has no such table. */
const withoutNftables: readonly string[] = ['EPROTONOSUPPORT', 'EAFNOSUPPORT', 'ENOTSUP'];

/** Undefined when iptables-nft has not made a FORWARD chain for the family: nothing can drop there. */
export function readForward(nft: ForwardTables, family: IPFamily): ForwardState | undefined {
  const table = filterTables[family];
  const chains = chainsOf(nft, family);
  const base = chains.find(({ name }) => name === forwardChain)?.base;
  if (base?.hook !== 'forward') return undefined;
  return {
    policy: base.policy ?? 'accept',
    hasWeftChain: chains.some(({ name }) => name === weftChain),
    entries: nft.rules(table, forwardChain).filter(({ target }) => target === weftChain),
    rules: nft.rules(table, weftChain),
  };
}

/** Adds what is missing; usually nothing is. */
export function ensureForward(nft: ForwardTables, wish: ForwardWish): void {
  for (const family of families) {
    if (!wish.subnets.some((subnet) => cidrFamily(subnet) === family)) continue;
    retrying(nft, (generation) => {
      const state = readForward(nft, family);
      if (state === undefined) return;
      nft.commit(additions(state, family, wish), { generation });
    });
  }
}

/**
 * Takes a network's rules back, but those of subnets in use, and with the last rule of any network
 * the chain and the way to it.
 */
export function removeForward(
  nft: ForwardTables,
  network: string,
  used: readonly Cidr[] = [],
): void {
  const kept = new Set(
    families.flatMap((family) => rulesFor(family, network, used)).map(({ comment }) => comment),
  );
  for (const family of families) {
    retrying(nft, (generation) => {
      const state = readForward(nft, family);
      if (state === undefined || !state.hasWeftChain) return;
      nft.commit(removals(state, family, { network, kept }), { generation });
    });
  }
}

/** Comments of the wished rules that are missing, and `jump` when nothing leads to them. */
export function missingRules(
  state: ForwardState,
  family: IPFamily,
  { network, subnets }: Pick<ForwardWish, 'network' | 'subnets'>,
): readonly string[] {
  const present = new Set(state.rules.map(({ comment }) => comment));
  const missing = rulesFor(family, network, subnets).filter(({ comment }) => !present.has(comment));
  const jump = state.entries.length === 0 ? [`${forwardChain} jump ${weftChain}`] : [];
  return [...jump, ...missing.map(({ comment }) => comment)];
}

function rulesFor(family: IPFamily, network: string, subnets: readonly Cidr[]) {
  return subnets
    .filter((subnet) => cidrFamily(subnet) === family)
    .flatMap((subnet) => subnetRules(network, subnet));
}

/** Empty when everything is there: committing that does nothing. */
function additions(state: ForwardState, family: IPFamily, wish: ForwardWish): Transaction {
  const { network, adminChain, subnets } = wish;
  const transaction = new Transaction(filterTables[family]);
  if (!state.hasWeftChain) transaction.addChain({ name: weftChain, rules: [] });
  if (!state.rules.some(({ target }) => target === adminChain)) {
    transaction.addChain({ name: adminChain, rules: [] });
    transaction.insertRule(weftChain, adminRule(adminChain));
  }
  const present = new Set(state.rules.map(({ comment }) => comment));
  for (const rule of rulesFor(family, network, subnets)) {
    if (!present.has(rule.comment)) transaction.addRule(weftChain, rule);
  }
  if (state.entries.length === 0) transaction.insertRule(forwardChain, entryRule);
  return transaction;
}

function removals(
  state: ForwardState,
  family: IPFamily,
  { network, kept }: { readonly network: string; readonly kept: ReadonlySet<string> },
): Transaction {
  const prefix = commentPrefix(network);
  const isOwn = ({ comment }: ObservedRule) =>
    comment?.startsWith(prefix) === true && !kept.has(comment);
  const others = state.rules.filter((rule) => !isOwn(rule));
  const transaction = new Transaction(filterTables[family]);
  if (others.some(({ comment }) => isSubnetComment(comment))) {
    for (const { handle } of state.rules.filter(isOwn)) transaction.deleteRule(weftChain, handle);
    return transaction;
  }
  for (const { handle } of state.entries) transaction.deleteRule(forwardChain, handle);
  return transaction.flushChain(weftChain).deleteChain(weftChain);
}

function chainsOf(nft: ForwardTables, family: IPFamily) {
  try {
    return nft.chains(filterTables[family]);
  } catch (thrown) {
    if (withoutNftables.includes(errorCode(thrown) ?? '')) return [];
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
    if (withoutNftables.includes(errorCode(thrown) ?? '')) return 0;
    throw thrown;
  }
}
