import type { ObservedTable, TableChange } from '../../../nftables/applier.ts';
import type { Chain, Element, NamedSet, TableDefinition } from '../../../nftables/model.ts';

/** The table of one family in the kernel; see TableApplier. */
export interface ServiceTable {
  /** Reads it; `chains` is empty when there is no such table. */
  observe(): ObservedTable;
  /** Puts a dormant table back on its hooks. */
  wake(): void;
  /** Applies a change as one transaction. */
  apply(change: TableChange): void;
  /** Makes it anew with this content, as one transaction. */
  replace(content: TableChange): void;
  /** The same without base chains, so that no packet meets it. */
  prepare(content: TableChange): void;
  /** Adds the base chains. */
  hook(): void;
  /** Lists a set part by part, off the event loop; false when it changed meanwhile. */
  list(set: NamedSet, onPart: (elements: readonly Element[]) => void): Promise<boolean>;
  /** The chains that are missing or have other rules than these. */
  damaged(chains: readonly Chain[]): readonly Chain[];
  close(): void;
}

/** Opens the table that `definition` describes, without touching it yet. */
export type OpenTable = (definition: TableDefinition) => ServiceTable;
