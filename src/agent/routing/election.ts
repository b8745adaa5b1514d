/**
 * One of several agents does what only one may: a Lease (coordination.k8s.io/v1) says who, as client-go's
 * leader election has it. Every write names the version it has read, so of two that want it one fails.
 */
import { ApiError } from '../../kube/api/api-error.ts';
import type { ApiClient } from '../../kube/api/client.ts';
import type { Clock } from '../../util/clock.ts';
import { toError } from '../../util/errors.ts';
import type { Logger } from '../../util/log.ts';

export interface ElectionOptions {
  readonly client: Pick<ApiClient, 'read' | 'patch' | 'create'>;
  readonly namespace: string;
  readonly name: string;
  readonly labels?: Readonly<Record<string, string>>;
  /** Who stands for election: the node. */
  readonly identity: string;
  readonly timings: ElectionTimings;
  readonly clock: Clock;
  readonly log: Logger;
  readonly signal: AbortSignal;
  /** Who does not stand lets a lease of its own run out; absent: always. */
  readonly isStanding?: () => boolean;
  /** It was won or lost. */
  readonly onChange: (isLeader: boolean) => void;
}

export interface ElectionTimings {
  /** Whoever has not renewed for so long has lost it. Whole seconds. */
  readonly leaseMs: number;
  /** Far less: a server may be slow now and then. */
  readonly renewMs: number;
}

export const USUAL_TIMINGS: ElectionTimings = { leaseMs: 15_000, renewMs: 4_000 };

interface Lease {
  readonly resourceVersion: string;
  readonly holder: string;
  readonly renewTime: string;
  readonly transitions: number;
}

/** Stands for election until the signal ends. */
export class Election {
  readonly #options: ElectionOptions;
  readonly #path: string;
  /** The version that was seen last, and since when: clocks of nodes differ, so only change counts. */
  #seen: { readonly version: string; readonly sinceMs: number } | undefined;
  #renewedAtMs: number | undefined;
  #wasLeader = false;
  #problem = '';

  constructor(options: ElectionOptions) {
    this.#options = options;
    const namespace = encodeURIComponent(options.namespace);
    this.#path = `/apis/coordination.k8s.io/v1/namespaces/${namespace}/leases`;
  }

  /** Why it cannot take part; empty when it can. */
  get problem(): string {
    return this.#problem;
  }

  /**
   * Nobody else is, as far as clocks run at about the same speed: who could not renew stops before the
   * others may begin.
   */
  get isLeader(): boolean {
    const { clock, timings } = this.#options;
    if (this.#renewedAtMs === undefined) return false;
    return clock.elapsed() - this.#renewedAtMs < (timings.leaseMs * 2) / 3;
  }

  start(): void {
    void this.#round();
  }

  async #round(): Promise<void> {
    const { clock, signal, timings } = this.#options;
    if (signal.aborted) return;
    if (this.#options.isStanding?.() ?? true) await this.#try();
    this.#tell();
    if (!signal.aborted) clock.schedule(timings.renewMs, () => void this.#round());
  }

  async #try(): Promise<void> {
    const { log, name, signal } = this.#options;
    const startedAtMs = this.#options.clock.elapsed();
    try {
      // What was sent at this moment counts, whenever it is answered.
      this.#renewedAtMs = (await this.#take()) ? startedAtMs : undefined;
      this.#problem = '';
    } catch (thrown) {
      const error = toError(thrown);
      // Somebody was quicker.
      if (signal.aborted || (error instanceof ApiError && error.status === 409)) return;
      if (error.message !== this.#problem)
        log.warn({ lease: name, reason: error.message }, 'lease');
      this.#problem = error.message;
    }
  }

  /** Whether the lease is ours now. */
  async #take(): Promise<boolean> {
    const { client, clock, identity, signal, timings } = this.#options;
    const lease = await this.#read();
    if (lease === undefined) {
      await client.create(this.#path, this.#object(undefined), signal);
      return true;
    }
    if (lease.holder !== identity && lease.holder !== '') {
      if (this.#seen?.version !== lease.resourceVersion) {
        this.#seen = { version: lease.resourceVersion, sinceMs: clock.elapsed() };
      }
      if (clock.elapsed() - this.#seen.sinceMs < timings.leaseMs) return false;
    }
    await client.patch(this.#lease, this.#object(lease), signal);
    return true;
  }

  get #lease(): string {
    return `${this.#path}/${encodeURIComponent(this.#options.name)}`;
  }

  async #read(): Promise<Lease | undefined> {
    try {
      return leaseOf(await this.#options.client.read(this.#lease, this.#options.signal));
    } catch (thrown) {
      if (thrown instanceof ApiError && thrown.status === 404) return undefined;
      throw thrown;
    }
  }

  #object(former: Lease | undefined): object {
    const { clock, identity, labels, name, namespace, timings } = this.#options;
    // metav1.MicroTime.
    const now = new Date(clock.now()).toISOString().replace('Z', '000Z');
    const isNew = former?.holder !== identity;
    const version = former && { resourceVersion: former.resourceVersion };
    return {
      apiVersion: 'coordination.k8s.io/v1',
      kind: 'Lease',
      metadata: { name, namespace, ...(labels && { labels }), ...version },
      spec: {
        holderIdentity: identity,
        leaseDurationSeconds: Math.round(timings.leaseMs / 1000),
        renewTime: now,
        ...(isNew ? { acquireTime: now, leaseTransitions: (former?.transitions ?? -1) + 1 } : {}),
      },
    };
  }

  #tell(): void {
    const { isLeader } = this;
    if (isLeader === this.#wasLeader) return;
    this.#wasLeader = isLeader;
    this.#options.log.info({ lease: this.#options.name, isLeader }, 'election');
    this.#options.onChange(isLeader);
  }
}

/** Fields that are not there are as those of a lease that nobody holds. */
function leaseOf(object: unknown): Lease {
  // Of the server's answer only these fields are looked at, and each may be missing.
  const { metadata, spec } = object as {
    readonly metadata?: { readonly resourceVersion?: string };
    readonly spec?: {
      readonly holderIdentity?: string;
      readonly renewTime?: string;
      readonly leaseTransitions?: number;
    };
  };
  return {
    resourceVersion: metadata?.resourceVersion ?? '',
    holder: spec?.holderIdentity ?? '',
    renewTime: spec?.renewTime ?? '',
    transitions: spec?.leaseTransitions ?? 0,
  };
}
