import { NftablesError } from '../../src/nftables/connection.ts';
import type { TableDefinition } from '../../src/nftables/model.ts';
import type { OpenTable } from '../../src/proxy/modes/nftables/table.ts';

/** What a kernel under pressure answers. */
const CODES = ['ENOBUFS', 'EBUSY', 'ENOMEM', 'EINTR'] as const;

export interface FaultyTables {
  readonly open: OpenTable;
  /** The tables that were opened, one per family. */
  readonly definitions: ReadonlyMap<string, TableDefinition>;
  /** Failures so far. */
  readonly failures: number;
  /** Share of the calls that fail, 0 to 1. */
  failureShare: number;
}

/**
 * Tables that refuse some transactions and some readings. A refused transaction has not happened,
 * but for half of those with ENOBUFS: there only the kernel's answer was lost.
 */
export function faultyTables(open: OpenTable, random: () => number): FaultyTables {
  const definitions = new Map<string, TableDefinition>();
  const state = { failures: 0, failureShare: 0 };
  const fail = (object: string, happened: () => void) => {
    if (random() >= state.failureShare) return;
    const code = CODES[Math.floor(random() * CODES.length)] ?? 'ENOBUFS';
    if (code === 'ENOBUFS' && random() < 0.5) happened();
    state.failures++;
    throw new NftablesError(code, object, 'made to fail');
  };
  return {
    open: (definition) => {
      definitions.set(definition.table.family, definition);
      const table = open(definition);
      return {
        ...table,
        observe: () => {
          fail('listing', () => {});
          return table.observe();
        },
        apply: (change) => {
          fail('transaction', () => table.apply(change));
          table.apply(change);
        },
        replace: (content) => {
          fail('replacement', () => table.replace(content));
          table.replace(content);
        },
        prepare: (content) => {
          fail('replacement', () => table.prepare(content));
          table.prepare(content);
        },
        hook: () => {
          fail('hooking', () => table.hook());
          table.hook();
        },
      };
    },
    definitions,
    get failures() {
      return state.failures;
    },
    get failureShare() {
      return state.failureShare;
    },
    set failureShare(share) {
      state.failureShare = share;
    },
  };
}
