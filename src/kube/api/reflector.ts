import type { Clock } from '../../util/clock.ts';
import { BusyError, DecodeError, IoError, toError } from '../../util/errors.ts';
import type { Logger } from '../../util/log.ts';
import { objectKey, type Resource } from '../resources.ts';
import type { ObjectHandlers } from '../source.ts';
import { HandlerError, ObjectStore } from '../store.ts';
import type { KubernetesObject } from '../types.ts';
import { ApiError } from './api-error.ts';
import { Backoff, type BackoffLimits, REFLECTOR_BACKOFF } from './backoff.ts';
import type { ApiClient } from './client.ts';
import { asRecord, type WatchEvent } from './watch-event.ts';

export type FailureReason =
  | 'unauthorized'
  | 'forbidden'
  | 'expired'
  | 'throttled'
  | 'client'
  | 'server'
  | 'timeout'
  | 'connection'
  | 'decode'
  | 'credentials';

/** Counted since the start. */
export interface ReflectorCounts {
  readonly lists: number;
  readonly watches: number;
  readonly events: number;
  /** Objects held now. */
  readonly objects: number;
  readonly failures: Readonly<Partial<Record<FailureReason, number>>>;
}

export interface ReflectorOptions<T extends KubernetesObject> {
  readonly client: ApiClient;
  readonly resource: Resource<T>;
  readonly handlers: ObjectHandlers<T>;
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly log: Logger;
  readonly backoff?: BackoffLimits;
}

/** A watch that lived this long shows that the server is well, even if it brought nothing. */
const HEALTHY_WATCH_MS = 5_000;

/**
 * Keeps a copy of one resource: lists, then watches, then watches again from where the last watch
 * ended; lists anew when that point is too old (410) or the server reports an error in the watch.
 * Resource versions are opaque and only compared for equality.
 */
export class Reflector<T extends KubernetesObject> {
  readonly synced: Promise<void>;
  readonly #options: ReflectorOptions<T>;
  readonly #store: ObjectStore<T>;
  readonly #backoff: Backoff;
  readonly #counts = { lists: 0, watches: 0, events: 0 };
  readonly #failures: Partial<Record<FailureReason, number>> = {};
  #resolveSynced: () => void = () => {};
  #hasSynced = false;
  #isWatching = false;
  #usesFieldSelector = true;
  /** Where the next watch starts; undefined when only a list helps. */
  #resourceVersion: string | undefined;

  constructor(options: ReflectorOptions<T>) {
    this.#options = options;
    this.#store = new ObjectStore(
      options.handlers,
      (a, b) =>
        a.metadata.resourceVersion !== undefined &&
        a.metadata.resourceVersion === b.metadata.resourceVersion,
    );
    this.#backoff = new Backoff(options.backoff ?? REFLECTOR_BACKOFF, options.random);
    this.synced = new Promise((resolve) => {
      this.#resolveSynced = resolve;
    });
  }

  get hasSynced(): boolean {
    return this.#hasSynced;
  }

  get counts(): ReflectorCounts {
    return { ...this.#counts, objects: this.#store.size, failures: { ...this.#failures } };
  }

  /** Runs until the signal; rejects only with HandlerError. `synced` stays pending if it comes first. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const startedAt = this.#options.clock.now();
      const eventsBefore = this.#counts.events;
      const failure = await this.#step(signal);
      if (signal.aborted) return;
      const isLong = this.#options.clock.now() - startedAt >= HEALTHY_WATCH_MS;
      if (isLong || this.#counts.events > eventsBefore) this.#backoff.reset();
      if (failure !== undefined) await this.#recover(failure, signal);
      else if (this.#isWatching && !isLong && this.#counts.events === eventsBefore) {
        // A server that ends every watch at once must not be asked in a tight loop.
        await this.#sleep(this.#backoff.next(), signal);
      }
    }
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
    const { client, resource } = this.#options;
    this.#counts.lists++;
    const list = await client.list(this.#request(signal), (raw) => this.#decode(raw));
    const next = new Map<string, T>();
    for (const object of list.objects) {
      if (object !== undefined && resource.isSelected(object)) next.set(objectKey(object), object);
    }
    this.#store.replace(next);
    this.#resourceVersion = list.resourceVersion;
    this.#options.log.debug({ kind: resource.kind, objects: next.size }, 'objects listed');
    if (this.#hasSynced) return;
    this.#hasSynced = true;
    this.#resolveSynced();
  }

  async #watch(resourceVersion: string, signal: AbortSignal): Promise<void> {
    this.#counts.watches++;
    await this.#options.client.watch({
      ...this.#request(signal),
      resourceVersion,
      onEvent: (event) => this.#onEvent(event),
    });
  }

  #request(signal: AbortSignal) {
    const { resource } = this.#options;
    return { resource, usesFieldSelector: this.#usesFieldSelector, signal };
  }

  #onEvent({ type, object: raw }: WatchEvent): void {
    this.#counts.events++;
    if (type !== 'BOOKMARK') this.#change(type, raw);
    const { resourceVersion } = asRecord(asRecord(raw)['metadata']);
    if (typeof resourceVersion === 'string') this.#resourceVersion = resourceVersion;
  }

  #change(type: 'ADDED' | 'MODIFIED' | 'DELETED', raw: unknown): void {
    const object = this.#decode(raw);
    if (object === undefined) return;
    const isGone = type === 'DELETED' || !this.#options.resource.isSelected(object);
    if (isGone) this.#store.delete(objectKey(object));
    else this.#store.set(object);
  }

  /** An object that cannot be read is reported and stands as it was last known. */
  #decode(raw: unknown): T | undefined {
    const { resource, log } = this.#options;
    try {
      return resource.decode(raw, 'lenient');
    } catch (thrown) {
      this.#count('decode');
      const { name, namespace } = asRecord(asRecord(raw)['metadata']);
      log.warn({ kind: resource.kind, name, namespace, err: toError(thrown) }, 'object unreadable');
      if (typeof name !== 'string') return undefined;
      return this.#store.get(typeof namespace === 'string' ? `${namespace}/${name}` : name);
    }
  }

  async #recover(error: Error, signal: AbortSignal): Promise<void> {
    const { log, resource } = this.#options;
    const reason = failureReason(error);
    this.#count(reason);
    if (this.#isFieldSelectorRefused(error)) {
      this.#usesFieldSelector = false;
      this.#resourceVersion = undefined;
      log.info({ kind: resource.kind, err: error }, 'field selector refused, filtering locally');
      return;
    }
    if (error instanceof ApiError && isListNeeded(error)) this.#resourceVersion = undefined;
    // The common case, a resume point that grew too old, is answered at once, but not twice in a row.
    const isPlainExpiry = reason === 'expired' && this.#isWatching && this.#backoff.isFresh;
    const backoffMs = this.#backoff.next();
    const retryAfterMs = (error instanceof ApiError ? error.retryAfterMs : undefined) ?? 0;
    const delayMs = isPlainExpiry ? 0 : Math.max(backoffMs, retryAfterMs);
    log.warn({ kind: resource.kind, reason, delayMs, err: error }, 'list or watch failed');
    await this.#sleep(delayMs, signal);
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

/**
 * Whether the resume point must be given up. Overload and server faults pass by themselves, and a
 * list from every node is what an overloaded server needs least.
 */
function isListNeeded(error: ApiError): boolean {
  if (error.isExpired || error.isWatchEvent) return true;
  return error.status >= 400 && error.status < 500 && ![401, 403, 408, 429].includes(error.status);
}

/** Sorts an error into the bounded set of reasons that metrics can carry. */
function failureReason(error: Error): FailureReason {
  if (error instanceof BusyError) return 'timeout';
  if (error instanceof DecodeError) return 'decode';
  if (error instanceof ApiError) return apiFailureReason(error);
  if (error instanceof IoError) return 'connection';
  return 'credentials';
}

function apiFailureReason(error: ApiError): FailureReason {
  if (error.isExpired) return 'expired';
  if (error.status === 401) return 'unauthorized';
  if (error.status === 403) return 'forbidden';
  if (error.status === 429) return 'throttled';
  return error.status >= 500 ? 'server' : 'client';
}
