/**
 * What changed since the last sync, in derived terms: an update of an object that alters nothing
 * the proxy reads leaves no trace, and neither does one that is taken back before the sync.
 *
 * A sync takes time, and events arrive while it runs. So each tracker has two states: the present
 * one, and the drained one, which no event changes. The sync renders the drained state, and the
 * next round of changes is what differs from it: a change can be early or late, but never lost.
 */
import { isDeepStrictEqual } from 'node:util';
import { objectKey } from '../kube/resources.ts';
import type { EndpointSlice, Service } from '../kube/types.ts';
import type { IPFamily } from '../net/ip.ts';
import { parseSlice, type SliceRecord, sliceIdentity } from './endpoints.ts';
import { parseService, type ServiceEntry } from './service.ts';

/** Immutable values by key, as they are now and as they were at the last drain. */
class TwoStates<T> {
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

  /** Puts a value that differs from the present one; undefined removes it. */
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

/** The Services of one address family. */
export class ServiceTracker {
  readonly #family: IPFamily;
  readonly #entries = new TwoStates<ServiceEntry>();

  constructor(family: IPFamily) {
    this.#family = family;
  }

  /** Takes an added or updated Service. True when something derived from it changed. */
  update(service: Service): boolean {
    return this.#set(objectKey(service), parseService(service, this.#family));
  }

  /** Forgets a Service. True when the family had something of it. */
  delete(service: Service): boolean {
    return this.#set(objectKey(service), undefined);
  }

  get(key: string): ServiceEntry | undefined {
    return this.#entries.get(key);
  }

  /** The entry at the last drain. */
  drained(key: string): ServiceEntry | undefined {
    return this.#entries.drained(key);
  }

  keys(): Iterable<string> {
    return this.#entries.keys();
  }

  entries(): Iterable<readonly [key: string, entry: ServiceEntry]> {
    return this.#entries.entries();
  }

  /** Number of Services that differ from the last drain. */
  get pending(): number {
    return this.#entries.pending;
  }

  /** Their keys. */
  pendingKeys(): Iterable<string> {
    return this.#entries.pendingKeys();
  }

  /** Ends the current round of changes: the keys of the Services that differ from the last one. */
  drain(): readonly string[] {
    return this.#entries.drain();
  }

  #set(key: string, entry: ServiceEntry | undefined): boolean {
    if (isDeepStrictEqual(this.#entries.get(key), entry)) return false;
    this.#entries.put(key, entry);
    return true;
  }
}

/** The slices of one Service by name, in the order they first appeared. */
type Slices = ReadonlyMap<string, SliceRecord>;

/** The EndpointSlices of one address family, by Service. */
export class EndpointsTracker {
  readonly #family: IPFamily;
  readonly #nodeName: string;
  readonly #services = new TwoStates<Slices>();
  readonly #onWarning: (slice: string, warnings: readonly string[]) => void;

  constructor(
    family: IPFamily,
    nodeName: string,
    onWarning: (slice: string, warnings: readonly string[]) => void = () => {},
  ) {
    this.#family = family;
    this.#nodeName = nodeName;
    this.#onWarning = onWarning;
  }

  /** Takes an added or updated slice. True when something derived from it changed. */
  update(slice: EndpointSlice): boolean {
    const parsed = parseSlice(slice, this.#family, this.#nodeName);
    if (parsed === undefined) return false;
    if (parsed.warnings.length > 0) this.#onWarning(parsed.name, parsed.warnings);
    return this.#set(parsed.service, parsed.name, parsed.record);
  }

  /** Forgets a slice. True when it was known. */
  delete(slice: EndpointSlice): boolean {
    const identity = sliceIdentity(slice);
    return identity !== undefined && this.#set(identity.service, identity.name, undefined);
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

  /** Keeps no empty maps: those of orphaned slices would add up over the life of a cluster. */
  #set(service: string, name: string, record: SliceRecord | undefined): boolean {
    const before = this.#services.get(service);
    if (isDeepStrictEqual(before?.get(name), record)) return false;
    const after = new Map(before);
    if (record === undefined) after.delete(name);
    else after.set(name, record);
    this.#services.put(service, after.size === 0 ? undefined : after);
    return true;
  }
}
