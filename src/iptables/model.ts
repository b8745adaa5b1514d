/** What iptables-restore is asked for, as plain values. */

export const TABLES = ['filter', 'nat', 'mangle'] as const;
export type TableName = (typeof TABLES)[number];

/** A chain of ours with all of its rules, each as iptables-save prints it behind `-A <chain>`. */
export interface RuleChain {
  readonly table: TableName;
  readonly name: string;
  readonly rules: readonly string[];
}

/** A rule in a chain that is not ours, beside whatever others keep there. */
export interface GuestRule {
  readonly table: TableName;
  readonly chain: string;
  readonly rule: string;
  /** Ahead of the rules that are there, or behind them. */
  readonly position: 'first' | 'last';
}

/** What one run of iptables-restore does. */
export interface RulesChange {
  /** Chains to make or to give this content. */
  readonly chains?: readonly RuleChain[];
  /** Chains to make when they are missing; the caller knows that they are. */
  readonly newChains?: readonly { readonly table: TableName; readonly name: string }[];
  /** In the order in which they come to stand in their chain. */
  readonly guests?: readonly GuestRule[];
  /** Rules in chains of others to delete. */
  readonly removedGuests?: readonly GuestRule[];
  /** Chains to delete; nothing may lead to them after the rest of the change. */
  readonly removedChains?: readonly { readonly table: TableName; readonly name: string }[];
}

/** `nat KUBE-SERVICES`: the identity of a chain. */
export function chainKey({ table, name }: Pick<RuleChain, 'table' | 'name'>): string {
  return `${table} ${name}`;
}
