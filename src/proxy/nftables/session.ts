import { setImmediate as nextTurn } from 'node:timers/promises';
import type { IP } from '../../net/ip.ts';
import type { ObservedTable, TableChange } from '../../nftables/applier.ts';
import { ipBytes } from '../../nftables/bytes.ts';
import type { TableDefinition } from '../../nftables/model.ts';
import type { ResolvedPort } from '../state.ts';
import { ChangeBatch } from './change-batch.ts';
import { type LayoutOptions, offClusterChain, tableDefinition } from './layout.ts';
import { ObservedElements } from './observed.ts';
import { type RenderTarget, TableRenderer } from './renderer.ts';

/** The table of one family in the kernel; see TableApplier. */
export interface ServiceTable {
  /** Reads it; `chains` is empty when there is no such table. */
  observe(): ObservedTable;
  /** Applies a change as one transaction. */
  apply(change: TableChange): void;
  /** Makes it anew with this content, as one transaction. */
  replace(content: TableChange): void;
  close(): void;
}

/** Opens the table that `definition` describes, without touching it yet. */
export type OpenTable = (definition: TableDefinition) => ServiceTable;

/** What the table needs to know besides Services. */
export interface TableSettings {
  readonly layout: LayoutOptions;
  /** Content of `nodeport-ips`; of no meaning when NodePorts answer on all addresses. */
  readonly nodePortIPs: readonly IP[];
}

/** Operations per transaction: large enough to be fast, small enough to let others have a turn. */
const BATCH_SIZE = 1_000;
/**
 * Verdicts per transaction when many Services are programmed at once. The kernel validates the whole
 * map for each, so fewer are slower at 40,000 Services; more would hold up an ADD for longer.
 */
const VERDICT_BATCH_SIZE = 2_500;
/** Before kernel 6.2 a chain stays busy for a while after the last verdict to it is deleted. */
const UNUSED_CHAIN_MS = 5_000;

/**
 * One stretch of time in which the content of the kernel's table is known: from reading it to the
 * first failure. After an exception from any method the session is over.
 */
export class TableSession {
  readonly #table: ServiceTable;
  readonly #renderer: TableRenderer;
  readonly #unusedSince = new Map<string, number>();
  /** A table of another make is there: it serves until the whole new content takes its place. */
  #isReplacing: boolean;
  #isComplete = false;
  #nodePortIPs: ReadonlySet<string> = new Set();
  /** The off-cluster chain as last sent; it is sent once per session at least. */
  #offCluster: string | undefined;

  private constructor(table: ServiceTable, { layout }: TableSettings) {
    const observed = table.observe();
    const isMissing = observed.chains.length === 0;
    if (isMissing) table.replace({ chains: [offClusterChain(layout)], elements: [] });
    const elements = isMissing ? new Map<string, never[]>() : observed.elements;
    const chains = observed.isAsDefined ? observed.chains.map(({ name }) => name) : [];
    this.#table = table;
    this.#isReplacing = !isMissing && !observed.isAsDefined;
    this.#renderer = new TableRenderer(layout.family, new ObservedElements(elements), chains);
    this.#nodePortIPs = new Set(elements.get('nodeport-ips')?.map(({ key }) => key));
  }

  /** Opens the table, creates its structure if it is missing, and reads its elements. */
  static open(openTable: OpenTable, settings: TableSettings): TableSession {
    const table = openTable(tableDefinition(settings.layout));
    try {
      return new TableSession(table, settings);
    } catch (thrown) {
      table.close();
      throw thrown;
    }
  }

  /**
   * True once the table has been brought in line with every Service, so that from then on only
   * changes need to be programmed.
   */
  get isComplete(): boolean {
    return this.#isComplete;
  }

  /**
   * Programs Services, in groups whose operations belong into one transaction. Long work is cut
   * into several transactions with a turn of the event loop in between. A session's first call has
   * to name every Service there is: elements that none of them wants are removed.
   */
  async program(
    settings: TableSettings,
    groups: Iterable<readonly string[]>,
    resolve: (service: string) => readonly ResolvedPort[],
  ): Promise<void> {
    let target = this.#newTarget();
    this.#renderSettings(settings, target.now);
    for (const group of groups) {
      for (const service of group) this.#renderer.render(service, resolve(service), target);
      target = await this.#commitWhenFull(target);
    }
    this.#commit(target);
    target = this.#newTarget();
    for (const { set, key } of this.#renderer.takeLeftovers()) {
      target.now.remove(set, key);
      target = await this.#commitWhenFull(target);
    }
    this.#commit(target);
    this.#isComplete = true;
  }

  /**
   * Deletes slot chains that nothing has gone to for a while; `now` in milliseconds. One chain per
   * transaction: a busy one is no reason to keep the others, and fails nothing else.
   */
  dropUnusedChains(now: number, onFailure: (chain: string, error: unknown) => void): void {
    const unused = new Set(this.#renderer.unusedChains());
    for (const name of this.#unusedSince.keys()) {
      if (!unused.has(name)) this.#unusedSince.delete(name);
    }
    for (const name of unused) {
      const since = this.#unusedSince.get(name) ?? now;
      this.#unusedSince.set(name, since);
      if (now - since < UNUSED_CHAIN_MS) continue;
      try {
        this.#table.apply({ removedChains: [name], elements: [] });
        this.#renderer.forgetChain(name);
        this.#unusedSince.delete(name);
      } catch (thrown) {
        this.#unusedSince.set(name, now);
        onFailure(name, thrown);
      }
    }
  }

  close(): void {
    this.#table.close();
  }

  #renderSettings({ layout, nodePortIPs }: TableSettings, batch: ChangeBatch): void {
    const offCluster = offClusterChain(layout);
    const text = JSON.stringify(offCluster);
    if (text !== this.#offCluster) batch.putChain(offCluster);
    this.#offCluster = text;
    if (layout.acceptsOnAllAddresses) return;
    const wanted = new Set(nodePortIPs.map(ipBytes));
    for (const key of this.#nodePortIPs) if (!wanted.has(key)) batch.remove('nodeport-ips', key);
    for (const key of wanted) if (!this.#nodePortIPs.has(key)) batch.add('nodeport-ips', { key });
    this.#nodePortIPs = wanted;
  }

  /** Commits what is enough for a transaction; the rest stays in the target to go on with. */
  async #commitWhenFull(target: RenderTarget): Promise<RenderTarget> {
    const { now, verdicts, later } = target;
    if (this.#isReplacing || now.size + later.size < BATCH_SIZE) return target;
    const keepsVerdicts = verdicts !== now && verdicts.size < VERDICT_BATCH_SIZE;
    this.#commit(keepsVerdicts ? { now, verdicts: now, later } : target);
    await nextTurn();
    const next = this.#newTarget();
    return keepsVerdicts ? { ...next, verdicts } : next;
  }

  #commit({ now, verdicts, later }: RenderTarget): void {
    if (this.#isReplacing) {
      this.#table.replace(now.build());
      this.#isReplacing = false;
      return;
    }
    for (const batch of new Set([now, verdicts, later])) {
      if (batch.size > 0) this.#table.apply(batch.build());
    }
  }

  #newTarget(): RenderTarget {
    const now = new ChangeBatch();
    const isOneByOne = this.#isComplete || this.#isReplacing;
    return { now, verdicts: isOneByOne ? now : new ChangeBatch(), later: new ChangeBatch() };
  }
}
