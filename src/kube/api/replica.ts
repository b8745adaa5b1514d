import type { Clock } from '../../util/clock.ts';
import { DecodeError, toError } from '../../util/errors.ts';
import type { Logger } from '../../util/log.ts';
import { Turn } from '../../util/turns.ts';
import { objectKey, type Resource } from '../resources.ts';
import { isSameValue } from '../same.ts';
import type { ObjectHandlers } from '../source.ts';
import { ObjectStore } from '../store.ts';
import type { KubernetesObject } from '../types.ts';
import { judgeRelist } from './deletion-guard.ts';
import { RewoundError } from './failure.ts';
import { compareVersions, judgeEvent } from './resource-version.ts';
import { asRecord, type WatchEvent } from './watch-event.ts';

export interface ReplicaOptions<T extends KubernetesObject> {
  readonly resource: Resource<T>;
  readonly handlers: ObjectHandlers<T>;
  readonly clock: Clock;
  readonly log: Logger;
  /** How long losses of a list stay held back that takes away more than half; 0 holds nothing. */
  readonly holdMs: number;
  readonly onUnreadable: () => void;
  /** What the last run knew, as it was decoded then; absent where nobody keeps it. */
  readonly lastKnown?: (() => Promise<readonly unknown[] | undefined>) | undefined;
}

export interface ObjectList<T> {
  /** Undefined for those that could not be read and were not known before. */
  readonly objects: readonly (T | undefined)[];
  /** Where a watch that continues this list starts. */
  readonly resourceVersion: string;
  /** Equal versions of before prove nothing. */
  readonly isOtherHistory?: boolean | undefined;
}

/** This process's copy of one resource, and every decision about what the server tells of it. */
export class Replica<T extends KubernetesObject> {
  /** Resolves once every object of the first list, or of what was restored, was told. */
  readonly synced: Promise<void>;
  /** Resolves once every object of the first list was told, or none will ever be. */
  readonly confirmed: Promise<void>;
  readonly #options: ReplicaOptions<T>;
  readonly #store: ObjectStore<T>;
  readonly #resolveSynced: () => void;
  readonly #resolveConfirmed: () => void;
  #hasSynced = false;
  #isRestored = false;
  /** Newest version the server told of; undefined before the first list. */
  #position: string | undefined;
  #withheldSince = new Map<string, number>();
  /** Resolves when no replacement of the contents is in progress. */
  #replacing: Promise<void> = Promise.resolve();

  constructor(options: ReplicaOptions<T>) {
    this.#options = options;
    this.#store = new ObjectStore(options.handlers, isSameVersion);
    ({ promise: this.synced, resolve: this.#resolveSynced } = Promise.withResolvers<void>());
    ({ promise: this.confirmed, resolve: this.#resolveConfirmed } = Promise.withResolvers<void>());
  }

  get hasSynced(): boolean {
    return this.#hasSynced;
  }

  /** The contents come from the last run's file, no list was read yet. */
  get isRestored(): boolean {
    return this.#isRestored;
  }

  get size(): number {
    return this.#store.size;
  }

  /** Equal numbers mean equal contents. */
  get changes(): number {
    return this.#store.changes;
  }

  get withheldCount(): number {
    return this.#withheldSince.size;
  }

  /** When (ms) a list must decide about what is withheld. */
  get relistAt(): number | undefined {
    if (this.#withheldSince.size === 0) return undefined;
    let first = Number.POSITIVE_INFINITY;
    for (const since of this.#withheldSince.values()) first = Math.min(first, since);
    return first + this.#options.holdMs;
  }

  objects(): readonly T[] {
    return this.#store.values();
  }

  /** Makes the contents equal to a list, but for what the deletion guard holds back. */
  applyList({ objects, resourceVersion, isOtherHistory = false }: ObjectList<T>): Promise<void> {
    return this.#exclusively(async () => {
      const next = this.#selected(objects);
      const isRewound = this.#noteList(resourceVersion) || isOtherHistory;
      this.#guard(next, await this.#held());
      // A version is proof of equal contents only within one history, read by one version of us.
      const isSame = isRewound || this.#isRestored ? isSameValue : isSameVersion;
      await this.#store.replace(next, isSame);
      this.#isRestored = false;
      this.markSynced();
    });
  }

  /** Objects of the last run, as they were decoded then; ignored after the first list. */
  restore(values: readonly unknown[]): Promise<void> {
    return this.#exclusively(async () => {
      if (this.#hasSynced) return;
      const objects: (T | undefined)[] = [];
      const turn = new Turn();
      for (const value of values) {
        objects.push(this.decode(value));
        if (turn.isOver) await turn.next();
      }
      await this.#store.replace(this.#selected(objects));
      this.#isRestored = true;
      this.#hasSynced = true;
      this.#resolveSynced();
    });
  }

  /** Nothing more is to come before `synced`: the server does not serve an optional kind. */
  markSynced(): void {
    this.#hasSynced = true;
    this.#resolveSynced();
    this.#resolveConfirmed();
  }

  /**
   * Gives the version a next watch has to start from. Throws RewoundError when the watch broke its
   * order, so that only a list helps.
   */
  applyEvent({ type, object: raw }: WatchEvent): string {
    const version = versionOf(raw);
    const position = this.#position ?? version;
    const order = compareVersions(version, position) ?? 1;
    if (type !== 'BOOKMARK') this.#change(type, raw, { version, position });
    else if (order < 0) throw new RewoundError(version, position);
    this.#position = order < 0 ? position : version;
    return this.#position;
  }

  /** An object that cannot be read is reported and stands as it was last known. */
  decode(raw: unknown): T | undefined {
    const { resource, log, onUnreadable } = this.#options;
    try {
      return resource.decode(raw, 'lenient');
    } catch (thrown) {
      onUnreadable();
      const { name, namespace } = asRecord(asRecord(raw)['metadata']);
      log.warn({ kind: resource.kind, name, namespace, err: toError(thrown) }, 'object unreadable');
      const key = keyOf(raw);
      const known = key === undefined ? undefined : this.#store.get(key);
      return resource.whenUnreadable?.(raw, toError(thrown).message, known) ?? known;
    }
  }

  #change(
    type: 'ADDED' | 'MODIFIED' | 'DELETED',
    raw: unknown,
    at: { readonly version: string; readonly position: string },
  ): void {
    // What is gone need not be readable, nor be told whole.
    const object = type === 'DELETED' ? undefined : this.decode(raw);
    const key = object === undefined ? keyOf(raw) : objectKey(object);
    if (key === undefined || (object === undefined && type !== 'DELETED')) return;
    const isWithheld = this.#withheldSince.has(key);
    const knownVersion = isWithheld ? undefined : this.#store.get(key)?.metadata.resourceVersion;
    const verdict = judgeEvent({ ...at, knownVersion });
    if (verdict === 'relist') throw new RewoundError(at.version, at.position);
    if (verdict === 'ignore') return;
    this.#withheldSince.delete(key);
    const isThere = object !== undefined && this.#options.resource.isSelected(object);
    if (isThere) this.#store.set(object);
    else this.#store.delete(key);
  }

  #selected(objects: readonly (T | undefined)[]): Map<string, T> {
    const { resource } = this.#options;
    const selected = new Map<string, T>();
    for (const object of objects) {
      if (object !== undefined && resource.isSelected(object)) {
        selected.set(objectKey(object), object);
      }
    }
    return selected;
  }

  /** True if the server went back in time, as after a restore of its data. */
  #noteList(version: string): boolean {
    const before = this.#position;
    this.#position = version;
    const order = before === undefined ? undefined : compareVersions(version, before);
    if (order === undefined || order >= 0) return false;
    const { log, resource } = this.#options;
    log.warn({ kind: resource.kind, version, before }, 'the server went back to older data');
    return true;
  }

  /** What a list may take away. */
  async #held(): Promise<ReadonlyMap<string, T>> {
    const { resource, holdMs, lastKnown } = this.#options;
    if (resource.weigh === undefined || holdMs === 0) return new Map();
    if (this.#hasSynced || !resource.isHeldFromLastRun) return new Map(this.#store.entries());
    const values = (await lastKnown?.()) ?? [];
    return this.#selected(values.map((value) => this.decode(value)));
  }

  /** Puts back into `next` what is to be withheld. */
  #guard(next: Map<string, T>, held: ReadonlyMap<string, T>): void {
    const { resource, clock, holdMs, log } = this.#options;
    if (resource.weigh === undefined || held.size === 0) return;
    const { weigh, kind, unguardedLoss, isEachGuarded } = resource;
    const weights = (entries: Iterable<[string, T]>) =>
      new Map([...entries].map(([key, object]) => [key, weigh(object)]));
    const verdict = judgeRelist({
      held: weights(held),
      listed: weights(next),
      withheldSince: this.#withheldSince,
      now: clock.elapsed(),
      holdMs,
      unguardedLoss,
      isEachGuarded,
    });
    this.#withheldSince = new Map(verdict.withheldSince);
    for (const key of verdict.withheldSince.keys()) {
      const object = held.get(key);
      if (object !== undefined) next.set(key, object);
    }
    const { heldWeight, listedWeight, withheldSince } = verdict;
    if (withheldSince.size === 0) return;
    log.warn(
      { kind, held: heldWeight, listed: listedWeight, withheld: withheldSince.size, holdMs },
      'list takes away half or more, deletions are held back until a later list confirms them ' +
        '(--allow-mass-deletion applies them at once)',
    );
  }

  /** A list that arrives while the last run's objects are told waits for its turn. */
  #exclusively(work: () => Promise<void>): Promise<void> {
    const done = this.#replacing.then(work);
    this.#replacing = done.catch(() => {});
    return done;
  }
}

function isSameVersion(a: KubernetesObject, b: KubernetesObject): boolean {
  return (
    a.metadata.resourceVersion !== undefined &&
    a.metadata.resourceVersion === b.metadata.resourceVersion
  );
}

function keyOf(raw: unknown): string | undefined {
  const { name, namespace } = asRecord(asRecord(raw)['metadata']);
  if (typeof name !== 'string') return undefined;
  return typeof namespace === 'string' && namespace !== '' ? `${namespace}/${name}` : name;
}

function versionOf(raw: unknown): string {
  const { resourceVersion } = asRecord(asRecord(raw)['metadata']);
  if (typeof resourceVersion === 'string' && resourceVersion !== '') return resourceVersion;
  throw new DecodeError('watch: event without a resource version');
}
