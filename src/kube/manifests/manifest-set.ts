import { toError } from '../../util/errors.ts';
import type { KubernetesObject } from '../types.ts';
import type { FileStamp, FileStamps, ReadFile } from './manifest-directory.ts';
import {
  ManifestError,
  type ManifestObject,
  parseManifest,
  type WantedKinds,
} from './manifest-file.ts';

/** Something the operator must repair. */
export interface ManifestProblem {
  readonly file: string;
  /** Counted from 1; undefined when no place in the file is to blame. */
  readonly line?: number | undefined;
  readonly column?: number | undefined;
  /** `spec.ports[0].port`; empty when none is to blame. */
  readonly key: string;
  readonly reason: string;
}

/** Objects of one kind by `namespace/name`. */
export type ObjectsByKey = ReadonlyMap<string, KubernetesObject>;

interface FileState {
  readonly stamp: FileStamp;
  /** Of the last version that could be read. */
  readonly objects: readonly ManifestObject[];
  readonly ignoredKinds: ReadonlySet<string>;
  readonly problem: ManifestProblem | undefined;
}

/** What all manifest files together say. A broken file counts as it was when it last was whole. */
export class ManifestSet {
  #files: Map<string, FileState> = new Map();

  /** The version last seen of a file, whole or broken. */
  stamp(file: string): FileStamp | undefined {
    return this.#files.get(file)?.stamp;
  }

  /** Takes over files that were read and forgets those no longer in `stamps`; true if there were any. `pause` as for parseManifest. */
  async update(
    stamps: FileStamps,
    read: ReadonlyMap<string, ReadFile>,
    wanted: WantedKinds,
    pause: () => Promise<void>,
  ): Promise<boolean> {
    const before = this.#files;
    const files = new Map<string, FileState>();
    for (const name of stamps.keys()) {
      const old = this.#files.get(name);
      const file = read.get(name);
      const state =
        file === undefined ? old : await readState({ name, ...file }, old, wanted, pause);
      if (state !== undefined) files.set(name, state);
    }
    this.#files = files;
    return read.size > 0 || [...before.keys()].some((name) => !files.has(name));
  }

  /**
   * The objects per kind id. Of an object that several files hold, or one file twice, the first in
   * the order of file names counts; the others are problems.
   */
  merge(): {
    readonly kinds: ReadonlyMap<string, ObjectsByKey>;
    readonly problems: readonly ManifestProblem[];
  } {
    const kinds = new Map<string, Map<string, KubernetesObject>>();
    const owners = new Map<string, string>();
    const problems: ManifestProblem[] = [];
    for (const [file, { objects, problem }] of this.#files) {
      if (problem !== undefined) problems.push(problem);
      for (const { kindId, key, object } of objects) {
        const id = `${kindId} ${key}`;
        const owner = owners.get(id);
        if (owner !== undefined) {
          problems.push({ file, key: '', reason: `${id} is already in ${owner}, ignored here` });
          continue;
        }
        owners.set(id, file);
        const ofKind = kinds.get(kindId) ?? new Map<string, KubernetesObject>();
        kinds.set(kindId, ofKind.set(key, object));
      }
    }
    return { kinds, problems };
  }

  ignoredKinds(): ReadonlySet<string> {
    return new Set([...this.#files.values()].flatMap(({ ignoredKinds }) => [...ignoredKinds]));
  }
}

async function readState(
  { name, stamp, text }: ReadFile & { readonly name: string },
  old: FileState | undefined,
  wanted: WantedKinds,
  pause: () => Promise<void>,
): Promise<FileState> {
  try {
    if (text instanceof Error) throw text;
    const { objects, ignoredKinds } = await parseManifest(text, wanted, pause);
    return { stamp, objects, ignoredKinds, problem: undefined };
  } catch (thrown) {
    const { objects = [], ignoredKinds = new Set<string>() } = old ?? {};
    return { stamp, objects, ignoredKinds, problem: problemOf(name, thrown) };
  }
}

function problemOf(file: string, thrown: unknown): ManifestProblem {
  if (!(thrown instanceof ManifestError)) {
    return { file, key: '', reason: toError(thrown).message };
  }
  const { line, column, key, message: reason } = thrown;
  return { file, line, column, key, reason };
}
