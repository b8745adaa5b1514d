import { join } from 'node:path';
import type { Clock } from '../../util/clock.ts';
import { toError } from '../../util/errors.ts';
import { isMissing } from '../../util/files.ts';
import type { Logger } from '../../util/log.ts';
import type { KubernetesObject } from '../types.ts';
import { type ObjectLists, readObjects, writeObjects } from './object-file.ts';

export interface LastKnownOptions {
  readonly directory: string;
  /** Names the cluster whose objects these are; throws when that cannot be told. */
  readonly clusterIdentity: () => Promise<string>;
  readonly clock: Clock;
  readonly log: Logger;
  /** What to write; undefined while there is nothing worth it. */
  readonly snapshot: () => Snapshot | undefined;
  readonly saveEveryMs?: number;
  /** Whether a list is asked for at each start, whoever answers. */
  readonly isHeld?: (list: string) => boolean;
}

export interface Snapshot {
  /** Differs whenever the objects do. */
  readonly revision: string;
  readonly lists: ReadonlyMap<string, readonly KubernetesObject[]>;
}

const FILE_NAME = 'last-known-objects.jsonl';
const SAVE_EVERY_MS = 30_000;
/** Between two writes passes this many times what the last one took. */
const SAVE_COST_FACTOR = 50;

/** The objects of the last run, in a file: what a node can start from without an API server. */
export class LastKnownObjects {
  readonly #options: LastKnownOptions;
  readonly #path: string;
  #loaded: Promise<ObjectLists> | undefined;
  /** Lists that are asked for at each start; the others are not parsed for them. */
  #held: Promise<ObjectLists> | undefined;
  #savedRevision: string | undefined;
  #saving: Promise<void> = Promise.resolve();
  #problem: string | undefined;

  constructor(options: LastKnownOptions) {
    this.#options = options;
    this.#path = join(options.directory, FILE_NAME);
  }

  /** Why the file is not as it should be; undefined while all is well. */
  get problem(): string | undefined {
    return this.#problem;
  }

  /** Objects of one list as the last run knew them; undefined when there are none to be trusted. */
  async read(list: string): Promise<readonly unknown[] | undefined> {
    this.#loaded ??= this.#load();
    return (await this.#loaded).get(list);
  }

  /** The same for a list that is `isHeld`, for less memory and time. */
  async readHeld(list: string): Promise<readonly unknown[] | undefined> {
    this.#held ??= this.#loaded ?? this.#load(this.#options.isHeld);
    return (await this.#held).get(list);
  }

  /** Writes from time to time what changed, until the signal. */
  start(signal: AbortSignal): void {
    const { clock, saveEveryMs = SAVE_EVERY_MS } = this.#options;
    const again = async () => {
      if (signal.aborted) return;
      const startedAt = clock.elapsed();
      await this.save();
      this.#schedule(
        Math.max(saveEveryMs, SAVE_COST_FACTOR * (clock.elapsed() - startedAt)),
        again,
      );
    };
    this.#schedule(saveEveryMs, again);
  }

  /** Writes what changed since the last time; a failure is logged, never thrown. */
  save(): Promise<void> {
    this.#saving = this.#saving.then(() => this.#write());
    return this.#saving;
  }

  #schedule(delayMs: number, work: () => Promise<void>): void {
    this.#options.clock.schedule(delayMs, () => void work());
  }

  async #write(): Promise<void> {
    const { log, clusterIdentity, snapshot } = this.#options;
    const taken = snapshot();
    if (taken === undefined || taken.revision === this.#savedRevision) return;
    // What was read before is outdated, and its memory is needed elsewhere.
    this.#loaded = undefined;
    this.#held = undefined;
    try {
      await writeObjects(this.#path, await clusterIdentity(), taken.lists);
      this.#savedRevision = taken.revision;
      this.#problem = undefined;
      log.debug({ file: this.#path }, 'last known objects written');
    } catch (thrown) {
      const reason = toError(thrown).message;
      const problem = `last known objects not written: ${reason}`;
      // Once while it lasts: it is tried again every half a minute.
      if (problem !== this.#problem) {
        log.warn(
          { file: this.#path, reason },
          'cannot write last known objects: a start without API server will find older ones or none',
        );
      }
      this.#problem = problem;
    }
  }

  async #load(isWanted?: (list: string) => boolean): Promise<ObjectLists> {
    const { log, clusterIdentity } = this.#options;
    try {
      return await readObjects(this.#path, await clusterIdentity(), isWanted);
    } catch (thrown) {
      const note = 'no last known objects to start from';
      if (isMissing(thrown)) log.info({ file: this.#path }, note);
      else log.warn({ file: this.#path, err: toError(thrown) }, note);
      return new Map();
    }
  }
}
