import type { Cidr } from '../net/cidr.ts';
import type { IPFamily } from '../net/ip.ts';
import type { AuditedPart } from '../util/audit.ts';
import { type Clock, type Moment, momentOf } from '../util/clock.ts';
import { summarized } from '../util/complaints.ts';
import { toError } from '../util/errors.ts';
import type { Logger } from '../util/log.ts';
import { BoundedFrequencyRunner, type RunnerIntervals } from '../util/runner.ts';
import { auditedParts, type SettledState } from './audited-parts.ts';
import type { FamilyChange, SliceChange } from './cluster-change.ts';
import type { Commit, CommitListener } from './commit-listener.ts';
import { FamilyState } from './family-state.ts';
import type { ProxyMetrics } from './metrics.ts';
import type { ProxierHealth } from './proxier-health.ts';
import type { OpenSession, ServiceSession, SessionSettings } from './session.ts';
import { type SettingsSource, sessionSettings } from './session-settings.ts';
import type { ProxySnapshot } from './snapshot.ts';
import { TriggerTimes } from './trigger-times.ts';

/** What can change while the proxy runs. */
export interface ProxierSettings
  extends Pick<
    SettingsSource,
    'localDetection' | 'nodePortAddresses' | 'masqueradesAll' | 'masqueradedUdpPorts'
  > {
  readonly minSyncPeriodMs: number;
  /** Longest time between two syncs. */
  readonly syncPeriodMs: number;
}

export interface ProxierOptions extends ProxierSettings, SettingsSource {
  readonly nodeName: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly openSession: OpenSession;
  readonly metrics?: ProxyMetrics;
  readonly listeners?: readonly CommitListener[];
}

const RETRY_MS = 5_000;

/**
 * Keeps the Services of one address family in the kernel: takes events at any time, and brings the
 * table up to date in runs that are immediate after quiet and spaced under load. After a failure
 * the next run reads the table back and sends what is different.
 */
export class Proxier {
  readonly family: IPFamily;
  #options: ProxierOptions;
  readonly #log: Logger;
  readonly #state: FamilyState;
  readonly #triggers: TriggerTimes;
  readonly #runner: BoundedFrequencyRunner;
  #lastSync: Promise<void> = Promise.resolve();
  #waitingSyncs = 0;
  #session: ServiceSession | undefined;
  /** The session has programmed every Service: from then on it is told of changes only. */
  #isComplete = false;
  #serviceCIDRs: readonly Cidr[] = [];
  #isSynced = false;
  #isTableSuspect = false;
  #queued: Moment | undefined;
  #updatedAtMs: number | undefined;
  #failure: ProxierHealth['failure'];

  constructor(family: IPFamily, options: ProxierOptions) {
    this.family = family;
    this.#options = options;
    this.#log = options.log.child({ family });
    this.#state = new FamilyState(family, options.nodeName, this.#log);
    this.#triggers = new TriggerTimes(options.clock.now());
    this.#runner = new BoundedFrequencyRunner(() => this.sync(), {
      ...intervalsOf(options),
      clock: options.clock,
      onError: (err) => this.#log.error({ err }, 'sync failed'),
    });
  }

  /** Takes a change of this family. */
  apply(change: FamilyChange): void {
    switch (change.kind) {
      case 'service':
        if (this.#state.services.set(change.key, change.entry)) this.#noteChange('service');
        return;
      case 'slice':
        this.#applySlice(change);
        return;
      case 'node':
        this.#state.updateNode(change.facts);
        break;
      case 'serviceCIDRs':
        this.#serviceCIDRs = change.cidrs;
    }
    this.#requestSync();
  }

  /** `localAddresses` gives others than before: NodePorts may answer on them. */
  onLocalAddressesChange(): void {
    this.#requestSync();
  }

  /** From here on the Services and slices known are all there are, and syncs may begin. */
  setSynced(): void {
    this.#isSynced = true;
    this.#requestSync();
  }

  /** Works by other settings from the next sync on, which reads the table back. */
  reconfigure(settings: ProxierSettings): void {
    this.#options = { ...this.#options, ...settings };
    this.#runner.setIntervals(intervalsOf(settings));
    this.resync();
  }

  /** Has the next sync read the table back: something else may have changed it. */
  resync(): void {
    this.#isTableSuspect = true;
    this.#requestSync({ isUrgent: true });
  }

  /** What it knows now, for questions; what is pending is in it as if it were committed. */
  snapshot(): ProxySnapshot {
    return {
      family: this.family,
      isSynced: this.#isSynced,
      pending: this.#state.pendingKeys(),
      settings: this.#settings(),
      node: this.#state.nodeView(),
      services: () => this.#state.services.entries(),
      service: (key) => this.#state.services.get(key),
      ownerOf: (frontend) => this.#state.ownerOf(frontend),
      slices: (service) => this.#state.endpoints.slices(service),
    };
  }

  get health(): ProxierHealth {
    const { clock } = this.#options;
    return {
      queuedAtMs: this.#queued?.atMs,
      waitedMs: this.#queued === undefined ? 0 : clock.elapsed() - this.#queued.elapsedMs,
      updatedAtMs: this.#updatedAtMs,
      failure: this.#failure,
    };
  }

  /** What it keeps in the kernel, in parts to compare; none in modes that watch it themselves. */
  auditedParts(): readonly AuditedPart[] {
    const places = this.#session?.audit?.places;
    if (places === undefined) return [];
    return auditedParts(this.#state.services.keys(), places, (look) => this.#whenSettled(look));
  }

  /** Waits for the sync in progress and leaves the table as it is. */
  async stop(): Promise<void> {
    await this.#runner.stop();
    await this.#lastSync;
    this.#closeSession();
  }

  /** Brings the table up to date now, after the sync in progress if there is one. */
  async sync(): Promise<void> {
    this.#waitingSyncs++;
    const sync = this.#lastSync.then(() => {
      this.#waitingSyncs--;
      return this.#syncOnce();
    });
    this.#lastSync = sync.catch(() => {});
    await sync;
  }

  async #whenSettled(
    look: (state: SettledState) => Promise<number | 'unsettled'>,
  ): Promise<number | 'unsettled'> {
    const run = this.#lastSync.then(async () => {
      const session = this.#session;
      const isKnown = this.#isComplete && !this.#isTableSuspect;
      if (!isKnown || session?.audit === undefined) return 'unsettled';
      const resolve = (service: string) => this.#state.resolve(service);
      const isInterrupted = () => this.#waitingSyncs > 0;
      return look({ audit: session.audit, resolve, isInterrupted });
    });
    const ignore = () => {};
    this.#lastSync = run.then(ignore, ignore);
    return run;
  }

  async #syncOnce(): Promise<void> {
    if (!this.#isSynced) return;
    const { clock, metrics } = this.#options;
    const startedAtMs = clock.elapsed();
    const queued = this.#queued ?? momentOf(clock);
    this.#queued = undefined;
    const triggers = this.#triggers.drain();
    try {
      const kind = await this.#program();
      metrics?.syncFinished(this.family, (clock.elapsed() - startedAtMs) / 1000, kind);
    } catch (thrown) {
      this.#queued = queued;
      this.#triggers.restore(triggers);
      this.#failure = { atMs: clock.now(), reason: toError(thrown).message };
      const kind = this.#isComplete ? 'partial' : 'full';
      this.#closeSession();
      metrics?.syncFailed(this.family, kind);
      throw thrown;
    }
    this.#reportSuccess(triggers);
  }

  async #program(): Promise<'full' | 'partial'> {
    const settings = this.#settings();
    if (this.#isTableSuspect || this.#session?.fits?.(settings) === false) this.#closeSession();
    this.#isTableSuspect = false;
    this.#session ??= this.#options.openSession(settings);
    const session = this.#session;
    const isFull = !this.#isComplete;
    const { listeners = [], metrics } = this.#options;
    const changes = this.#state.drain(isFull);
    metrics?.changesTaken('service', this.#state.services.pending);
    metrics?.changesTaken('endpoint', this.#state.endpoints.pending);
    await session.program(settings, changes, (key) => {
      const ports = this.#state.resolve(key);
      for (const listener of listeners) listener.programming(this.family, key, ports);
      return ports;
    });
    this.#isComplete = true;
    const commit: Commit = {
      isFull,
      nodePortIPs: settings.layout.acceptsOnAllAddresses ? 'anyLocal' : settings.nodePortIPs,
      ...(session.former === undefined ? {} : { former: session.former }),
    };
    for (const listener of listeners) listener.committed(this.family, commit);
    this.#state.committed();
    await session.removeIdle(this.#options.clock.elapsed(), (chain, err) => {
      this.#log.debug({ chain, err }, 'unused chain kept');
      metrics?.cleanupFailed(this.family);
    });
    return isFull ? 'full' : 'partial';
  }

  #settings(): SessionSettings {
    return sessionSettings(this.family, this.#options, this.#state.node, this.#serviceCIDRs);
  }

  #reportSuccess(triggers: readonly number[]): void {
    const { clock, metrics } = this.#options;
    const now = clock.now();
    this.#updatedAtMs = now;
    this.#failure = undefined;
    metrics?.syncCommitted(this.family, now);
    for (const at of triggers) metrics?.endpointsProgrammed(this.family, (now - at) / 1000);
    for (const [policy, count] of this.#state.withoutLocal()) {
      metrics?.withoutLocalEndpoints(this.family, policy, count);
    }
  }

  #applySlice({ service, name, record, changedAtMs, warnings: all }: SliceChange): void {
    const warnings = summarized(all);
    if (warnings.length > 0) this.#log.warn({ slice: name, warnings }, 'endpoints ignored');
    if (!this.#state.endpoints.set(service, name, record)) return;
    if (record === undefined) this.#triggers.forget(service);
    else this.#triggers.note(service, changedAtMs);
    this.#noteChange('endpoint');
  }

  #noteChange(kind: 'service' | 'endpoint'): void {
    const tracker = kind === 'service' ? this.#state.services : this.#state.endpoints;
    this.#options.metrics?.changesTracked(kind, tracker.pending);
    this.#requestSync();
  }

  #requestSync(options?: { readonly isUrgent: boolean }): void {
    if (!this.#isSynced) return;
    const { clock, metrics } = this.#options;
    this.#queued ??= momentOf(clock);
    metrics?.syncQueued(this.family, clock.now());
    this.#runner.trigger(options);
  }

  #closeSession(): void {
    this.#session?.close();
    this.#session = undefined;
    this.#isComplete = false;
  }
}

function intervalsOf({ minSyncPeriodMs, syncPeriodMs }: ProxierSettings): RunnerIntervals {
  return {
    minIntervalMs: minSyncPeriodMs,
    retryIntervalMs: Math.min(RETRY_MS, syncPeriodMs),
    maxIntervalMs: syncPeriodMs,
  };
}
