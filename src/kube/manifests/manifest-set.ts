import { toError } from '../../util/errors.ts';
import { objectKey, type StandInKind } from '../resources.ts';
import type { KubernetesObject } from '../types.ts';
import { ManifestClaims, type ObjectChange } from './claims.ts';
import type { FileStamp, FileStamps, ReadFile } from './manifest-directory.ts';
import {
  ManifestError,
  type ParsedManifest,
  type PassedOver,
  parseManifest,
  type WantedKinds,
} from './manifest-file.ts';
import { StandIns } from './stand-ins.ts';

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

/** Objects of one kind that have no effect for one reason. */
export interface PassedOverKind {
  readonly kind: string;
  readonly reason: string;
  readonly count: number;
  /** Some of them. */
  readonly keys: readonly string[];
}

const MOST_NAMED = 5;

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
  readonly #standIns: StandIns<KubernetesObject>[] = [];

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
    const changes = await this.#claims.takeChanges();
    return [...changes, ...this.#standIns.flatMap((standIns) => standIns.follow(changes))];
  }

  /** Another kind may stand for objects of this one from now on. */
  addStandIn<T extends KubernetesObject>(kindId: string, kind: StandInKind<T>): void {
    // It is asked about objects of its own kind alone, by their id.
    this.#standIns.push(new StandIns(kindId, kind) as unknown as StandIns<KubernetesObject>);
  }

  /** All objects of a kind by `namespace/name`, as of the last update. */
  async objectsOf(kindId: string): Promise<ReadonlyMap<string, KubernetesObject>> {
    const objects = await this.#claims.objectsOf(kindId);
    for (const standIns of this.#standIns) {
      if (standIns.kindId !== kindId) continue;
      for (const object of standIns.objects()) objects.set(objectKey(object), object);
    }
    return objects;
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

  /** What has no effect, by kind and reason. */
  passedOver(): readonly PassedOverKind[] {
    const found = new Map<
      string,
      { kind: string; reason: string; count: number; keys: string[] }
    >();
    const add = ({ kind, reason, key }: PassedOver) => {
      const id = `${kind} ${reason}`;
      const all = found.get(id) ?? { kind, reason, count: 0, keys: [] };
      all.count++;
      if (all.keys.length < MOST_NAMED) all.keys.push(key);
      found.set(id, all);
    };
    for (const { parsed } of this.#files.values()) {
      for (const { passedOver } of parsed.values()) for (const each of passedOver) add(each);
    }
    for (const standIns of this.#standIns) for (const each of standIns.passedOver()) add(each);
    return [...found.values()];
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
