/** One of several agents does what only one may: who has a lease. */
import type { Agreement } from '../../kube/agreement.ts';
import { ApiError } from '../../kube/api/api-error.ts';
import type { Clock } from '../../util/clock.ts';
import { toError } from '../../util/errors.ts';
import type { Logger } from '../../util/log.ts';

export interface ElectionOptions {
  readonly agreement: Pick<Agreement, 'lease'>;
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

/** Stands for election until the signal ends. */
export class Election {
  readonly #options: ElectionOptions;
  readonly #lease: ReturnType<Agreement['lease']>;
  #renewedAtMs: number | undefined;
  #wasLeader = false;
  #problem = '';

  constructor(options: ElectionOptions) {
    this.#options = options;
    const { leaseMs } = options.timings;
    this.#lease = options.agreement.lease({ ...options, leaseMs });
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
      this.#renewedAtMs = (await this.#lease.take(signal)) ? startedAtMs : undefined;
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

  #tell(): void {
    const { isLeader } = this;
    if (isLeader === this.#wasLeader) return;
    this.#wasLeader = isLeader;
    this.#options.log.info({ lease: this.#options.name, isLeader }, 'election');
    this.#options.onChange(isLeader);
  }
}
