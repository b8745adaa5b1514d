import type { Clock } from '../../util/clock.ts';
import { toError } from '../../util/errors.ts';
import type { Logger } from '../../util/log.ts';
import { Turn } from '../../util/turns.ts';
import type { Resource, ResourceKind } from '../resources.ts';
import { isSameValue } from '../same.ts';
import type { ObjectHandlers, ObjectSource, Subscription } from '../source.ts';
import { HandlerError, ObjectStore } from '../store.ts';
import type { KubernetesObject } from '../types.ts';
import type { ObjectChange } from './claims.ts';
import { DirectoryWatch } from './directory-watch.ts';
import { type FileStamp, readDirectory } from './manifest-directory.ts';
import { type Decoder, kindId } from './manifest-file.ts';
import { type ManifestProblem, ManifestSet, type PassedOverKind } from './manifest-set.ts';

export interface ManifestTimings {
  /** A scan happens at least this often; change notifications only make it sooner. */
  readonly rescanMs: number;
  /** Notifications within this time become one scan. */
  readonly debounceMs: number;
  /** A file being written in place is read when it rested this long. */
  readonly settleMs: number;
}

const MANIFEST_TIMINGS: ManifestTimings = { rescanMs: 1000, debounceMs: 50, settleMs: 100 };

export interface ManifestSourceOptions {
  readonly directory: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly timings?: Partial<ManifestTimings>;
}

/** Files may name any number of kinds. */
const MOST_LOGGED = 100;

/** `unsettled`: some file is still being written. */
type ScanOutcome = 'changed' | 'unchanged' | 'unsettled';

interface AnySubscription {
  readonly kindId: string;
  readonly decoders: ReadonlyMap<string, Decoder>;
  isSynced: boolean;
  /** Takes over all objects of the kind. */
  replace(objects: ReadonlyMap<string, KubernetesObject>): Promise<void>;
  delete(key: string): void;
  /** Takes over one object of the kind; deletes it if it is not selected. */
  set(key: string, object: KubernetesObject): void;
}

/**
 * Objects from the YAML and JSON files of a directory: a node or a test rig without an API server.
 * Each scan takes effect as a whole. A directory that cannot be read changes nothing, so an
 * unmounted volume does not tear down Services.
 */
export class ManifestSource implements ObjectSource {
  readonly #options: ManifestSourceOptions;
  readonly #timings: ManifestTimings;
  readonly #watch: DirectoryWatch;
  readonly #set = new ManifestSet();
  #subscriptions: readonly AnySubscription[] = [];
  readonly #logged = new Set<string>();
  #passedOver: readonly PassedOverKind[] = [];
  #fileProblems: readonly ManifestProblem[] = [];
  #problems: readonly ManifestProblem[] = [];
  /** Kinds were added: files already read may hold objects of them. */
  #isRereadNeeded = false;

  constructor(options: ManifestSourceOptions) {
    this.#options = options;
    this.#timings = { ...MANIFEST_TIMINGS, ...options.timings };
    this.#watch = new DirectoryWatch({ ...options, debounceMs: this.#timings.debounceMs });
  }

  /** What is wrong with the files as of the last scan. */
  get problems(): readonly ManifestProblem[] {
    return this.#problems;
  }

  /** What the files hold that has no effect, as of the last scan. */
  get passedOver(): readonly PassedOverKind[] {
    return this.#passedOver;
  }

  /** Names of all objects of a kind that somebody watches, selected or not. */
  async names(resource: ResourceKind): Promise<readonly string[]> {
    return [...(await this.#set.objectsOf(kindId(resource))).keys()];
  }

  watch<T extends KubernetesObject>(
    resource: Resource<T>,
    handlers: ObjectHandlers<T>,
  ): Subscription<T> {
    const store = new ObjectStore(handlers, isSameValue);
    const { promise: synced, resolve } = Promise.withResolvers<void>();
    const subscription: AnySubscription = {
      kindId: kindId(resource),
      decoders: decodersOf(resource),
      isSynced: false,
      replace: async (objects) => {
        // All objects of a kind id were made by a decoder of that kind.
        const ofKind = objects as ReadonlyMap<string, T>;
        const selected = [...ofKind].filter(([, object]) => resource.isSelected(object));
        await store.replace(new Map(selected));
        subscription.isSynced = true;
        resolve();
      },
      delete: (key) => store.delete(key),
      set: (key, object) => {
        // As above.
        const ofKind = object as T;
        if (resource.isSelected(ofKind)) store.set(ofKind);
        else store.delete(key);
      },
    };
    this.#subscriptions = [...this.#subscriptions, subscription];
    if (resource.standIn !== undefined) this.#set.addStandIn(subscription.kindId, resource.standIn);
    this.#isRereadNeeded = true;
    this.#watch.wake();
    return {
      ...{ synced, confirmed: synced, objects: () => store.values() },
      close: () => {
        this.#subscriptions = this.#subscriptions.filter((each) => each !== subscription);
      },
    };
  }

  start(signal: AbortSignal): void {
    // A rejection is a bug in a handler and must end the process, so it is left unhandled.
    void this.#run(signal);
  }

  hasSynced(): boolean {
    return this.#subscriptions.every(({ isSynced }) => isSynced);
  }

  async #run(signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    while (!signal.aborted) {
      this.#watch.begin();
      const startedAt = clock.elapsed();
      const outcome = await this.#scanAndReport();
      // A directory whose mere inspection is slow is inspected less often.
      const costMs = outcome === 'unchanged' ? clock.elapsed() - startedAt : 0;
      const delayMs =
        outcome === 'unsettled'
          ? this.#timings.debounceMs
          : Math.max(this.#timings.rescanMs, 10 * costMs);
      if (!signal.aborted) await this.#watch.rest(delayMs, signal);
    }
    this.#watch.close();
  }

  async #scanAndReport(): Promise<ScanOutcome> {
    try {
      await this.#watch.follow();
      return await this.#scan();
    } catch (thrown) {
      if (thrown instanceof HandlerError) throw thrown;
      const { directory } = this.#options;
      this.#report([{ file: directory, key: '', reason: toError(thrown).message }]);
      return 'unchanged';
    }
  }

  async #scan(): Promise<ScanOutcome> {
    const isReread = this.#isRereadNeeded;
    this.#isRereadNeeded = false;
    const subscriptions = this.#subscriptions;
    let isSettled = true;
    const reading = await readDirectory(this.#options.directory, (name, stamp) => {
      const old = this.#set.stamp(name);
      if (old?.signature === stamp.signature) return isReread;
      if (!this.#isBeingWritten(old, stamp)) return true;
      isSettled = false;
      return false;
    });
    const wanted = new Map(subscriptions.flatMap(({ decoders }) => [...decoders]));
    const changes = await this.#set.update({
      stamps: reading.stamps,
      read: reading.files,
      wanted,
      isReusing: !isReread,
    });
    const isChanged = reading.files.size > 0 || changes.length > 0;
    if (isChanged) {
      this.#fileProblems = this.#set.problems();
      this.#notePassedOver();
    }
    this.#report(this.#fileProblems);
    await this.#apply(subscriptions, changes);
    if (!isSettled) return 'unsettled';
    return isChanged ? 'changed' : 'unchanged';
  }

  /** Deletions come first, as in ObjectStore.replace; few changes are told without a pause. */
  async #apply(
    subscriptions: readonly AnySubscription[],
    changes: readonly ObjectChange[],
  ): Promise<void> {
    const synced = subscriptions.filter(({ isSynced }) => isSynced);
    const isDeletion = ({ object }: ObjectChange) => object === undefined;
    const turn = new Turn();
    for (const change of [...changes].sort((a, b) => +isDeletion(b) - +isDeletion(a))) {
      for (const subscription of synced) {
        if (subscription.kindId !== change.kindId) continue;
        if (change.object === undefined) subscription.delete(change.key);
        else subscription.set(change.key, change.object);
      }
      if (turn.isOver) await turn.next();
    }
    for (const subscription of subscriptions) {
      if (subscription.isSynced) continue;
      await subscription.replace(await this.#set.objectsOf(subscription.kindId));
    }
  }

  /** A renamed file is whole; one that grows in place, or is new, may not be yet. */
  #isBeingWritten(old: FileStamp | undefined, stamp: FileStamp): boolean {
    const isFirstScan = this.#subscriptions.every(({ isSynced }) => !isSynced);
    const isReplaced = old !== undefined && old.inode !== stamp.inode;
    if (isFirstScan || isReplaced) return false;
    const ageMs = this.#options.clock.now() - stamp.modifiedAtMs;
    return ageMs >= 0 && ageMs < this.#timings.settleMs;
  }

  /** Logs each problem once; it counts as new when it was gone in between. */
  #report(problems: readonly ManifestProblem[]): void {
    const known = new Set(this.#problems.map((problem) => JSON.stringify(problem)));
    for (const problem of problems) {
      if (known.has(JSON.stringify(problem))) continue;
      this.#options.log.error({ ...problem }, 'manifest problem');
    }
    this.#problems = problems;
  }

  /** One line per kind and reason, however many objects and files there are. */
  #notePassedOver(): void {
    this.#passedOver = this.#set.passedOver();
    for (const { kind, reason, count, keys } of this.#passedOver) {
      if (this.#logged.has(`${kind} ${reason}`) || this.#logged.size === MOST_LOGGED) continue;
      this.#logged.add(`${kind} ${reason}`);
      this.#options.log.warn({ kind, reason, count, keys }, 'manifest objects passed over');
    }
  }
}

/** By the kind that a file says: the resource's own, older versions of it, and what stands for it. */
function decodersOf<T extends KubernetesObject>(resource: Resource<T>): Map<string, Decoder> {
  const id = kindId(resource);
  const { decode, whyUnused, olderVersions = [], standIn } = resource;
  const decoders = new Map<string, Decoder>([[id, { decode, whyUnused }]]);
  for (const version of olderVersions) {
    decoders.set(kindId({ ...resource, version }), { kindId: id, decode, whyUnused });
  }
  if (standIn !== undefined) decoders.set(`${standIn.apiVersion} ${standIn.kind}`, standIn);
  return decoders;
}
