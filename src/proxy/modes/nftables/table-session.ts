import { isDeepStrictEqual } from 'node:util';
import type { ObservedTable } from '../../../nftables/applier.ts';
import { ipBytes } from '../../../nftables/bytes.ts';
import type { Chain } from '../../../nftables/model.ts';
import { Turn } from '../../../util/turns.ts';
import type { FormerFrontend } from '../../commit-listener.ts';
import type { LayoutOptions } from '../../layout-options.ts';
import type { OpenSession, ServiceSession, SessionAudit, SessionSettings } from '../../session.ts';
import type { ResolvedPort } from '../../state.ts';
import { ChangeBatch } from './change-batch.ts';
import { TableComparison } from './comparison.ts';
import { fixedChains } from './fixed-chains.ts';
import { formerFrontends } from './former-frontends.ts';
import { tableDefinition } from './layout.ts';
import { nodeChains } from './node-chains.ts';
import { ObservedElements } from './observed.ts';
import { type RenderTarget, TableRenderer } from './renderer.ts';
import { tableSets } from './sets.ts';
import { isSlotChain } from './slot-chains.ts';
import type { OpenTable, ServiceTable } from './table.ts';

/** Operations per transaction: large enough to be fast, small enough to let others have a turn. */
const BATCH_SIZE = 1_000;
/**
 * Verdicts per transaction when many Services are programmed at once. The kernel validates the whole
 * map for each, so fewer are slower at 40,000 Services; more would hold up an ADD for longer.
 */
const VERDICT_BATCH_SIZE = 2_500;
/** Before kernel 6.2 a chain stays busy for a while after the last verdict to it is deleted. */
const UNUSED_CHAIN_MS = 5_000;

/** Sessions of the nftables mode. */
export function tableSessions(openTable: OpenTable): OpenSession {
  return (settings) => TableSession.open(openTable, settings);
}

/**
 * What becomes of what the first call programs. A table that nobody meets is filled in parts and put
 * on its hooks in the end: what is there of others serves until then, and a half-filled table would
 * refuse what it does not know yet. A table of another make serves until the whole new content takes
 * its place. Any other is brought in line in parts.
 */
type FirstProgramming = 'hooksLast' | 'replaces' | 'adjusts';

/** A session whose rules are a table of our own. */
export class TableSession implements ServiceSession {
  readonly #table: ServiceTable;
  readonly #renderer: TableRenderer;
  readonly #unusedSince = new Map<string, number>();
  readonly #turn = new Turn();
  /** Undefined once it is done. */
  #first: FirstProgramming | undefined;
  /** What the table had of Services that are gone. */
  #former: readonly FormerFrontend[] = [];
  /** As of the last `program`, or of the start. */
  #layout: LayoutOptions;
  readonly audit: SessionAudit;
  #nodePortIPs: ReadonlySet<string> = new Set();
  /** The chains that follow the node, as last sent; each is sent once per session at least. */
  readonly #nodeChains = new Map<string, string>();
  /** Fixed chains that somebody else has changed. */
  #damaged: readonly Chain[];
  /** Chains that somebody else has put into the table. */
  #foreign: readonly string[];

  private constructor(table: ServiceTable, { layout }: SessionSettings) {
    const observed = table.observe();
    // It serves again at once, be it with what it had when it was put to sleep.
    if (observed.isDormant) table.wake();
    this.#first = firstProgramming(observed);
    if (this.#first === 'hooksLast') table.prepare({ chains: nodeChains(layout), elements: [] });
    const isKept = this.#first === 'adjusts';
    const elements = isKept ? observed.elements : new Map<string, never[]>();
    const chains = isKept ? observed.chains.map(({ name }) => name) : [];
    this.#table = table;
    this.#layout = layout;
    this.#renderer = new TableRenderer(layout.family, new ObservedElements(elements), chains);
    this.#nodePortIPs = new Set(elements.get('nodeport-ips')?.map(({ key }) => key));
    this.#damaged = isKept ? observed.damaged : [];
    const own = new Set(ownChains(layout).map(({ name }) => name));
    this.#foreign = chains.filter((name) => !own.has(name) && !isSlotChain(name));
    this.audit = new TableComparison({
      table,
      renderer: this.#renderer,
      sets: tableSets(layout),
      chains: () => ownChains(this.#layout),
      nodePortIPs: () => this.#nodePortIPs,
    });
  }

  /** Opens the table, creates its structure if it is missing, and reads its elements. */
  static open(openTable: OpenTable, settings: SessionSettings): TableSession {
    const table = openTable(tableDefinition(settings.layout));
    try {
      return new TableSession(table, settings);
    } catch (thrown) {
      table.close();
      throw thrown;
    }
  }

  /** The table's definition depends on some of the settings. */
  fits({ layout }: SessionSettings): boolean {
    const { acceptsOnAllAddresses, masqueradedUdpPorts } = this.#layout;
    return (
      layout.acceptsOnAllAddresses === acceptsOnAllAddresses &&
      isDeepStrictEqual(layout.masqueradedUdpPorts, masqueradedUdpPorts)
    );
  }

  get former(): readonly FormerFrontend[] {
    return this.#former;
  }

  /** Regular chains in the table that are none of ours. */
  get foreignChains(): readonly string[] {
    return this.#foreign;
  }

  /** Long work is cut into several transactions with a turn of the event loop in between. */
  async program(
    settings: SessionSettings,
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
    const leftovers = this.#renderer.takeLeftovers();
    this.#former = formerFrontends(settings.layout.family, leftovers);
    for (const [set, element] of leftovers) {
      target.now.remove(set, element);
      target = await this.#commitWhenFull(target);
    }
    this.#commit(target);
    if (this.#first === 'hooksLast') this.#table.hook();
    this.#first = undefined;
  }

  /**
   * One chain per transaction: a busy one is no reason to keep the others, and fails nothing else.
   */
  removeIdle(now: number, onFailure: (chain: string, error: unknown) => void): void {
    this.#dropForeignChains(onFailure);
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

  /** All at once, emptied first: they may lead to each other. */
  #dropForeignChains(onFailure: (chain: string, error: unknown) => void): void {
    const [first] = this.#foreign;
    if (first === undefined) return;
    const chains = this.#foreign.map((name) => ({ name, rules: [] }));
    try {
      this.#table.apply({ chains, removedChains: this.#foreign, elements: [] });
      this.#foreign = [];
    } catch (thrown) {
      onFailure(first, thrown);
    }
  }

  #renderSettings({ layout, nodePortIPs }: SessionSettings, batch: ChangeBatch): void {
    this.#layout = layout;
    for (const chain of this.#damaged) batch.putChain(chain);
    this.#damaged = [];
    for (const chain of nodeChains(layout)) {
      const text = JSON.stringify(chain.rules);
      if (text !== this.#nodeChains.get(chain.name)) batch.putChain(chain);
      this.#nodeChains.set(chain.name, text);
    }
    if (layout.acceptsOnAllAddresses) return;
    const wanted = new Set(nodePortIPs.map(ipBytes));
    for (const key of this.#nodePortIPs)
      if (!wanted.has(key)) batch.remove('nodeport-ips', { key });
    for (const key of wanted) if (!this.#nodePortIPs.has(key)) batch.add('nodeport-ips', { key });
    this.#nodePortIPs = wanted;
  }

  /** Commits what is enough for a transaction; the rest stays in the target to go on with. */
  async #commitWhenFull(target: RenderTarget): Promise<RenderTarget> {
    const { now, verdicts, later } = target;
    if (this.#first === 'replaces') {
      if (this.#turn.isOver) await this.#turn.next();
      return target;
    }
    if (now.size + later.size < BATCH_SIZE) return target;
    const keepsVerdicts = verdicts !== now && verdicts.size < VERDICT_BATCH_SIZE;
    this.#commit(keepsVerdicts ? { now, verdicts: now, later } : target);
    await this.#turn.next();
    const next = this.#newTarget();
    return keepsVerdicts ? { ...next, verdicts } : next;
  }

  #commit({ now, verdicts, later }: RenderTarget): void {
    if (this.#first === 'replaces') {
      this.#table.replace(now.build());
      this.#first = 'adjusts';
      return;
    }
    for (const batch of new Set([now, verdicts, later])) {
      if (batch.size > 0) this.#table.apply(batch.build());
    }
  }

  #newTarget(): RenderTarget {
    const now = new ChangeBatch();
    const later = new ChangeBatch();
    return { now, verdicts: this.#first === 'adjusts' ? new ChangeBatch() : now, later };
  }
}

function firstProgramming({ isHooked, isAsDefined }: ObservedTable): FirstProgramming {
  if (!isHooked) return 'hooksLast';
  return isAsDefined ? 'adjusts' : 'replaces';
}

/** The chains that are there whatever the Services. */
function ownChains(layout: LayoutOptions): readonly Chain[] {
  return [...fixedChains(layout), ...nodeChains(layout)];
}
