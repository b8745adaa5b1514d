import type { NodeEvents } from '../../kernel/node-events.ts';
import { hasTable, WITHOUT_NFTABLES } from '../../nftables/absence.ts';
import { type ObservedTable, TableApplier, type TableChange } from '../../nftables/applier.ts';
import type { NftablesConnection } from '../../nftables/connection.ts';
import type { TableEvent } from '../../nftables/monitor.ts';
import { tableText } from '../../nftables/text.ts';
import { Transaction } from '../../nftables/transaction.ts';
import type { AuditedPart } from '../../util/audit.ts';
import type { Clock } from '../../util/clock.ts';
import { Reminder } from '../../util/complaints.ts';
import { succeedsUnless, unlessErrno } from '../../util/errno.ts';
import { withLastResult } from '../../util/last-result.ts';
import type { Logger } from '../../util/log.ts';
import { BoundedFrequencyRunner } from '../../util/runner.ts';
import { inParts, takeInTurns } from '../../util/turns.ts';
import { ContentMaker, contentDifference, contentUnion, type TableContent } from './content.ts';
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

/** Packets to the ports of tunnel and probes that were dropped, since the table was made. */
export interface DroppedPackets {
  readonly fromPods: bigint;
  readonly fromStrangers: bigint;
  /** Questions about paths, beyond the rate of who sent them. */
  readonly probes: bigint;
}

/** What the kernel has. */
interface Held {
  readonly tunnelPort: number | undefined;
  readonly content: TableContent;
}

interface Wanted extends Held {
  readonly isPartial: boolean;
}

interface Changed {
  readonly held: Held | undefined;
  readonly isWritten: boolean;
}

/** Elements that go to the kernel at once: a few milliseconds. */
const PART = 1_000;
/** Repair within a second, and no fight with who undoes it. */
const REPAIR_INTERVALS = { minIntervalMs: 250, retryIntervalMs: 1_000 };
/** All are counted, and some are told of. */
const REPAIRS_SAID_MS = 10_000;

/**
 * Keeps table `inet weft-fabric` as the last facts say, also after changes of others. What is in the
 * kernel is adopted and outlives this object; counters are kept as long as their rules are right.
 */
export class FabricTable {
  readonly #options: FabricTableOptions;
  readonly #repairer: BoundedFrequencyRunner;
  readonly #repairsSaid: Reminder;
  readonly #watch: { close(): void };
  /** Kept, as the digest of its definition costs more than most changes of elements. */
  readonly #applier = withLastResult(
    (tunnelPort: number | undefined) =>
      new TableApplier(this.#options.connection, tableDefinition(tunnelPort)),
  );
  readonly #maker = new ContentMaker();
  #facts: FabricTableFacts | undefined;
  /** What the kernel holds; undefined when it has to be read. */
  #held: Held | undefined;
  /** Processes that changed the table since it was last read; undefined when nobody did. */
  #suspects: ReadonlySet<string> | undefined;

  constructor(options: FabricTableOptions) {
    const { clock, log, events } = options;
    this.#options = options;
    this.#repairsSaid = new Reminder(clock, REPAIRS_SAID_MS);
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
    const held = this.#held;
    this.#held = undefined;
    const wanted = this.#wantedOf(facts);
    const isKnown = held !== undefined && held.tunnelPort === wanted.tunnelPort;
    // Somebody may have taken away what the change is about.
    const changed = (isKnown ? this.#change(held, wanted) : undefined) ?? this.#adopt(wanted);
    this.#held = changed.held;
    if (changed.isWritten) this.#noteRepair();
    this.#suspects = undefined;
    return changed.isWritten;
  }

  /**
   * Before `sync`: makes the elements of thousands of peers, others having their turn; where the kernel has no
   * such table, makes and fills that too, in parts, before packets pass through it. Throws NftablesError.
   */
  async begin(facts: FabricTableFacts): Promise<void> {
    const { connection } = this.#options;
    // Kept: `sync` finds them made.
    const content = await takeInTurns(this.#maker.steps(facts));
    if (this.#facts !== undefined || hasTable(connection, FABRIC_TABLE)) return;
    const tunnelPort = facts.tunnel?.port;
    const applier = this.#applier(tunnelPort);
    applier.prepare({ elements: [] });
    for (const [set, elements] of content) {
      for await (const add of inParts(elements, PART)) {
        applier.apply({ elements: [{ set, remove: [], add }] });
      }
    }
    applier.hook();
    this.#held = { tunnelPort, content };
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

  /** Zero as long as there is no table, or no nf_tables. */
  dropped(): DroppedPackets {
    const { connection } = this.#options;
    const packetsOf = (chain: string) => {
      const rules = unlessErrno(WITHOUT_NFTABLES, () => connection.rules(FABRIC_TABLE, chain));
      return rules?.[0]?.counter?.packets ?? 0n;
    };
    return {
      fromPods: packetsOf(DROPPED.fromPods),
      fromStrangers: packetsOf(DROPPED.fromStrangers),
      probes: packetsOf(DROPPED.probes),
    };
  }

  /** For an audit: what differs is put right. */
  auditedParts(): readonly AuditedPart[] {
    const facts = this.#facts;
    if (facts === undefined) return [];
    const look = async () => {
      if (this.#facts !== facts || this.#held === undefined) return 'unsettled';
      const wanted = this.#wantedOf(facts);
      return wanted.isPartial ? 'unsettled' : this.#differences(wanted);
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

  #wantedOf(facts: FabricTableFacts): Wanted {
    const { tunnel, isPartial = false } = facts;
    return { tunnelPort: tunnel?.port, content: this.#maker.make(facts), isPartial };
  }

  /** Undefined when the kernel does not hold what it is thought to hold. */
  #change(held: Held, wanted: Wanted): Changed | undefined {
    const { tunnelPort } = wanted;
    const content = contentFrom(held.content, wanted);
    const elements = contentDifference(held.content, content);
    if (elements.length === 0) return { held, isWritten: false };
    const apply = () => this.#applier(tunnelPort).apply({ elements });
    if (!succeedsUnless(['ENOENT', 'EEXIST'], apply)) return undefined;
    return { held: { tunnelPort, content }, isWritten: true };
  }

  /**
   * A table that is not there, or is another one, comes with its whole content. One that serves waits
   * until that is known.
   */
  #adopt(wanted: Wanted): Changed {
    const { tunnelPort, isPartial } = wanted;
    const applier = this.#applier(tunnelPort);
    const observed = applier.observe();
    if (!observed.isAsDefined) {
      if (isPartial && observed.isHooked && !observed.isDormant) {
        return { held: undefined, isWritten: false };
      }
      applier.replace({ elements: contentDifference(new Map(), wanted.content) });
      return { held: wanted, isWritten: true };
    }
    const content = contentFrom(observed.elements, wanted);
    const change = changeOf(observed, tunnelPort, content);
    const isRight = sizeOf(change) === 0;
    if (!isRight) applier.apply(change);
    if (observed.isDormant) applier.wake();
    return { held: { tunnelPort, content }, isWritten: !isRight || observed.isDormant };
  }

  #differences({ tunnelPort, content }: Wanted): number {
    const observed = this.#applier(tunnelPort).observe();
    if (!observed.isAsDefined || observed.isDormant) return 1;
    return sizeOf(changeOf(observed, tunnelPort, content));
  }

  #readAgain(): void {
    if (this.#facts !== undefined && this.#held === undefined) this.sync(this.#facts);
  }

  #noteRepair(): void {
    if (this.#suspects === undefined) return;
    const by = [...this.#suspects];
    if (this.#repairsSaid.isDue('')) {
      this.#options.log.warn({ by }, 'fabric table changed by somebody else, put right');
    }
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

function contentFrom(held: TableContent, { content, isPartial }: Wanted): TableContent {
  return isPartial ? contentUnion(held, content) : content;
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
