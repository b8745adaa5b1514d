import type { Clock } from '../../util/clock.ts';
import { Reminder } from '../../util/complaints.ts';
import { toError } from '../../util/errors.ts';
import type { Logger } from '../../util/log.ts';
import type { Resource, ResourceKind } from '../resources.ts';
import type { ObjectHandlers } from '../source.ts';
import { HandlerError } from '../store.ts';
import type { KubernetesObject } from '../types.ts';
import { ApiError } from './api-error.ts';
import { Backoff, type BackoffLimits, REFLECTOR_BACKOFF } from './backoff.ts';
import { type FailureReason, failureReason, isListNeeded } from './failure.ts';
import { type Asked, type FailureWords, failureWords } from './failure-words.ts';
import type { ObjectServer } from './object-server.ts';
import { Replica, type ReplicaOptions } from './replica.ts';

/** Counted since the start. */
export interface ReflectorCounts {
  readonly lists: number;
  readonly watches: number;
  readonly events: number;
  /** Objects held now. */
  readonly objects: number;
  /** Of these, the ones a list dropped and the deletion guard keeps. */
  readonly withheld: number;
  /** The objects are those of the last run; the server was not reached yet. */
  readonly isRestored: boolean;
  readonly failures: Readonly<Partial<Record<FailureReason, number>>>;
  /** Why nothing is heard now; undefined while the server answers. */
  readonly failing: Failing | undefined;
}

export interface Failing extends FailureWords {
  readonly asked: Asked;
  /** By `Clock.elapsed`. */
  readonly sinceMs: number;
}

export interface ReflectorOptions<T extends KubernetesObject> {
  readonly client: Pick<ObjectServer, 'list' | 'watch'>;
  /** Says what a failure is and what helps; absent: in the words of an API server. */
  readonly wordsOf?: ((error: Error, asked: Asked) => FailureWords) | undefined;
  readonly resource: Resource<T>;
  readonly handlers: ObjectHandlers<T>;
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly log: Logger;
  readonly backoff?: BackoffLimits;
  /** See Replica; 0 holds nothing back. */
  readonly holdMs?: number;
  /** See Replica. */
  readonly lastKnown?: ReplicaOptions<T>['lastKnown'];
}

/** The same failure is told of again after this. */
const SAID_AGAIN_MS = 600_000;
/** A watch that lived this long shows that the server is well, even if it brought nothing. */
const HEALTHY_WATCH_MS = 5_000;
/** A kind that is not served today may be after an upgrade. */
const OPTIONAL_RETRY_MS = 600_000;

/**
 * Keeps a replica of one resource up to date: lists, then watches, then watches again from where the
 * last watch ended; lists anew when that point is of no use any longer, the server reports an error in
 * the watch, or the replica asks for it.
 */
export class Reflector<T extends KubernetesObject> {
  readonly replica: Replica<T>;
  readonly #options: ReflectorOptions<T>;
  readonly #backoff: Backoff;
  readonly #counts = { lists: 0, watches: 0, events: 0 };
  readonly #failures: Partial<Record<FailureReason, number>> = {};
  #failing: Failing | undefined;
  readonly #failureSaid: Reminder;
  /** Since it was last well. */
  #hasFailed = false;
  #isWatching = false;
  #usesFieldSelector = true;
  /** Where the next watch starts; undefined when only a list helps. */
  #resourceVersion: string | undefined;

  constructor(options: ReflectorOptions<T>) {
    this.#options = options;
    this.replica = new Replica({
      ...options,
      holdMs: options.holdMs ?? 0,
      onUnreadable: () => this.#count('decode'),
    });
    this.#failureSaid = new Reminder(options.clock, SAID_AGAIN_MS);
    this.#backoff = new Backoff(options.backoff ?? REFLECTOR_BACKOFF, options.random);
  }

  get counts(): ReflectorCounts {
    const { size: objects, withheldCount: withheld, isRestored } = this.replica;
    const failures = { ...this.#failures };
    return { ...this.#counts, objects, withheld, isRestored, failures, failing: this.#failing };
  }

  /** Runs until the signal; rejects only with HandlerError. `synced` stays pending if it comes first. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const startedAt = this.#options.clock.elapsed();
      const eventsBefore = this.#counts.events;
      const failure = await this.#step(signal);
      if (signal.aborted) return;
      const isLong = this.#options.clock.elapsed() - startedAt >= HEALTHY_WATCH_MS;
      if (isLong || this.#counts.events > eventsBefore) this.#noteHealth();
      if (failure !== undefined) await this.#recover(failure, signal);
      else if (this.#isWatching && !isLong && this.#counts.events === eventsBefore) {
        // A server that ends every watch at once must not be asked in a tight loop.
        await this.#sleep(this.#backoff.next(), signal);
      }
    }
  }

  #noteHealth(): void {
    this.#backoff.reset();
    if (!this.#hasFailed || this.#failing !== undefined) return;
    const { log, resource } = this.#options;
    this.#hasFailed = false;
    this.#failureSaid.isDue('');
    log.info({ kind: resource.kind }, 'the server answers');
  }

  /** One list or one watch; gives what went wrong. */
  async #step(signal: AbortSignal): Promise<Error | undefined> {
    this.#isWatching = this.#resourceVersion !== undefined;
    try {
      if (this.#resourceVersion === undefined) await this.#list(signal);
      else await this.#watch(this.#resourceVersion, signal);
      return undefined;
    } catch (thrown) {
      if (thrown instanceof HandlerError) throw thrown;
      return toError(thrown);
    }
  }

  async #list(signal: AbortSignal): Promise<void> {
    const { client, resource, log } = this.#options;
    this.#counts.lists++;
    const list = await client.list(this.#request(signal), (raw) => this.replica.decode(raw));
    if (signal.aborted) return;
    this.#failing = undefined;
    await this.replica.applyList(list);
    this.#resourceVersion = list.resourceVersion;
    log.debug({ kind: resource.kind, objects: this.replica.size }, 'objects listed');
  }

  /** Ends early, and with a list to follow, when the replica wants one. */
  async #watch(resourceVersion: string, signal: AbortSignal): Promise<void> {
    const { client, clock } = this.#options;
    const { relistAt } = this.replica;
    const ending = new AbortController();
    const end = () => ending.abort();
    const isDue = () => relistAt !== undefined && clock.elapsed() >= relistAt;
    const cancel =
      relistAt === undefined ? () => {} : clock.schedule(relistAt - clock.elapsed(), end);
    signal.addEventListener('abort', end, { once: true });
    this.#counts.watches++;
    try {
      await client.watch({
        ...this.#request(ending.signal),
        resourceVersion,
        onOpen: () => {
          this.#failing = undefined;
        },
        onEvent: (event) => {
          this.#counts.events++;
          this.#resourceVersion = this.replica.applyEvent(event);
        },
      });
    } catch (thrown) {
      if (!ending.signal.aborted || thrown instanceof HandlerError) throw thrown;
    } finally {
      cancel();
      signal.removeEventListener('abort', end);
      if (isDue()) this.#resourceVersion = undefined;
    }
  }

  #request(signal: AbortSignal) {
    const { resource } = this.#options;
    return { resource, usesFieldSelector: this.#usesFieldSelector, signal };
  }

  async #recover(error: Error, signal: AbortSignal): Promise<void> {
    const { log, resource, clock, wordsOf = failureWords } = this.#options;
    const reason = failureReason(error);
    this.#count(reason);
    if (this.#isFieldSelectorRefused(error)) {
      this.#usesFieldSelector = false;
      this.#resourceVersion = undefined;
      const why = error.message;
      log.info({ kind: resource.kind, why }, 'field selector refused, filtering locally');
      return;
    }
    if (isListNeeded(error)) this.#resourceVersion = undefined;
    const delayMs = this.#delayAfter(error, reason);
    const verb = this.#isWatching ? 'watch' : 'list';
    const asked = { verb, resource: fullName(resource) } as const;
    const { words: why, ...rest } = wordsOf(error, asked);
    const facts = { kind: resource.kind, reason, why, cure: rest.cure, delayMs };
    // A server that is gone for hours is asked all the time, and told of now and then.
    const isNews = this.#failureSaid.isDue(reason);
    if (this.#isNotServed(reason)) {
      const level = reason === 'missing' ? 'info' : 'warn';
      const words = reason === 'missing' ? 'is not served' : 'may not be read';
      log[isNews ? level : 'debug'](facts, `kind ${words}, going on without it`);
      this.replica.markSynced();
    } else {
      // A resume point that grew too old is answered at once: nothing is wrong with the server.
      if (delayMs > 0) {
        const { sinceMs = clock.elapsed() } = this.#failing ?? {};
        this.#failing = { ...rest, words: why, sinceMs, asked };
        this.#hasFailed = true;
      }
      log[isNews ? 'warn' : 'debug'](facts, 'list or watch failed');
    }
    await this.#sleep(delayMs, signal);
  }

  #delayAfter(error: Error, reason: FailureReason): number {
    // The common case, a resume point that grew too old, is answered at once, but not twice in a row.
    const isPlainExpiry = reason === 'expired' && this.#isWatching && this.#backoff.isFresh;
    const backoffMs = this.#backoff.next();
    if (this.#isNotServed(reason)) return OPTIONAL_RETRY_MS;
    const retryAfterMs = (error instanceof ApiError ? error.retryAfterMs : undefined) ?? 0;
    return isPlainExpiry ? 0 : Math.max(backoffMs, retryAfterMs);
  }

  #isNotServed(reason: FailureReason): boolean {
    const { isOptional = false, isRequiredWhereServed = false } = this.#options.resource;
    if (!isOptional) return false;
    return reason === 'missing' || (reason === 'forbidden' && !isRequiredWhereServed);
  }

  #isFieldSelectorRefused(error: Error): boolean {
    const isUsed = this.#usesFieldSelector && this.#options.resource.fieldSelector !== undefined;
    return isUsed && error instanceof ApiError && error.status === 400;
  }

  #count(reason: FailureReason): void {
    this.#failures[reason] = (this.#failures[reason] ?? 0) + 1;
  }

  #sleep(delayMs: number, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const finish = () => {
        cancel();
        signal.removeEventListener('abort', finish);
        resolve();
      };
      const cancel = this.#options.clock.schedule(delayMs, finish);
      signal.addEventListener('abort', finish, { once: true });
    });
  }
}

/** As RBAC and kubectl name it: `endpointslices.discovery.k8s.io`. */
function fullName({ plural, group }: ResourceKind): string {
  return group === '' ? plural : `${plural}.${group}`;
}
