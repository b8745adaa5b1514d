import type { NodeEvents } from '../kernel/node-events.ts';
import type { Conntrack } from '../kernel/types.ts';
import type { Cidr } from '../net/cidr.ts';
import type { NftablesConnection } from '../nftables/connection.ts';
import type { AuditedPart } from '../util/audit.ts';
import type { Clock } from '../util/clock.ts';
import { Reminder } from '../util/complaints.ts';
import { toError } from '../util/errors.ts';
import type { Logger } from '../util/log.ts';
import { BoundedFrequencyRunner } from '../util/runner.ts';
import type { LocalPod, PolicyChange } from './change.ts';
import { type PolicyCounter, policyCounters } from './counters.ts';
import { namespaceOf } from './facts.ts';
import { PolicyModel } from './model.ts';
import { tableDefinition } from './table/definition.ts';
import { PolicyTable } from './table/policy-table.ts';
import { type PolicyWorld, policyWorld } from './world.ts';

export interface EnforcerSettings {
  /** What senders inside the cluster get instead of an answer; those outside are dropped always. */
  readonly deniedInside: 'reject' | 'drop';
  /** Networks that are inside, besides Nodes with their podCIDRs and pods of this node. */
  readonly clusterCIDRs: readonly Cidr[];
  /** NFLOG group that denied packets are handed to, some of them; undefined for none. */
  readonly logGroup: number | undefined;
}

export interface EnforcerOptions {
  readonly nodeName: string;
  /** Nobody else's; closed with the enforcer. */
  readonly connection: NftablesConnection;
  /** Both of the same namespace. */
  readonly events: Pick<NodeEvents, 'onTables'>;
  readonly conntrack: Pick<Conntrack, 'flows' | 'clearMarks'>;
  readonly clock: Clock;
  readonly log: Logger;
  readonly settings: EnforcerSettings;
  readonly onReport?: (report: EnforcerReport) => void;
  /** Some policy has come, or the last has gone, that is about pods of other nodes. */
  readonly onNeedsAllPods?: (needs: boolean) => void;
}

export interface EnforcerReport {
  /** Pods of this node that policies select. */
  readonly subjects: number;
  readonly policies: number;
  readonly elements: number;
  /** Undefined before the first commit. */
  readonly generation: number | undefined;
  /** How long it took and when; undefined before the first one. */
  readonly lastCommit: { readonly ms: number; readonly atMs: number } | undefined;
  /** Why the last one failed; undefined when it did not. */
  readonly error: string | undefined;
  /** What of policies is not supported and fails closed. */
  readonly problems: readonly { readonly policy: string; readonly problem: string }[];
  /** Policies that cost more than there is for them. */
  readonly overBudget: number;
  /** Changes of others to the table that were undone. */
  readonly repairs: number;
}

/** Soon after what was told, and no fight with who undoes it. */
const INTERVALS = { minIntervalMs: 20, retryIntervalMs: 1_000 };
/** All repairs are counted, and some are told of. */
const REPAIRS_SAID_MS = 10_000;

/** Keeps the kernel in line with the policies, as far as they concern pods of this node. */
export class Enforcer {
  readonly #options: EnforcerOptions;
  #model: PolicyModel;
  readonly #table: PolicyTable;
  readonly #runner: BoundedFrequencyRunner;
  readonly #repairsSaid: Reminder;
  #isSynced = false;
  #needsAllPods = false;
  /** Something may be lost by a change that is not in the kernel yet. */
  #isNarrowed = false;
  /** With the policies that were closed then. */
  #world: { readonly of: PolicyWorld; readonly closed: ReadonlySet<string> } | undefined;
  #report: Pick<EnforcerReport, 'lastCommit' | 'error' | 'repairs'> = {
    lastCommit: undefined,
    error: undefined,
    repairs: 0,
  };

  constructor(options: EnforcerOptions) {
    const { nodeName, connection, events, conntrack, clock, log, settings } = options;
    this.#options = options;
    this.#repairsSaid = new Reminder(clock, REPAIRS_SAID_MS);
    this.#model = new PolicyModel({ nodeName, inside: insideOf(settings) });
    this.#runner = new BoundedFrequencyRunner(() => this.#commitInTurns(), {
      ...INTERVALS,
      clock,
      onError: (err) => log.error({ err }, 'policies not in the kernel'),
    });
    const definition = tableDefinition(settings);
    const onSuspicion = () => this.#runner.trigger();
    const { book } = this.#model;
    this.#table = new PolicyTable({ connection, events, conntrack, definition, book, onSuspicion });
  }

  get report(): EnforcerReport {
    const { subjects, selections, book } = this.#model;
    return {
      subjects: subjects.count,
      policies: selections.count,
      elements: book.size,
      generation: this.#table.generation,
      problems: selections.problems(),
      overBudget: selections.overBudget,
      ...this.#report,
    };
  }

  /** Cheap; the next commit has it. */
  apply(change: PolicyChange): void {
    this.#model.apply(change);
    this.#world = undefined;
    if (this.#isSynced) this.#runner.trigger();
  }

  /** Works by other settings from the next commit on. */
  reconfigure(settings: EnforcerSettings): void {
    this.#model.inside.setNetworks(insideOf(settings));
    this.#table.define(tableDefinition(settings));
    if (this.#isSynced) this.#runner.trigger();
  }

  /** Every kind was read once. Before, what is in the kernel stays as it is. */
  setSynced(): void {
    this.#isSynced = true;
    this.#runner.trigger();
  }

  /** Most of what the next `commit` would compute, others having their turns. */
  async prepare(): Promise<void> {
    if (this.#model.hasFailed) this.#model = this.#model.anew();
    try {
      await this.#model.settleInTurns();
    } catch (thrown) {
      this.#noteFailure(thrown);
      throw thrown;
    }
  }

  /** What was told so far is in the kernel when it returns, if all is synced. Throws WeftError. */
  commit(): void {
    const beganMs = this.#options.clock.now();
    this.#settle();
    if (!this.#isSynced) return;
    try {
      const { isWritten, repairedFrom } = this.#table.commit(this.#isNarrowed);
      this.#isNarrowed = false;
      this.#noteCommit(beganMs, isWritten, repairedFrom);
    } catch (thrown) {
      this.#noteFailure(thrown);
      throw thrown;
    }
  }

  /** Whether some policy may select a pod of this namespace, so that its labels must be known. */
  concerns(namespace: string): boolean {
    if (!this.#isSynced) return true;
    this.#settle();
    return this.#model.selections.concerns(namespace);
  }

  /** Whether all that is needed to judge this pod is known: its object, with this uid, and its namespace. */
  knows(pod: LocalPod): boolean {
    const { facts } = this.#model;
    return facts.isObjectOf(pod) && facts.namespaces.has(namespaceOf(pod.key));
  }

  /** Whether some policy is about pods of other nodes. */
  needsAllPods(): boolean {
    this.#settle();
    return this.#needsAllPods;
  }

  /** The parties and the evaluator of what was told so far. */
  world(): PolicyWorld {
    const { closed } = this.#model.selections;
    if (this.#world?.closed !== closed) {
      this.#world = { of: policyWorld(this.#model.objects()), closed };
    }
    return this.#world.of;
  }

  /** By policy and direction; policies that isolate a pod together are each counted for a denial. */
  async counters(): Promise<readonly PolicyCounter[]> {
    return this.#isSynced ? policyCounters(this.#table.verdicts(), this.#model.rows) : [];
  }

  /** For an audit: what differs is put right by `resync`. */
  auditedParts(): readonly AuditedPart[] {
    return this.#isSynced ? this.#table.auditedParts() : [];
  }

  /** Reads the kernel and puts right what differs, soon. */
  resync(): void {
    this.#table.forget();
    this.#runner.trigger();
  }

  /** What is in the kernel stays. */
  async close(): Promise<void> {
    await this.#runner.stop();
    this.#table.close();
  }

  async #commitInTurns(): Promise<void> {
    await this.prepare();
    this.commit();
  }

  #settle(): void {
    try {
      if (this.#model.settle()) this.#isNarrowed = true;
    } catch (thrown) {
      this.#noteFailure(thrown);
      // It is made anew, others having their turns.
      this.#runner.trigger();
      throw thrown;
    }
    const needs = this.#model.selections.needsAllPods();
    if (needs === this.#needsAllPods) return;
    this.#needsAllPods = needs;
    this.#options.onNeedsAllPods?.(needs);
  }

  #noteFailure(thrown: unknown): void {
    this.#report = { ...this.#report, error: toError(thrown).message };
    this.#options.onReport?.(this.report);
  }

  #noteCommit(beganMs: number, isWritten: boolean, by: readonly string[] | undefined): void {
    const { clock, log, onReport } = this.#options;
    const hadError = this.#report.error !== undefined;
    const atMs = clock.now();
    this.#report = {
      lastCommit: { ms: atMs - beganMs, atMs },
      error: undefined,
      repairs: this.#report.repairs + (by === undefined ? 0 : 1),
    };
    if (by !== undefined && this.#repairsSaid.isDue('')) {
      log.warn({ by }, 'policy table changed by somebody else, put right');
    }
    if (isWritten || hadError) onReport?.(this.report);
  }
}

function insideOf({ deniedInside, clusterCIDRs }: EnforcerSettings): readonly Cidr[] | undefined {
  return deniedInside === 'reject' ? clusterCIDRs : undefined;
}
