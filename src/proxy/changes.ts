/**
 * What changed since the last sync, in derived terms: an update of an object that alters nothing
 * the proxy reads leaves no trace, and neither does one that is taken back before the sync.
 *
 * A sync takes time, and events arrive while it runs. So each tracker has two states: the present
 * one, and the drained one, which no event changes. The sync renders the drained state, and the
 * next round of changes is what differs from it: a change can be early or late, but never lost.
 */
import { isDeepStrictEqual } from 'node:util';
import type { SliceRecord } from './endpoints.ts';

/** Immutable values by key, as they are now and as they were at the last drain. */
export class TwoStates<T> {
  readonly #present = new Map<string, T>();
  /** The drained value of every key whose present value is another. */
  readonly #drained = new Map<string, T | undefined>();

  get(key: string): T | undefined {
    return this.#present.get(key);
  }

  /** The value at the last drain. */
  drained(key: string): T | undefined {
    return this.#drained.has(key) ? this.#drained.get(key) : this.#present.get(key);
  }

  keys(): Iterable<string> {
    return this.#present.keys();
  }

  entries(): Iterable<readonly [key: string, value: T]> {
    return this.#present.entries();
  }

  get size(): number {
    return this.#present.size;
  }

  /** Number of keys whose value differs from the drained one. */
  get pending(): number {
    return this.#drained.size;
  }

  /** These keys. */
  pendingKeys(): Iterable<string> {
    return this.#drained.keys();
  }

  /** The present state becomes the drained one; gives the keys that differed. */
  drain(): readonly string[] {
    const keys = [...this.#drained.keys()];
    this.#drained.clear();
    return keys;
  }

  /** Takes a value, undefined for none; false when it is the present one. */
  set(key: string, value: T | undefined): boolean {
    if (isDeepStrictEqual(this.#present.get(key), value)) return false;
    this.put(key, value);
    return true;
  }

  /** The same for a value that differs from the present one. */
  put(key: string, value: T | undefined): void {
    if (!this.#drained.has(key)) {
      this.#drained.set(key, this.#present.get(key));
      this.#store(key, value);
      return;
    }
    const drained = this.#drained.get(key);
    const isTakenBack = isDeepStrictEqual(drained, value);
    if (isTakenBack) this.#drained.delete(key);
    // The very value that was drained: claims go by identity, and slices by their order.
    this.#store(key, isTakenBack ? drained : value);
  }

  #store(key: string, value: T | undefined): void {
    if (value === undefined) this.#present.delete(key);
    else this.#present.set(key, value);
  }
}

/** The slices of one Service by name, in the order they first appeared. */
type Slices = ReadonlyMap<string, SliceRecord>;

/** The EndpointSlices of one address family, by Service. */
export class EndpointsTracker {
  readonly #services = new TwoStates<Slices>();

  /**
   * Takes a slice, undefined for one that is gone; false when that is no difference. Keeps no empty
   * maps: those of orphaned slices would add up over the life of a cluster.
   */
  set(service: string, name: string, record: SliceRecord | undefined): boolean {
    const before = this.#services.get(service);
    if (isDeepStrictEqual(before?.get(name), record)) return false;
    const after = new Map(before);
    if (record === undefined) after.delete(name);
    else after.set(name, record);
    this.#services.put(service, after.size === 0 ? undefined : after);
    return true;
  }

  /** The slices of one Service. */
  slices(service: string): Iterable<SliceRecord> {
    return this.#services.get(service)?.values() ?? [];
  }

  /** Those of the last drain. */
  drained(service: string): Iterable<SliceRecord> {
    return this.#services.drained(service)?.values() ?? [];
  }

  /** Number of Services whose slices differ from the last drain. */
  get pending(): number {
    return this.#services.pending;
  }

  /** Their keys. */
  pendingKeys(): Iterable<string> {
    return this.#services.pendingKeys();
  }

  /** Number of Services that have slices, with or without the Service itself being known. */
  get size(): number {
    return this.#services.size;
  }

  /** Ends the current round of changes: the keys of the Services whose slices differ. */
  drain(): readonly string[] {
    return this.#services.drain();
  }
}
