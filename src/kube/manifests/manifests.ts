import { type FSWatcher, watch } from 'node:fs';
import { stat } from 'node:fs/promises';
import { setImmediate } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import type { Clock } from '../../util/clock.ts';
import { errorCode, toError } from '../../util/errors.ts';
import type { Logger } from '../../util/log.ts';
import type { Resource } from '../resources.ts';
import type { ObjectHandlers, ObjectSource, Subscription } from '../source.ts';
import { HandlerError, ObjectStore } from '../store.ts';
import type { KubernetesObject } from '../types.ts';
import { type FileStamp, readDirectory } from './manifest-directory.ts';
import { type Decoder, kindId } from './manifest-file.ts';
import { type ManifestProblem, ManifestSet, type ObjectsByKey } from './manifest-set.ts';

export interface ManifestTimings {
  /** A scan happens at least this often; change notifications only make it sooner. */
  readonly rescanMs: number;
  /** Notifications within this time become one scan. */
  readonly debounceMs: number;
  /** A file being written in place is read when it rested this long. */
  readonly settleMs: number;
}

export const MANIFEST_TIMINGS: ManifestTimings = { rescanMs: 1000, debounceMs: 50, settleMs: 100 };

export interface ManifestSourceOptions {
  readonly directory: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly timings?: Partial<ManifestTimings>;
}

/** `unsettled`: some file is still being written. */
type ScanOutcome = 'changed' | 'unchanged' | 'unsettled';

interface AnySubscription {
  readonly kindId: string;
  readonly decoder: Decoder;
  isSynced: boolean;
  replace(objects: ObjectsByKey): void;
}

/**
 * Objects from the YAML and JSON files of a directory: a node or a test rig without an API server.
 * Each scan takes effect as a whole. A directory that cannot be read changes nothing, so an
 * unmounted volume does not tear down Services.
 */
export class ManifestSource implements ObjectSource {
  readonly #options: ManifestSourceOptions;
  readonly #timings: ManifestTimings;
  readonly #set = new ManifestSet();
  readonly #subscriptions: AnySubscription[] = [];
  readonly #loggedKinds = new Set<string>();
  #fileProblems: readonly ManifestProblem[] = [];
  #problems: readonly ManifestProblem[] = [];
  /** Kinds were added: files already read may hold objects of them. */
  #isRereadNeeded = false;
  #watcher: { readonly inode: bigint; readonly handle: FSWatcher } | undefined;
  /** Something changed since the last scan began. */
  #isWoken = false;
  #onWake: () => void = () => {};

  constructor(options: ManifestSourceOptions) {
    this.#options = options;
    this.#timings = { ...MANIFEST_TIMINGS, ...options.timings };
  }

  /** What is wrong with the files as of the last scan. */
  get problems(): readonly ManifestProblem[] {
    return this.#problems;
  }

  watch<T extends KubernetesObject>(
    resource: Resource<T>,
    handlers: ObjectHandlers<T>,
  ): Subscription {
    const store = new ObjectStore(handlers, isDeepStrictEqual);
    const { promise: synced, resolve } = Promise.withResolvers<void>();
    const subscription: AnySubscription = {
      kindId: kindId(resource),
      decoder: resource,
      isSynced: false,
      replace: (objects) => {
        // All objects of a kind id were made by a decoder of that kind.
        const ofKind = objects as ReadonlyMap<string, T>;
        store.replace(new Map([...ofKind].filter(([, object]) => resource.isSelected(object))));
        subscription.isSynced = true;
        resolve();
      },
    };
    this.#subscriptions.push(subscription);
    this.#isRereadNeeded = true;
    this.#wake();
    return { synced };
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
      this.#isWoken = false;
      const startedAt = clock.now();
      const outcome = await this.#scanAndReport();
      // A directory whose mere inspection is slow is inspected less often.
      const costMs = outcome === 'unchanged' ? clock.now() - startedAt : 0;
      const delayMs =
        outcome === 'unsettled'
          ? this.#timings.debounceMs
          : Math.max(this.#timings.rescanMs, 10 * costMs);
      if (!signal.aborted) await this.#rest(delayMs, signal);
    }
    this.#watcher?.handle.close();
    this.#watcher = undefined;
  }

  async #scanAndReport(): Promise<ScanOutcome> {
    try {
      await this.#watchDirectory();
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
    const subscriptions = [...this.#subscriptions];
    let isSettled = true;
    const reading = await readDirectory(this.#options.directory, (name, stamp) => {
      const old = this.#set.stamp(name);
      if (old?.signature === stamp.signature) return isReread;
      if (!this.#isBeingWritten(old, stamp)) return true;
      isSettled = false;
      return false;
    });
    const wanted = new Map(subscriptions.map(({ kindId: id, decoder }) => [id, decoder]));
    const isChanged = await this.#set.update(reading.stamps, reading.files, wanted, setImmediate);
    if (isChanged || !subscriptions.every(({ isSynced }) => isSynced)) this.#apply(subscriptions);
    this.#report(this.#fileProblems);
    if (!isSettled) return 'unsettled';
    return isChanged ? 'changed' : 'unchanged';
  }

  #apply(subscriptions: readonly AnySubscription[]): void {
    const { kinds, problems } = this.#set.merge();
    this.#fileProblems = problems;
    this.#logIgnoredKinds();
    for (const { kindId: id, replace } of subscriptions) replace(kinds.get(id) ?? new Map());
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

  #logIgnoredKinds(): void {
    for (const kind of this.#set.ignoredKinds()) {
      if (this.#loggedKinds.has(kind)) continue;
      this.#loggedKinds.add(kind);
      this.#options.log.debug({ kind }, 'manifest kind ignored');
    }
  }

  /** Notifications are an accelerator: without them (no inotify watches left) rescans remain. */
  async #watchDirectory(): Promise<void> {
    const { directory, log } = this.#options;
    const { ino: inode } = await stat(directory, { bigint: true });
    if (this.#watcher?.inode === inode) return;
    this.#watcher?.handle.close();
    this.#watcher = undefined;
    try {
      const handle = watch(directory, { persistent: false }, () => this.#wake());
      handle.on('error', (err) => log.debug({ err }, 'directory notifications failed'));
      this.#watcher = { inode, handle };
    } catch (thrown) {
      log.debug({ err: toError(thrown), code: errorCode(thrown) }, 'no directory notifications');
    }
  }

  #wake(): void {
    this.#isWoken = true;
    this.#onWake();
  }

  /** Until the time is up or, after the debounce time, something changed. */
  #rest(delayMs: number, signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    return new Promise((resolve) => {
      let cancelDebounce = () => {};
      const finish = () => {
        cancel();
        cancelDebounce();
        this.#onWake = () => {};
        signal.removeEventListener('abort', finish);
        resolve();
      };
      const cancel = clock.schedule(delayMs, finish);
      signal.addEventListener('abort', finish, { once: true });
      this.#onWake = () => {
        this.#onWake = () => {};
        cancelDebounce = clock.schedule(this.#timings.debounceMs, finish);
      };
      if (this.#isWoken) this.#onWake();
    });
  }
}
