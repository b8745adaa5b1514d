import type { Flow, FlowFilter, FlowSweeper, Sweep } from '../../kernel/types.ts';
import { type IP, type IPFamily, isLoopback } from '../../net/ip.ts';
import type { Clock } from '../../util/clock.ts';
import { errorCode } from '../../util/errors.ts';
import type { Logger } from '../../util/log.ts';
import { BoundedFrequencyRunner } from '../../util/runner.ts';
import { type Frontend, frontendKey } from '../claims.ts';
import type { Commit, CommitListener, NodePortIPs } from '../commit-listener.ts';
import type { ResolvedPort } from '../state.ts';
import type { SweptProtocol } from './frontends.ts';
import { FrontendLedger } from './ledger.ts';
import { planQuestions } from './questions.ts';

/** What the removal of stale flows reports; the names in brackets are kube-proxy's metrics. */
export interface ConntrackMetrics {
  /** [conntrack_reconciler_sync_duration_seconds] */
  conntrackSyncDuration(family: IPFamily, seconds: number): void;
  /** [conntrack_reconciler_deleted_entries_total] */
  conntrackDeleted(family: IPFamily, entries: number): void;
}

export interface ConntrackOptions {
  /** Also delete TCP connections to endpoints that are gone. */
  readonly killsTcp: boolean;
  readonly sweeper: FlowSweeper;
  /** The addresses of this node's interfaces; asked where all of them accept NodePorts. */
  readonly localAddresses: () => readonly IP[];
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics?: ConntrackMetrics;
}

/** Quiet time between two rounds. */
const MIN_INTERVAL_MS = 250;
/** After a reading comes a rest of so many times its length: a large table is a fifth of one CPU. */
const REST_FACTOR = 4;
const RETRY_MS = 5_000;
/** Rounds that may fail in a row before what they were to do is given up. */
const MOST_FAILURES = 5;
/** How often a listing that changed while it ran is read again. */
const MOST_READINGS = 5;
/**
 * How long a TCP endpoint has to be gone: a slice that is rewritten may leave it out for a moment,
 * and an ended connection does not come back.
 */
const TCP_SETTLE_MS = 1_000;
const PROTOCOLS: readonly SweptProtocol[] = ['udp', 'tcp'];

/**
 * Deletes stale flows after syncs, one family independent of the other, beside the syncs and off
 * the event loop. `programming` and `committed` only take notes.
 */
export class ConntrackReconciler implements CommitListener {
  readonly #families = new Map<IPFamily, FamilyReconciler>();
  readonly #options: ConntrackOptions;

  constructor(options: ConntrackOptions) {
    this.#options = options;
  }

  programming(family: IPFamily, service: string, ports: readonly ResolvedPort[]): void {
    this.#family(family).programming(service, ports);
  }

  committed(family: IPFamily, commit: Commit): void {
    this.#family(family).committed(commit);
  }

  /** Cancels what is planned and waits for the round in progress. */
  async stop(): Promise<void> {
    await Promise.all([...this.#families.values()].map((family) => family.stop()));
  }

  #family(family: IPFamily): FamilyReconciler {
    const known = this.#families.get(family);
    if (known !== undefined) return known;
    const created = new FamilyReconciler(family, this.#options);
    this.#families.set(family, created);
    return created;
  }
}

class FamilyReconciler {
  readonly #family: IPFamily;
  readonly #options: ConntrackOptions;
  readonly #log: Logger;
  readonly #ledger: FrontendLedger;
  readonly #runner: BoundedFrequencyRunner;
  /** The frontends whose flows the next round looks at, by key. */
  #due = new Map<string, Frontend>();
  readonly #settling = new Map<string, Frontend>();
  #cancelSettling: (() => void) | undefined;
  #nodePortIPs: NodePortIPs = [];
  /** The addresses before, until flows to them were looked at. */
  #formerNodePortIPs: NodePortIPs = [];
  #failures = 0;
  /** Time of this round's readings, without the rests between them. */
  #busyMs = 0;
  #isStopped = false;
  #endRest = () => {};

  constructor(family: IPFamily, options: ConntrackOptions) {
    this.#family = family;
    this.#options = options;
    this.#log = options.log.child({ family });
    this.#ledger = new FrontendLedger({ endsLedTcp: options.killsTcp });
    this.#runner = new BoundedFrequencyRunner(() => this.#round(), {
      minIntervalMs: MIN_INTERVAL_MS,
      retryIntervalMs: RETRY_MS,
      clock: options.clock,
      onError: (err) => this.#log.warn({ err }, 'stale connections not deleted'),
    });
  }

  programming(service: string, ports: readonly ResolvedPort[]): void {
    this.#ledger.note(service, ports);
  }

  committed({ isFull, nodePortIPs, former }: Commit): void {
    const isElsewhere = String(nodePortIPs) !== String(this.#nodePortIPs);
    if (isElsewhere) {
      this.#ledger.noteFormerNodePorts();
      this.#formerNodePortIPs = joined(this.#formerNodePortIPs, this.#nodePortIPs);
      this.#nodePortIPs = nodePortIPs;
    }
    for (const frontend of this.#ledger.commit(isFull, former)) this.#ask(frontend);
    if (isElsewhere) for (const frontend of this.#ledger.nodePorts()) this.#ask(frontend);
    if (this.#due.size > 0) this.#runner.trigger();
    if (this.#settling.size > 0) this.#settle();
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#cancelSettling?.();
    this.#endRest();
    await this.#runner.stop();
  }

  #ask(frontend: Frontend): void {
    const settles = frontend.protocol === 'tcp' && this.#options.killsTcp;
    const waiting = settles ? this.#settling : this.#due;
    waiting.set(frontendKey(frontend), frontend);
  }

  #settle(): void {
    this.#cancelSettling ??= this.#options.clock.schedule(TCP_SETTLE_MS, () => {
      this.#cancelSettling = undefined;
      for (const [key, frontend] of this.#settling) this.#due.set(key, frontend);
      this.#settling.clear();
      this.#runner.trigger();
    });
  }

  async #round(): Promise<void> {
    const due = this.#due;
    this.#due = new Map();
    this.#busyMs = 0;
    try {
      await this.#sweep(due.values());
      this.#failures = 0;
      this.#forget(due);
    } catch (thrown) {
      this.#failures++;
      if (this.#failures < MOST_FAILURES) this.#due = new Map([...due, ...this.#due]);
      else this.#forget(due);
      throw thrown;
    } finally {
      this.#options.metrics?.conntrackSyncDuration(this.#family, this.#busyMs / 1000);
    }
  }

  /** What was asked again meanwhile is still to be looked at. */
  #forget(due: ReadonlyMap<string, Frontend>): void {
    const isWaiting = (key: string) => this.#due.has(key) || this.#settling.has(key);
    this.#ledger.swept([...due].flatMap(([key, frontend]) => (isWaiting(key) ? [] : frontend)));
    if (this.#due.size === 0) this.#formerNodePortIPs = [];
  }

  async #sweep(due: Iterable<Frontend>): Promise<void> {
    const frontends = [...due];
    const accepts = this.#nodePortTest(this.#nodePortIPs);
    const former = this.#nodePortTest(this.#formerNodePortIPs);
    const accepted = (ip: IP) => accepts(ip) || former(ip);
    for (const protocol of PROTOCOLS) {
      const isUnanswered = protocol === 'tcp' && !this.#options.killsTcp;
      for (const question of planQuestions(this.#family, protocol, frontends, isUnanswered)) {
        if (this.#isStopped) return;
        await this.#deleteStale(question, (flow) => this.#ledger.isStale(flow, accepts, accepted));
      }
    }
  }

  async #deleteStale(question: FlowFilter, isStale: (flow: Flow) => boolean): Promise<void> {
    for (let reading = 1; reading <= MOST_READINGS && !this.#isStopped; reading++) {
      const startedAtMs = this.#options.clock.elapsed();
      const { deleted, seen, isComplete } = await this.#read(question, isStale);
      const elapsedMs = this.#options.clock.elapsed() - startedAtMs;
      this.#busyMs += elapsedMs;
      if (deleted > 0) this.#log.info({ deleted, seen }, 'stale connections deleted');
      this.#options.metrics?.conntrackDeleted(this.#family, deleted);
      await this.#rest(REST_FACTOR * elapsedMs);
      if (isComplete) return;
    }
    this.#log.debug({ question }, 'connections changed during each reading');
  }

  /** A reading that the kernel broke off is one of an unfinished listing. */
  async #read(question: FlowFilter, isStale: (flow: Flow) => boolean): Promise<Sweep> {
    try {
      return await this.#options.sweeper.deleteFlows(question, isStale);
    } catch (thrown) {
      const code = errorCode(thrown);
      if (code !== 'EINTR' && code !== 'ENOBUFS') throw thrown;
      return { seen: 0, deleted: 0, isComplete: false };
    }
  }

  async #rest(ms: number): Promise<void> {
    if (ms <= 0 || this.#isStopped) return;
    await new Promise<void>((resolve) => {
      const cancel = this.#options.clock.schedule(ms, resolve);
      this.#endRest = () => {
        cancel();
        resolve();
      };
    });
  }

  #nodePortTest(ips: NodePortIPs): (ip: IP) => boolean {
    const accepting = new Set(
      ips === 'anyLocal' ? this.#options.localAddresses().filter((ip) => !isLoopback(ip)) : ips,
    );
    return (ip) => accepting.has(ip);
  }
}

function joined(left: NodePortIPs, right: NodePortIPs): NodePortIPs {
  return left === 'anyLocal' || right === 'anyLocal' ? 'anyLocal' : [...left, ...right];
}
