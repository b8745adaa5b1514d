import type { EndpointSlice, Service } from '../kube/types.ts';
import type { IP, IPFamily } from '../net/ip.ts';
import type { Clock } from '../util/clock.ts';
import type { Logger } from '../util/log.ts';
import { BoundedFrequencyRunner } from '../util/runner.ts';
import { EndpointsTracker, ServiceTracker } from './changes.ts';
import { FrontendClaims } from './claims.ts';
import { sliceIdentity } from './endpoints.ts';
import type { ProxyMetrics } from './metrics.ts';
import { type OpenTable, TableSession, type TableSettings } from './nftables/session.ts';
import {
  acceptsOnAllAddresses,
  type LocalDetection,
  localDetector,
  type NodeFacts,
  type NodePortAddresses,
  nodePortIPs,
} from './node-addresses.ts';
import type { ServicePort } from './service.ts';
import { type ResolvedPort, resolvePort } from './state.ts';
import { TriggerTimes } from './trigger-times.ts';

export interface ProxierOptions {
  readonly nodeName: string;
  /** Undefined: no traffic to a clusterIP counts as coming from outside. */
  readonly localDetection: LocalDetection | undefined;
  readonly nodePortAddresses: NodePortAddresses;
  /** Whether an object for this node exists or may still arrive; asked at every sync. */
  readonly hasNodeObjects: () => boolean;
  /** The addresses of this node's interfaces; asked only when NodePort networks are configured. */
  readonly localAddresses: () => readonly IP[];
  readonly masqueradesAll: boolean;
  readonly minSyncPeriodMs: number;
  /** Longest time between two syncs. */
  readonly syncPeriodMs: number;
  readonly clock: Clock;
  readonly log: Logger;
  readonly openTable: OpenTable;
  readonly metrics?: ProxyMetrics;
}

export interface ProxierHealth {
  /** When the oldest change that is not yet in the kernel arrived; undefined when none waits. */
  readonly queuedAtMs: number | undefined;
  /** End of the last successful sync. */
  readonly updatedAtMs: number | undefined;
}

const POLICIES = ['internal', 'external'] as const;
const RETRY_MS = 5_000;

/**
 * Keeps the Services of one address family in the kernel: takes events at any time, and brings the
 * table up to date in runs that are immediate after quiet and spaced under load. After a failure
 * the next run reads the table back and sends what is different.
 */
export class Proxier {
  readonly family: IPFamily;
  readonly #options: ProxierOptions;
  readonly #log: Logger;
  readonly #services: ServiceTracker;
  readonly #endpoints: EndpointsTracker;
  readonly #triggers: TriggerTimes;
  readonly #claims: FrontendClaims;
  /** The ports each Service has claims for, as of the last sync. */
  readonly #claimed = new Map<string, readonly ServicePort[]>();
  /** Per policy, how many ports of a Service have endpoints but none here. */
  readonly #withoutLocal = {
    internal: new Map<string, number>(),
    external: new Map<string, number>(),
  };
  readonly #runner: BoundedFrequencyRunner;
  #lastSync: Promise<void> = Promise.resolve();
  #session: TableSession | undefined;
  #node: NodeFacts | undefined;
  #isSynced = false;
  #isTableSuspect = false;
  #isZoneNew = false;
  #queuedAtMs: number | undefined;
  #updatedAtMs: number | undefined;

  constructor(family: IPFamily, options: ProxierOptions) {
    this.family = family;
    this.#options = options;
    this.#log = options.log.child({ family });
    this.#services = new ServiceTracker(family);
    this.#endpoints = new EndpointsTracker(family, options.nodeName, (slice, warnings) =>
      this.#log.warn({ slice, warnings }, 'endpoints ignored'),
    );
    this.#triggers = new TriggerTimes(options.clock.now());
    this.#claims = new FrontendClaims((conflict) =>
      this.#log.warn(conflict, 'frontend claimed twice'),
    );
    this.#runner = new BoundedFrequencyRunner(() => this.sync(), {
      minIntervalMs: options.minSyncPeriodMs,
      retryIntervalMs: Math.min(RETRY_MS, options.syncPeriodMs),
      maxIntervalMs: options.syncPeriodMs,
      clock: options.clock,
      onError: (err) => this.#log.error({ err }, 'sync failed'),
    });
  }

  updateService(service: Service): void {
    if (this.#services.update(service)) this.#noteChange('service');
  }

  deleteService(service: Service): void {
    if (this.#services.delete(service)) this.#noteChange('service');
  }

  updateSlice(slice: EndpointSlice): void {
    if (!this.#endpoints.update(slice)) return;
    const service = sliceIdentity(slice)?.service;
    if (service !== undefined) this.#triggers.note(service, slice);
    this.#noteChange('endpoint');
  }

  deleteSlice(slice: EndpointSlice): void {
    if (!this.#endpoints.delete(slice)) return;
    const service = sliceIdentity(slice)?.service;
    if (service !== undefined) this.#triggers.forget(service);
    this.#noteChange('endpoint');
  }

  /** Takes what is now known of this node; undefined when its object is gone. */
  updateNode(node: NodeFacts | undefined): void {
    if (node?.zone !== this.#node?.zone) this.#isZoneNew = true;
    this.#node = node;
    this.#requestSync();
  }

  /** From here on the Services and slices known are all there are, and syncs may begin. */
  setSynced(): void {
    this.#isSynced = true;
    this.#requestSync();
  }

  /** Has the next sync read the table back: something else may have changed it. */
  resync(): void {
    this.#isTableSuspect = true;
    this.#requestSync();
  }

  get health(): ProxierHealth {
    return { queuedAtMs: this.#queuedAtMs, updatedAtMs: this.#updatedAtMs };
  }

  /** Waits for the sync in progress and leaves the table as it is. */
  async stop(): Promise<void> {
    await this.#runner.stop();
    await this.#lastSync;
    this.#closeSession();
  }

  /** Brings the table up to date now, after the sync in progress if there is one. */
  async sync(): Promise<void> {
    const sync = this.#lastSync.then(() => this.#syncOnce());
    this.#lastSync = sync.catch(() => {});
    await sync;
  }

  async #syncOnce(): Promise<void> {
    if (!this.#isSynced) return;
    const { clock, metrics } = this.#options;
    const startedAtMs = clock.now();
    const queuedAtMs = this.#queuedAtMs ?? startedAtMs;
    this.#queuedAtMs = undefined;
    const triggers = this.#triggers.drain();
    try {
      const kind = await this.#program();
      metrics?.syncFinished(this.family, (clock.now() - startedAtMs) / 1000, kind);
    } catch (thrown) {
      this.#queuedAtMs = queuedAtMs;
      this.#closeSession();
      metrics?.syncFailed(this.family);
      throw thrown;
    }
    this.#reportSuccess(triggers);
  }

  async #program(): Promise<'full' | 'partial'> {
    if (this.#isTableSuspect) this.#closeSession();
    this.#isTableSuspect = false;
    const settings = this.#settings();
    this.#session ??= TableSession.open(this.#options.openTable, settings);
    const session = this.#session;
    const isFull = !session.isComplete;
    await session.program(settings, this.#takeChanges(isFull), (key) => this.#resolve(key));
    session.dropUnusedChains(this.#options.clock.now(), (chain, err) => {
      this.#log.debug({ chain, err }, 'unused chain kept');
      this.#options.metrics?.cleanupFailed(this.family);
    });
    return isFull ? 'full' : 'partial';
  }

  /**
   * The Services to program now, in groups for one transaction each: first all those between which
   * a frontend changes hands, as nobody may remove what another has just added; then the others
   * one by one.
   */
  #takeChanges(isFull: boolean): readonly (readonly string[])[] {
    const isAll = isFull || this.#isZoneNew;
    this.#isZoneNew = false;
    const handovers = new Set<string>();
    const changed = this.#services.drain();
    const touched = new Set([...this.#endpoints.drain(), ...changed]);
    for (const key of changed) {
      const before = this.#claimed.get(key) ?? [];
      const entry = this.#services.get(key);
      for (const moved of this.#claims.update(before, entry)) handovers.add(moved);
      if (entry === undefined) this.#claimed.delete(key);
      else this.#claimed.set(key, entry.ports);
    }
    if (isAll) for (const key of this.#claimed.keys()) touched.add(key);
    this.#options.metrics?.changesTaken('service', this.#services.pending);
    this.#options.metrics?.changesTaken('endpoint', this.#endpoints.pending);
    const groups = [...touched].filter((key) => !handovers.has(key)).map((key) => [key]);
    return handovers.size === 0 ? groups : [[...handovers], ...groups];
  }

  #resolve(service: string): readonly ResolvedPort[] {
    const locality = { nodeName: this.#options.nodeName, zone: this.#node?.zone };
    const slices = [...this.#endpoints.slices(service)];
    const ports = (this.#claimed.get(service) ?? []).map((port) =>
      resolvePort(port, slices, this.#claims, locality),
    );
    for (const policy of POLICIES) {
      const names = ports.filter(({ policiesWithoutLocal }) =>
        policiesWithoutLocal.includes(policy),
      );
      if (names.length > 0) this.#withoutLocal[policy].set(service, names.length);
      else this.#withoutLocal[policy].delete(service);
    }
    return ports;
  }

  #settings(): TableSettings {
    const { nodePortAddresses, hasNodeObjects, localDetection, masqueradesAll } = this.#options;
    const { family } = this;
    return {
      layout: {
        family,
        acceptsOnAllAddresses: acceptsOnAllAddresses(nodePortAddresses, family, hasNodeObjects()),
        localDetector: localDetector(localDetection, family, this.#node),
        masqueradesAll,
      },
      nodePortIPs: nodePortIPs(nodePortAddresses, family, this.#node, this.#options.localAddresses),
    };
  }

  #reportSuccess(triggers: readonly number[]): void {
    const { clock, metrics } = this.#options;
    const now = clock.now();
    this.#updatedAtMs = now;
    metrics?.syncCommitted(this.family, now);
    for (const at of triggers) metrics?.endpointsProgrammed(this.family, (now - at) / 1000);
    for (const policy of POLICIES) {
      const counts = [...this.#withoutLocal[policy].values()];
      const total = counts.reduce((sum, count) => sum + count, 0);
      metrics?.withoutLocalEndpoints(this.family, policy, total);
    }
  }

  #noteChange(kind: 'service' | 'endpoint'): void {
    const tracker = kind === 'service' ? this.#services : this.#endpoints;
    this.#options.metrics?.changesTracked(kind, tracker.pending);
    this.#requestSync();
  }

  #requestSync(): void {
    if (!this.#isSynced) return;
    const now = this.#options.clock.now();
    this.#queuedAtMs ??= now;
    this.#options.metrics?.syncQueued(this.family, now);
    this.#runner.trigger();
  }

  #closeSession(): void {
    this.#session?.close();
    this.#session = undefined;
  }
}
