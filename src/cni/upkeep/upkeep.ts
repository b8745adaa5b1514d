import type { NodeEvents } from '../../kernel/node-events.ts';
import { NftablesConnection } from '../../nftables/connection.ts';
import type { TableEvent } from '../../nftables/monitor.ts';
import { Audit, type AuditFinding, type AuditReport } from '../../util/audit.ts';
import type { Clock } from '../../util/clock.ts';
import { toError } from '../../util/errors.ts';
import type { Logger } from '../../util/log.ts';
import { BoundedFrequencyRunner } from '../../util/runner.ts';
import { type Attachment, attachmentKey } from '../attachment.ts';
import type { AttachmentRecord } from '../attachment-records.ts';
import { openExecPlugin } from '../exec-plugin.ts';
import { openForeignIpam } from '../foreign-ipam.ts';
import type { ForeignIpam, UpkeepNode } from '../node.ts';
import { FALLBACK } from '../registry.ts';
import { auditedParts } from './audited-parts.ts';
import type { StoppedCalls } from './bridge-calls.ts';
import { listSandboxes } from './cri.ts';
import { type FactSources, findLost, sweepSources } from './facts.ts';
import { repairMasquerade } from './masquerade.ts';
import { fieldsOf, remove } from './removal.ts';
import { repair } from './repair.ts';
import type { Repair, RepairKind, RepairOptions } from './repair-model.ts';
import { RulesUpkeep } from './rules-upkeep.ts';
import type { Bypass } from './same-node.ts';
import { SameNodeUpkeep } from './same-node-upkeep.ts';
import { storesOf } from './stores.ts';
import type { Removal, Sandboxes, SweepDecision, SweepFacts } from './sweep-model.ts';
import { watchNode } from './watch.ts';
import {
  hasAny,
  IPTABLES_FILTER_TABLES,
  IPTABLES_NAT_TABLES,
  OWN_AND_FILTER_TABLES,
  OWN_TABLES,
} from './watched-tables.ts';

export interface UpkeepMetrics {
  /** Something of nobody's was removed. */
  leaked(kind: Removal['kind']): void;
  /** Reservations that look lost without proof, now. */
  suspected(count: number): void;
  repaired(kind: RepairKind): void;
  /** So much differed from the records without a notification. */
  differed(count: number): void;
}

export interface UpkeepOptions {
  readonly node: UpkeepNode;
  readonly events: NodeEvents;
  /** Where the journal is. */
  readonly runDirectory: string;
  /** An address store that is always looked at. */
  readonly ipamDirectory: string;
  /** Network configurations of the runtime, which name further stores. */
  readonly confDirectory: string;
  /** Unix socket of a container runtime; absent: nobody is asked. */
  readonly criSocket?: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: UpkeepMetrics;
  readonly stoppedCalls: StoppedCalls;
  /** Told of the ways past the policies whenever they change; see `bypasses`. */
  readonly onBypasses?: (bypasses: readonly Bypass[]) => void;
  /** Nothing younger is swept; default 5 minutes, more than a runtime lets any call take. */
  readonly gracePeriodMs?: number;
  /** Default one minute. */
  readonly sweepIntervalMs?: number;
  /** How long it takes to look at everything that no event has told of; default one minute. */
  readonly repairIntervalMs?: number;
}

const DEFAULT_SWEEP_INTERVAL_MS = 60_000;
const CRI_TIMEOUT_MS = 5_000;

/** How long an IPAM plugin may take for an address that nobody asks for any more. */
const EXEC_TIMEOUT_MS = 5_000;

/** Changes come in bursts; a repair every so often keeps within a second. */
const REPAIR_INTERVALS = { minIntervalMs: 250, retryIntervalMs: 5_000 };
const DEFAULT_REPAIR_INTERVAL_MS = 60_000;

/**
 * The agent's own care of attachments: removes what belongs to none that lives, at start and every
 * minute, and brings back what somebody took from those that do, within a second.
 */
export class Upkeep {
  readonly #options: UpkeepOptions;
  readonly #sources: FactSources;
  readonly #foreignIpam: ForeignIpam;
  readonly #sweeper: BoundedFrequencyRunner;
  readonly #repairer: BoundedFrequencyRunner;
  readonly #rules: RulesUpkeep;
  /** How pods of one bridge reach each other, and ways past the policies. */
  readonly sameNode: SameNodeUpkeep;
  readonly #audit: Audit;
  readonly #watches: readonly { close(): void }[];
  #connection: NftablesConnection | undefined;
  /** Processes that changed our tables since the last repair. */
  #authors = new Set<string>();
  #suspected = 0;
  /** A change of these is a reason to look. */
  #watched = OWN_TABLES;
  /** Keys of the attachments that the last repair has looked at. */
  #known: ReadonlySet<string> = new Set();

  private constructor(options: UpkeepOptions) {
    const { clock, log, sweepIntervalMs = DEFAULT_SWEEP_INTERVAL_MS } = options;
    const maxIntervalMs = options.repairIntervalMs ?? DEFAULT_REPAIR_INTERVAL_MS;
    this.#options = options;
    this.#sources = sweepSources({ ...options, now: clock.now });
    const { pause } = options.node.kernel;
    this.#foreignIpam = openForeignIpam(openExecPlugin({ timeoutMs: EXEC_TIMEOUT_MS, pause }));
    this.#sweeper = new BoundedFrequencyRunner(() => this.#sweep(), {
      minIntervalMs: Math.min(1_000, sweepIntervalMs),
      retryIntervalMs: sweepIntervalMs,
      maxIntervalMs: sweepIntervalMs,
      clock,
      onError: (err) => log.error({ err }, 'sweep failed'),
    });
    this.#repairer = new BoundedFrequencyRunner(async () => this.#repair(), {
      ...REPAIR_INTERVALS,
      clock,
      onError: (err) => log.error({ err }, 'repair failed'),
    });
    this.#rules = new RulesUpkeep({
      ...{ node: options.node, bootId: this.#sources.bootId, clock, log },
      intervals: { ...REPAIR_INTERVALS, maxIntervalMs },
      connection: () => this.#connect(),
      onRepair: (done, by) => this.#noteRepair(done, by),
    });
    const { bootId } = this.#sources;
    this.sameNode = new SameNodeUpkeep({
      ...{ ...options, bootId, intervals: { ...REPAIR_INTERVALS, maxIntervalMs } },
      onRepair: (done) => this.#noteRepair(done, []),
    });
    this.#audit = new Audit({
      clock,
      walkMs: maxIntervalMs,
      parts: () => auditedParts(this.#repairOptions(), (records) => this.#noteRead(records)),
      onDifference: (finding, isNews) => this.#noteDifference(finding, isNews),
      onError: (what, err) => log.debug({ what, err }, 'node not compared'),
    });
    this.#watches = watchNode(options.events, {
      change: () => this.#repairer.trigger(),
      tables: (event) => this.#onTables(event),
    });
  }

  static start(options: UpkeepOptions): Upkeep {
    const upkeep = new Upkeep(options);
    upkeep.#repairer.trigger();
    upkeep.#rules.trigger();
    upkeep.sameNode.trigger();
    upkeep.#sweeper.trigger();
    upkeep.#audit.start();
    return upkeep;
  }

  /** What was found without being told of; undefined while there is nothing to compare. */
  get audited(): AuditReport | undefined {
    return this.#audit.hasParts ? this.#audit.report : undefined;
  }

  /**
   * Has ipMasq do what is its own to do now, no more and no less: for when others begin or cease to
   * masquerade pods. Done when it returns. Throws NftablesError.
   */
  settleMasquerade(): void {
    const settled = repairMasquerade(this.#repairOptions());
    if (settled.length > 0) {
      this.#options.log.info({ what: settled.map(({ what }) => what) }, 'ipMasq settled');
    }
  }

  /** What is in the kernel stays. */
  async close(): Promise<void> {
    for (const watch of this.#watches) watch.close();
    const parts = [this.#sweeper, this.#repairer, this.#rules, this.sameNode, this.#audit];
    await Promise.all(parts.map((part) => part.stop()));
    this.#connection?.close();
  }

  async #sweep(): Promise<void> {
    const { log } = this.#options;
    const sandboxes = await this.#askRuntime();
    // From here on nothing else of this process runs: what is decided is done on the same facts.
    const { facts, decision } = findLost(this.#sources, sandboxes);
    for (const removal of decision.removals) this.#remove(removal, facts);
    this.#noteSuspected(decision);
    log.debug({ removed: decision.removals.length }, 'attachments swept');
  }

  /** No answer is no information: then nothing is removed on the runtime's account. */
  async #askRuntime(): Promise<Sandboxes | undefined> {
    const { criSocket, log } = this.#options;
    if (criSocket === undefined) return undefined;
    try {
      return await listSandboxes(criSocket, CRI_TIMEOUT_MS);
    } catch (thrown) {
      log.warn(
        { criSocket, reason: toError(thrown).message },
        'runtime did not list its sandboxes',
      );
      return undefined;
    }
  }

  #remove(removal: Removal, facts: SweepFacts): void {
    const { log, metrics, node } = this.#options;
    const { store } = this.#sources;
    const foreignIpam = this.#foreignIpam;
    const fields = fieldsOf(removal);
    const dataDirsOf = (attachment: Attachment) => storesOf(attachment, facts);
    try {
      if (!remove(removal, { node, plugin: FALLBACK.plugin, foreignIpam, store, dataDirsOf }))
        return;
      metrics.leaked(removal.kind);
      log.warn(fields, 'leak removed');
    } catch (thrown) {
      log.error({ ...fields, err: toError(thrown) }, 'leak not removed');
    }
  }

  #noteSuspected({ suspected }: SweepDecision): void {
    const { log, metrics } = this.#options;
    metrics.suspected(suspected.length);
    if (suspected.length === this.#suspected) return;
    this.#suspected = suspected.length;
    const examples = suspected.slice(0, 10).map(({ network, address }) => `${network}/${address}`);
    log.warn({ count: suspected.length, examples }, 'addresses reserved but not seen in use');
  }

  #repair(): void {
    const by = [...this.#authors];
    this.#authors = new Set();
    const { records, journal } = this.#options.node;
    const unfinished = new Set(journal.unfinished().map(attachmentKey));
    this.#known = new Set(records.keys().filter((key) => !unfinished.has(key)));
    const { repairs, error, usesIptables } = repair(this.#repairOptions());
    this.#watched = usesIptables ? OWN_AND_FILTER_TABLES : OWN_TABLES;
    for (const done of repairs) this.#noteRepair(done, by);
    // What was made anew has lost what is put right there.
    if (repairs.length > 0) this.sameNode.trigger();
    if (error !== undefined) throw error;
  }

  #repairOptions(): RepairOptions {
    const { bootId } = this.#sources;
    return { node: this.#options.node, connection: this.#connect(), bootId };
  }

  #connect(): NftablesConnection {
    this.#connection ??= NftablesConnection.open();
    return this.#connection;
  }

  #noteRepair({ kind, what }: Repair, by: readonly string[]): void {
    const { log, metrics } = this.#options;
    metrics.repaired(kind);
    log.warn({ kind, what, ...(by.length === 0 ? {} : { by }) }, 'repaired');
  }

  /** Changes of iptables matter from the first such record on; the next repair decides anew. */
  #noteRead(records: readonly AttachmentRecord[]): void {
    if (records.some(({ forwarded }) => forwarded !== undefined)) {
      this.#watched = OWN_AND_FILTER_TABLES;
    }
  }

  #noteDifference({ what, differences }: AuditFinding, isNews: boolean): void {
    const { log, metrics } = this.#options;
    metrics.differed(differences);
    const text = 'node differs from the records, putting it right';
    log[isNews ? 'warn' : 'debug']({ what, differences }, text);
    this.#repairer.trigger();
  }

  /** A standalone that this agent has not heard of may have made rules of iptables. */
  #mayBeNews(tables: ReadonlySet<string>): boolean {
    if (!hasAny(tables, IPTABLES_FILTER_TABLES)) return false;
    return this.#options.node.records.keys().some((key) => !this.#known.has(key));
  }

  #onTables(event: TableEvent | 'overflow'): void {
    if (event === 'overflow') {
      this.#rules.trigger();
      this.#repairer.trigger();
      return;
    }
    const { tables, byProcess } = event;
    if (hasAny(tables, IPTABLES_NAT_TABLES)) this.#rules.trigger(byProcess);
    if (!hasAny(tables, this.#watched) && !this.#mayBeNews(tables)) return;
    this.#authors.add(byProcess);
    this.#repairer.trigger();
  }
}
