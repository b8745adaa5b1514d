import type { NodeEvents } from '../../kernel/node-events.ts';
import type { Conntrack } from '../../kernel/types.ts';
import { type ObservedTable, TableApplier, type TableChange } from '../../nftables/applier.ts';
import type { NftablesConnection } from '../../nftables/connection.ts';
import { definitionDigest } from '../../nftables/digest.ts';
import type { Element, TableDefinition } from '../../nftables/model.ts';
import type { TableEvent } from '../../nftables/monitor.ts';
import { tableText } from '../../nftables/text.ts';
import type { AuditedPart } from '../../util/audit.ts';
import { succeedsUnless } from '../../util/errno.ts';
import { type ContentBook, contentDifference, type TableContent } from '../content.ts';
import {
  FORMER_CHECK_CHAIN,
  generationElement,
  generationOf,
  POLICY_TABLE,
  STAMP_CHAIN,
  stampingChain,
} from './definition.ts';
import { type Generation, nextGeneration } from './generations.ts';
import { GENERATIONS, VERDICTS } from './sets.ts';

export interface PolicyTableOptions {
  /** Nobody else's; closed with the table. */
  readonly connection: NftablesConnection;
  /** All three of the same namespace. */
  readonly events: Pick<NodeEvents, 'onTables'>;
  readonly conntrack: Pick<Conntrack, 'flows' | 'clearMarks'>;
  readonly definition: TableDefinition;
  /** What the table is to hold. */
  readonly book: ContentBook;
  /** Somebody else has changed the table: it is to be read again, soon. */
  readonly onSuspicion: () => void;
}

/** What a commit did. */
export interface Committed {
  readonly isWritten: boolean;
  /** Processes whose changes were undone; undefined when there were none. */
  readonly repairedFrom: readonly string[] | undefined;
}

/** Table `inet weft-policy` in the kernel. What is there is adopted and outlives this object. */
export class PolicyTable {
  readonly #options: PolicyTableOptions;
  #definition: TableDefinition;
  #applier: TableApplier;
  readonly #watch: { close(): void };
  #generation: Generation | undefined;
  /** Whether the kernel holds what the book said before its changes. */
  #isKnown = false;
  /** Processes that changed the table since it was last read; undefined when nobody did. */
  #suspects: ReadonlySet<string> | undefined;

  constructor(options: PolicyTableOptions) {
    this.#options = options;
    this.#definition = options.definition;
    this.#applier = new TableApplier(options.connection, options.definition);
    this.#watch = options.events.onTables((event) => this.#onTables(event));
  }

  get generation(): number | undefined {
    return this.#generation?.generation;
  }

  /**
   * Brings the table in line with the book, in one transaction; with `isNarrowed` every connection is
   * judged anew from then on. Throws NftablesError: then the kernel has what it had.
   */
  commit(isNarrowed: boolean): Committed {
    const isKnown = this.#isKnown;
    this.#isKnown = false;
    const isWritten = (isKnown ? this.#change(isNarrowed) : undefined) ?? this.#adopt(isNarrowed);
    this.#options.book.settle();
    this.#isKnown = true;
    const suspects = this.#suspects;
    this.#suspects = undefined;
    const isRepair = isWritten && suspects !== undefined;
    return { isWritten, repairedFrom: isRepair ? [...suspects] : undefined };
  }

  /** The next commit replaces a table that has other rules, whole. */
  define(definition: TableDefinition): void {
    if (definitionDigest(definition) === definitionDigest(this.#definition)) return;
    this.#definition = definition;
    this.#applier = new TableApplier(this.#options.connection, definition);
    this.#isKnown = false;
  }

  /** The next commit reads the kernel first. */
  forget(): void {
    this.#isKnown = false;
  }

  /** For an audit: differences there are between the kernel and the book. */
  auditedParts(): readonly AuditedPart[] {
    const look = async () => {
      const isSettled = this.#isKnown && this.#options.book.changes().length === 0;
      return isSettled ? this.#differences() : 'unsettled';
    };
    return [{ what: `table ${tableText(POLICY_TABLE)}`, look }];
  }

  /** Elements of the verdicts with their counters; throws NftablesError. */
  verdicts() {
    return this.#options.connection.elements(POLICY_TABLE, VERDICTS);
  }

  /** What is in the kernel stays. */
  close(): void {
    this.#watch.close();
    this.#options.connection.close();
  }

  /** Undefined when the kernel does not hold what it is thought to hold. */
  #change(isNarrowed: boolean): boolean | undefined {
    const elements = this.#options.book.changes();
    if (elements.length === 0) return false;
    const next = isNarrowed ? this.#next() : this.#generation;
    if (next === undefined) return undefined;
    const stamps = isNarrowed ? stampChange(this.#generation, next) : NO_CHANGE;
    const change = { ...stamps, elements: [...elements, ...stamps.elements] };
    const apply = () => this.#applier.apply(change);
    if (!succeedsUnless(['ENOENT', 'EEXIST'], apply)) return undefined;
    this.#generation = next;
    return true;
  }

  /** A table that is not there, or is another one, comes with its whole content. */
  #adopt(isNarrowed: boolean): boolean {
    const observed = this.#applier.observe();
    // What is in the kernel when this process begins was judged by whoever has put it there.
    const mustJudge = isNarrowed && this.#generation !== undefined;
    this.#generation = this.#latest(this.#observedGeneration(observed));
    if (!observed.isAsDefined) {
      const next = this.#next();
      const elements = contentDifference(new Map(), this.#content(next));
      this.#applier.replace({ chains: [stampingChain(next.generation)], elements });
      this.#generation = next;
      return true;
    }
    const isRight = this.#sizeOfDifference(observed) === 0;
    if (!isRight || mustJudge) {
      const next = this.#next();
      this.#applier.apply(this.#difference(observed, next));
      this.#generation = next;
    }
    if (observed.isDormant) this.#applier.wake();
    return !isRight || observed.isDormant;
  }

  #next(): Generation {
    return nextGeneration(this.#generation, this.#options.conntrack);
  }

  /** Of a table that another process has made nobody knows which generations are free. */
  #observedGeneration({ chains }: ObservedTable): Generation | undefined {
    const found = [STAMP_CHAIN, FORMER_CHECK_CHAIN].flatMap((chain) => {
      if (!chains.some(({ name }) => name === chain)) return [];
      const [rule] = this.#options.connection.rules(POLICY_TABLE, chain);
      return generationOf(rule?.comment) ?? [];
    });
    const [generation] = found;
    return generation === undefined ? undefined : { generation, freeUntil: generation };
  }

  /** What this process knows, unless another one has gone on meanwhile. */
  #latest(observed: Generation | undefined): Generation | undefined {
    const own = this.#generation;
    if (own === undefined || observed === undefined) return observed ?? own;
    return own.generation === observed.generation ? own : observed;
  }

  #differences(): number {
    const observed = this.#applier.observe();
    if (!observed.isAsDefined || observed.isDormant) return 1;
    return this.#sizeOfDifference(observed);
  }

  /** From the book and the generation that there is. */
  #sizeOfDifference(observed: ObservedTable): number {
    const generation = this.#generation;
    return generation === undefined ? 1 : sizeOf(this.#difference(observed, generation));
  }

  /** What makes a table that is as defined hold the content of the book and nothing else. */
  #difference(observed: ObservedTable, generation: Generation): TableChange {
    const { connection } = this.#options;
    const stamping = stampingChain(generation.generation);
    const own = new Set([...this.#definition.chains, stamping].map(({ name }) => name));
    const foreign = observed.chains.map(({ name }) => name).filter((name) => !own.has(name));
    const emptied = foreign.map((name) => ({ name, rules: [] }));
    const damaged = [...observed.damaged, ...connection.damagedChains(POLICY_TABLE, [stamping])];
    return {
      chains: [...damaged, ...emptied],
      removedChains: foreign,
      elements: contentDifference(observed.elements, this.#content(generation)),
    };
  }

  #content(generation: Generation): TableContent {
    const current = [generationElement(generation.generation)];
    return new Map([...this.#options.book.content(), [GENERATIONS.name, current]]);
  }

  #onTables(event: TableEvent | 'overflow'): void {
    if (event === 'overflow') {
      this.#suspects ??= new Set();
    } else {
      const isOwn = event.byPortId === this.#options.connection.portId;
      if (isOwn || !event.tables.has(tableText(POLICY_TABLE))) return;
      this.#suspects = new Set(this.#suspects).add(event.byProcess);
    }
    this.#isKnown = false;
    this.#options.onSuspicion();
  }
}

const NO_CHANGE: TableChange = { elements: [] };

/** From one generation to the next. */
function stampChange(last: Generation | undefined, next: Generation): TableChange {
  const remove = last === undefined ? [] : [generationElement(last.generation)];
  const add = [generationElement(next.generation)];
  return {
    chains: [stampingChain(next.generation)],
    elements: [{ set: GENERATIONS.name, remove, add }],
  };
}

function sizeOf({ chains = [], elements }: TableChange): number {
  const count = (list: readonly Element[]) => list.length;
  const sizes = elements.map(({ remove, add }) => count(remove) + count(add));
  return sizes.reduce((sum, size) => sum + size, chains.length);
}
