import type { TableApplier } from '../../../nftables/applier.ts';
import type { Chain, Element, NamedSet, TableDefinition } from '../../../nftables/model.ts';

/** The table of one family in the kernel. */
export interface ServiceTable
  extends Pick<TableApplier, 'observe' | 'wake' | 'apply' | 'replace' | 'prepare' | 'hook'> {
  /** Lists a set part by part, off the event loop; false when it changed meanwhile. */
  list(set: NamedSet, onPart: (elements: readonly Element[]) => void): Promise<boolean>;
  /** The chains that are missing or have other rules than these. */
  damaged(chains: readonly Chain[]): readonly Chain[];
  close(): void;
}

/** Opens the table that `definition` describes, without touching it yet. */
export type OpenTable = (definition: TableDefinition) => ServiceTable;
