/**
 * What changed since the last sync, in derived terms: an update of an object that alters nothing
 * the proxy reads leaves no trace, and neither does one that is taken back before the sync.
 */
import { isDeepStrictEqual } from 'node:util';
import { objectKey } from '../kube/resources.ts';
import type { EndpointSlice, Service } from '../kube/types.ts';
import type { IPFamily } from '../net/ip.ts';
import { parseSlice, type SliceRecord, sliceIdentity } from './endpoints.ts';
import { parseService, type ServiceEntry } from './service.ts';

/** The Services of one address family. */
export class ServiceTracker {
  readonly #family: IPFamily;
  readonly #current = new Map<string, ServiceEntry>();
  /** The entry at the last sync of every Service changed since. */
  readonly #previous = new Map<string, ServiceEntry | undefined>();

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
    return this.#current.get(key);
  }

  keys(): Iterable<string> {
    return this.#current.keys();
  }

  entries(): Iterable<readonly [key: string, entry: ServiceEntry]> {
    return this.#current.entries();
  }

  /** Number of Services that differ from the last sync. */
  get pending(): number {
    return this.#previous.size;
  }

  /** Their keys. */
  pendingKeys(): Iterable<string> {
    return this.#previous.keys();
  }

  /** Ends the current round of changes: the keys of the Services that differ from the last one. */
  drain(): readonly string[] {
    const keys = [...this.#previous.keys()];
    this.#previous.clear();
    return keys;
  }

  #set(key: string, entry: ServiceEntry | undefined): boolean {
    const current = this.#current.get(key);
    if (isDeepStrictEqual(current, entry)) return false;
    notePrevious(this.#previous, key, current, entry);
    if (entry === undefined) this.#current.delete(key);
    else this.#current.set(key, entry);
    return true;
  }
}

type Slices = ReadonlyMap<string, SliceRecord>;

/** The EndpointSlices of one address family, by Service. */
export class EndpointsTracker {
  readonly #family: IPFamily;
  readonly #nodeName: string;
  readonly #current = new Map<string, Map<string, SliceRecord>>();
  /** Per Service with changes, the records of the changed slices at the last sync. */
  readonly #previous = new Map<string, Map<string, SliceRecord | undefined>>();
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

  /** The slices of one Service, in the order they first appeared. */
  slices(service: string): Iterable<SliceRecord> {
    const slices: Slices | undefined = this.#current.get(service);
    return slices === undefined ? [] : slices.values();
  }

  /** Number of Services whose slices differ from the last sync. */
  get pending(): number {
    return this.#previous.size;
  }

  /** Their keys. */
  pendingKeys(): Iterable<string> {
    return this.#previous.keys();
  }

  /** Number of Services that have slices, with or without the Service itself being known. */
  get size(): number {
    return this.#current.size;
  }

  /** Ends the current round of changes: the keys of the Services whose slices differ. */
  drain(): readonly string[] {
    const keys = [...this.#previous.keys()];
    this.#previous.clear();
    return keys;
  }

  #set(service: string, name: string, record: SliceRecord | undefined): boolean {
    const slices = this.#current.get(service) ?? new Map<string, SliceRecord>();
    const current = slices.get(name);
    if (isDeepStrictEqual(current, record)) return false;
    const previous = this.#previous.get(service) ?? new Map<string, SliceRecord | undefined>();
    notePrevious(previous, name, current, record);
    setOrDrop(this.#previous, service, previous);
    if (record === undefined) slices.delete(name);
    else slices.set(name, record);
    setOrDrop(this.#current, service, slices);
    return true;
  }
}

/** Remembers the value before the first change, and forgets it once the value is that again. */
function notePrevious<T>(
  previous: Map<string, T | undefined>,
  key: string,
  current: T | undefined,
  next: T | undefined,
): void {
  if (!previous.has(key)) previous.set(key, current);
  else if (isDeepStrictEqual(previous.get(key), next)) previous.delete(key);
}

/** Keeps no empty entries: orphaned ones would add up over the life of a cluster. */
function setOrDrop<T>(map: Map<string, Map<string, T>>, key: string, value: Map<string, T>): void {
  if (value.size === 0) map.delete(key);
  else map.set(key, value);
}
