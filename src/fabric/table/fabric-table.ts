import type { NodeEvents } from '../../kernel/node-events.ts';
import { hasTable } from '../../nftables/absence.ts';
import { type ObservedTable, TableApplier, type TableChange } from '../../nftables/applier.ts';
import type { NftablesConnection } from '../../nftables/connection.ts';
import type { TableEvent } from '../../nftables/monitor.ts';
import { tableText } from '../../nftables/text.ts';
import { Transaction } from '../../nftables/transaction.ts';
import type { AuditedPart } from '../../util/audit.ts';
import type { Clock } from '../../util/clock.ts';
import { succeedsUnless } from '../../util/errno.ts';
import type { Logger } from '../../util/log.ts';
import { BoundedFrequencyRunner } from '../../util/runner.ts';
import { ContentMaker, contentDifference, type TableContent, tableContent } from './content.ts';
import { DROPPED, FABRIC_TABLE, tableDefinition } from './definition.ts';
import type { FabricTableFacts } from './facts.ts';

export interface FabricTableOptions {
  /** Nobody else's; closed with the table. */
  readonly connection: NftablesConnection;
  /** Of the same namespace. */
  readonly events: Pick<NodeEvents, 'onTables'>;
  readonly clock: Clock;
  readonly log: Logger;
  /** Somebody else's change was undone; `by` names the processes that made one. */
  readonly onRepair: (by: readonly string[]) => void;
}

/** Packets to the tunnel's port that were dropped, since the table was made. */
export interface DroppedPackets {
  readonly fromPods: bigint;
  readonly fromStrangers: bigint;
}

/** Repair within a second, and no fight with who undoes it. */
const REPAIR_INTERVALS = { minIntervalMs: 250, retryIntervalMs: 1_000 };

/**
 * Keeps table `inet weft-fabric` as the last facts say, also after changes of others. What is in the
 * kernel is adopted and outlives this object; counters are kept as long as their rules are right.
 */
export class FabricTable {
  readonly #options: FabricTableOptions;
  readonly #repairer: BoundedFrequencyRunner;
  readonly #watch: { close(): void };
  readonly #maker = new ContentMaker();
  #facts: FabricTableFacts | undefined;
  /** What the kernel holds; undefined when it has to be read. */
  #held: { readonly tunnelPort: number | undefined; readonly content: TableContent } | undefined;
  /** Processes that changed the table since it was last read; undefined when nobody did. */
  #suspects: ReadonlySet<string> | undefined;

  constructor(options: FabricTableOptions) {
    const { clock, log, events } = options;
    this.#options = options;
    this.#repairer = new BoundedFrequencyRunner(async () => this.#readAgain(), {
      ...REPAIR_INTERVALS,
      clock,
      onError: (err) => log.error({ err }, 'fabric table not repaired'),
    });
    this.#watch = events.onTables((event) => this.#onTables(event));
  }

  /**
   * Brings the table in line, in one transaction; gives whether there was anything to do. Throws
   * NftablesError: then the kernel has what it had, and the next call reads it first.
   */
  sync(facts: FabricTableFacts): boolean {
    this.#facts = facts;
    const tunnelPort = facts.tunnel?.port;
    const content = this.#maker.make(facts);
    const held = this.#held;
    this.#held = undefined;
    const isKnown = held !== undefined && held.tunnelPort === tunnelPort;
    // Somebody may have taken away what the change is about.
    const wasChanged =
      (isKnown ? this.#change(tunnelPort, held.content, content) : undefined) ??
      this.#adopt(tunnelPort, content);
    this.#held = { tunnelPort, content };
    if (wasChanged) this.#noteRepair();
    this.#suspects = undefined;
    return wasChanged;
  }

  /** Takes the table away, with all that it does. */
  remove(): void {
    const { connection } = this.#options;
    this.#facts = undefined;
    this.#held = undefined;
    if (!hasTable(connection, FABRIC_TABLE)) return;
    const removal = new Transaction(FABRIC_TABLE).deleteTable();
    succeedsUnless(['ENOENT'], () => connection.commit(removal));
  }

  /** Zero as long as there is no table. */
  dropped(): DroppedPackets {
    const packetsOf = (chain: string) =>
      this.#options.connection.rules(FABRIC_TABLE, chain)[0]?.counter?.packets ?? 0n;
    return {
      fromPods: packetsOf(DROPPED.fromPods),
      fromStrangers: packetsOf(DROPPED.fromStrangers),
    };
  }

  /** For an audit: what differs is put right. */
  auditedParts(): readonly AuditedPart[] {
    const facts = this.#facts;
    if (facts === undefined) return [];
    const look = async () => {
      if (this.#facts !== facts || this.#held === undefined) return 'unsettled';
      return this.#differences(facts);
    };
    return [{ what: `table ${tableText(FABRIC_TABLE)}`, look }];
  }

  /** Reads the kernel and puts right what differs, soon. */
  resync(): void {
    this.#held = undefined;
    this.#repairer.trigger();
  }

  /** What is in the kernel stays. */
  async close(): Promise<void> {
    this.#watch.close();
    await this.#repairer.stop();
    this.#options.connection.close();
  }

  #applier(tunnelPort: number | undefined): TableApplier {
    return new TableApplier(this.#options.connection, tableDefinition(tunnelPort));
  }

  /** Undefined when the kernel does not hold what it is thought to hold. */
  #change(
    tunnelPort: number | undefined,
    from: TableContent,
    to: TableContent,
  ): boolean | undefined {
    const elements = contentDifference(from, to);
    if (elements.length === 0) return false;
    const apply = () => this.#applier(tunnelPort).apply({ elements });
    return succeedsUnless(['ENOENT', 'EEXIST'], apply) ? true : undefined;
  }

  /** A table that is not there, or is another one, comes with its whole content. */
  #adopt(tunnelPort: number | undefined, content: TableContent): boolean {
    const applier = this.#applier(tunnelPort);
    const observed = applier.observe();
    if (!observed.isAsDefined) {
      applier.replace({ elements: contentDifference(new Map(), content) });
      return true;
    }
    const change = changeOf(observed, tunnelPort, content);
    const isRight = sizeOf(change) === 0;
    if (!isRight) applier.apply(change);
    if (observed.isDormant) applier.wake();
    return !isRight || observed.isDormant;
  }

  #differences(facts: FabricTableFacts): number {
    const tunnelPort = facts.tunnel?.port;
    const observed = this.#applier(tunnelPort).observe();
    if (!observed.isAsDefined || observed.isDormant) return 1;
    return sizeOf(changeOf(observed, tunnelPort, tableContent(facts)));
  }

  #readAgain(): void {
    if (this.#facts !== undefined && this.#held === undefined) this.sync(this.#facts);
  }

  #noteRepair(): void {
    if (this.#suspects === undefined) return;
    const by = [...this.#suspects];
    this.#options.log.warn({ by }, 'fabric table changed by somebody else, put right');
    this.#options.onRepair(by);
  }

  #onTables(event: TableEvent | 'overflow'): void {
    if (event === 'overflow') {
      this.#suspects ??= new Set();
    } else {
      const isOwn = event.byPortId === this.#options.connection.portId;
      if (isOwn || !event.tables.has(tableText(FABRIC_TABLE))) return;
      this.#suspects = new Set(this.#suspects).add(event.byProcess);
    }
    this.resync();
  }
}

/** What makes a table that is as defined hold this content and nothing else. */
function changeOf(
  observed: ObservedTable,
  tunnelPort: number | undefined,
  content: TableContent,
): TableChange {
  const own = new Set(tableDefinition(tunnelPort).chains.map(({ name }) => name));
  const foreign = observed.chains.map(({ name }) => name).filter((name) => !own.has(name));
  const emptied = foreign.map((name) => ({ name, rules: [] }));
  return {
    chains: [...observed.damaged, ...emptied],
    removedChains: foreign,
    elements: contentDifference(observed.elements, content),
  };
}

function sizeOf({ chains = [], elements }: TableChange): number {
  const sizes = elements.map(({ remove, add }) => remove.length + add.length);
  return sizes.reduce((sum, size) => sum + size, chains.length);
}
