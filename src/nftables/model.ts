/**
 * The nf_tables objects as plain values: what a ruleset is, without a word on how it is sent.
 * Field meanings follow include/uapi/linux/netfilter/nf_tables.h.
 */
import type { Selector } from './selectors.ts';
import type { Statement } from './statements.ts';

export type TableFamily = 'ip' | 'ip6' | 'inet' | 'arp' | 'bridge' | 'netdev';

export interface Table {
  readonly family: TableFamily;
  readonly name: string;
  /** At most 128 bytes; shown by `nft list`. Needs kernel 5.10. */
  readonly comment?: string;
  /** Nobody else can change it, and the kernel deletes it when the connection closes (5.12). */
  readonly isOwned?: boolean;
}

export type Hook = 'prerouting' | 'input' | 'forward' | 'output' | 'postrouting';

export interface BaseChain {
  readonly type: 'filter' | 'nat' | 'route';
  readonly hook: Hook;
  /** Lower runs first: -100 dstnat, 0 filter, 100 srcnat. */
  readonly priority: number;
  readonly policy?: 'accept' | 'drop';
}

export interface Rule {
  readonly statements: readonly Statement[];
  /** At most 128 bytes; shown by `nft list`. */
  readonly comment?: string;
}

export interface Chain {
  readonly name: string;
  /** Absent for a regular chain, reached only by jump or goto. */
  readonly base?: BaseChain;
  readonly comment?: string;
  readonly rules: readonly Rule[];
}

/** A named set, or a map when `data` is given. */
export interface NamedSet {
  readonly name: string;
  /** One selector per field; several make a concatenation, each padded to 4 bytes. */
  readonly key: readonly Selector[];
  /** Absent: a set. `verdict`: a verdict map. Selectors: a map to values of their types. */
  readonly data?: 'verdict' | readonly Selector[];
  /** Keys are ranges; needs `keyEnd` on elements, or a start and an end element for one field. */
  readonly isInterval?: boolean;
  /** Rules may add elements (dynset). */
  readonly isDynamic?: boolean;
  /** Elements expire; `timeoutMs` is the default for elements without their own. */
  readonly hasTimeout?: boolean;
  readonly timeoutMs?: number;
  /** Most elements it may hold; needed by dynamic sets to bound memory. */
  readonly size?: number;
  /** Each element counts the packets and bytes that matched it. */
  readonly hasCounters?: boolean;
  readonly comment?: string;
}

/**
 * One element. Keys and data are **register bytes** in a latin1 string (one character per byte),
 * each field padded to 4 bytes, so that they compare with `===`, serve as Map keys and cost one
 * byte each in memory. Build them with bytes.ts.
 */
export interface Element {
  readonly key: string;
  /** Inclusive upper end of an interval key (concatenated interval sets). */
  readonly keyEnd?: string;
  /**
   * In a data map the register bytes; in a verdict map the verdict's text: `accept`, `drop`,
   * `return`, `goto <chain>` or `jump <chain>`.
   */
  readonly data?: string;
  readonly timeoutMs?: number;
  readonly comment?: string;
}

/** An element as the kernel reports it. */
export interface ObservedElement extends Element {
  readonly counter?: { readonly packets: bigint; readonly bytes: bigint };
  readonly expiresMs?: number;
}

/** A whole table: its fixed structure, without elements. */
export interface TableDefinition {
  readonly table: Table;
  readonly sets: readonly NamedSet[];
  readonly chains: readonly Chain[];
}
