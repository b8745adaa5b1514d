import { toError } from '../../util/errors.ts';
import type { KubernetesObject } from '../types.ts';
import { ManifestClaims, type ObjectChange } from './claims.ts';
import type { FileStamp, FileStamps, ReadFile } from './manifest-directory.ts';
import {
  ManifestError,
  type ParsedManifest,
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

interface FileState {
  readonly stamp: FileStamp;
  /** Of the last version that could be read. */
  readonly parsed: ParsedManifest;
  readonly problem: ManifestProblem | undefined;
}

export interface SetUpdate {
  readonly stamps: FileStamps;
  readonly read: ReadonlyMap<string, ReadFile>;
  readonly wanted: WantedKinds;
  /** False when other kinds are wanted than before: nothing parsed before is of use. */
  readonly isReusing: boolean;
}

/** What all manifest files together say. A broken file counts as it was when it last was whole. */
export class ManifestSet {
  readonly #files: Map<string, FileState> = new Map();
  readonly #claims = new ManifestClaims();

  /** The version last seen of a file, whole or broken. */
  stamp(file: string): FileStamp | undefined {
    return this.#files.get(file)?.stamp;
  }

  /** Takes over files that were read, forgets those no longer in `stamps`; gives what changed. */
  async update({ stamps, read, wanted, isReusing }: SetUpdate): Promise<readonly ObjectChange[]> {
    for (const name of [...this.#files.keys()]) {
      if (stamps.has(name)) continue;
      this.#files.delete(name);
      this.#claims.setFile(name, []);
    }
    for (const [name, file] of read) {
      const old = this.#files.get(name);
      const state = await readState({ name, ...file }, old, wanted, isReusing);
      this.#files.set(name, state);
      if (state.parsed === old?.parsed) continue;
      this.#claims.setFile(
        name,
        [...state.parsed.values()].flatMap(({ objects }) => objects),
      );
    }
    return this.#claims.takeChanges();
  }

  /** All objects of a kind by `namespace/name`, as of the last update. */
  objectsOf(kindId: string): Promise<ReadonlyMap<string, KubernetesObject>> {
    return this.#claims.objectsOf(kindId);
  }

  /** In the order of file names, then the objects that are there twice. */
  problems(): readonly ManifestProblem[] {
    const ofFiles = [...this.#files.keys()].sort().map((name) => this.#files.get(name)?.problem);
    const duplicates = this.#claims.duplicates().map(({ file, id, owner }) => ({
      file,
      key: '',
      reason: `${id} is already in ${owner}, ignored here`,
    }));
    return [...ofFiles.filter((problem) => problem !== undefined), ...duplicates];
  }

  ignoredKinds(): ReadonlySet<string> {
    const ignored = new Set<string>();
    for (const { parsed } of this.#files.values()) {
      for (const { ignoredKinds } of parsed.values()) {
        for (const kind of ignoredKinds) ignored.add(kind);
      }
    }
    return ignored;
  }
}

const NOTHING: ParsedManifest = new Map();

async function readState(
  { name, stamp, text }: ReadFile & { readonly name: string },
  old: FileState | undefined,
  wanted: WantedKinds,
  isReusing: boolean,
): Promise<FileState> {
  const before = old?.parsed ?? NOTHING;
  try {
    if (text instanceof Error) throw text;
    const parsed = await parseManifest(text, wanted, isReusing ? before : NOTHING);
    return { stamp, parsed, problem: undefined };
  } catch (thrown) {
    return { stamp, parsed: before, problem: problemOf(name, thrown) };
  }
}

function problemOf(file: string, thrown: unknown): ManifestProblem {
  if (!(thrown instanceof ManifestError)) {
    return { file, key: '', reason: toError(thrown).message };
  }
  const { line, column, key, message: reason } = thrown;
  return { file, line, column, key, reason };
}
