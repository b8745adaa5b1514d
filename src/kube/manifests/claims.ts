import { Turn } from '../../util/turns.ts';
import type { ManifestObject } from './manifest-file.ts';

/** One kind and key in all files. */
export interface ObjectChange {
  readonly kindId: string;
  /** `namespace/name`. */
  readonly key: string;
  /** Undefined when no file holds it any longer. */
  readonly object: ManifestObject['object'] | undefined;
}

/** An object that does not count because another file, or an earlier document, holds it too. */
export interface Duplicate {
  readonly file: string;
  readonly id: string;
  /** File of the one that counts. */
  readonly owner: string;
}

interface Claim {
  readonly file: string;
  readonly entry: ManifestObject;
}

interface Claims {
  readonly all: Claim[];
  /** The one that counted at the last `takeChanges`. */
  told: Claim | undefined;
}

/**
 * Which file's version of each object counts: the first by file name, and within a file the first in
 * the text. Costs as much as what changes, not as much as there is. One call at a time.
 */
export class ManifestClaims {
  readonly #claims = new Map<string, Claims>();
  readonly #files = new Map<string, readonly ManifestObject[]>();
  readonly #contested = new Set<string>();
  #changed = new Set<string>();

  /** Replaces what a file holds; entries are compared by identity. */
  setFile(file: string, entries: readonly ManifestObject[]): void {
    const before = new Set(this.#files.get(file));
    const after = new Set(entries);
    if (entries.length === 0) this.#files.delete(file);
    else this.#files.set(file, entries);
    for (const entry of after) if (!before.has(entry)) this.#add({ file, entry });
    for (const entry of before) if (!after.has(entry)) this.#remove(file, entry);
    // Their order within the file may be another one.
    for (const id of this.#contested) this.#changed.add(id);
  }

  /** Everything that counted at the last `takeChanges`. */
  async objectsOf(kindId: string): Promise<Map<string, ManifestObject['object']>> {
    const objects = new Map<string, ManifestObject['object']>();
    const turn = new Turn();
    for (const { told } of this.#claims.values()) {
      if (told?.entry.kindId === kindId) objects.set(told.entry.key, told.entry.object);
      if (turn.isOver) await turn.next();
    }
    return objects;
  }

  /** What counts in another way than at the last call. */
  async takeChanges(): Promise<readonly ObjectChange[]> {
    const changes: ObjectChange[] = [];
    const changed = this.#changed;
    this.#changed = new Set();
    const turn = new Turn();
    for (const id of changed) {
      const claims = this.#claims.get(id);
      if (claims === undefined) continue;
      const first = this.#inOrder(claims)[0];
      const known = claims.told ?? first;
      if (first?.entry !== claims.told?.entry && known !== undefined) {
        const { kindId, key } = known.entry;
        changes.push({ kindId, key, object: first?.entry.object });
      }
      claims.told = first;
      if (first === undefined) this.#claims.delete(id);
      if (turn.isOver) await turn.next();
    }
    return changes;
  }

  duplicates(): readonly Duplicate[] {
    return [...this.#contested].sort().flatMap((id) => {
      const [first, ...others] = this.#inOrder(
        this.#claims.get(id) ?? { all: [], told: undefined },
      );
      return others.map(({ file }) => ({ file, id, owner: first?.file ?? '' }));
    });
  }

  #add(claim: Claim): void {
    const id = idOf(claim.entry);
    const claims = this.#claims.get(id) ?? { all: [], told: undefined };
    claims.all.push(claim);
    this.#claims.set(id, claims);
    if (claims.all.length > 1) this.#contested.add(id);
    this.#changed.add(id);
  }

  #remove(file: string, entry: ManifestObject): void {
    const id = idOf(entry);
    const claims = this.#claims.get(id);
    const isMeant = (claim: Claim) => claim.file === file && claim.entry === entry;
    const index = claims?.all.findIndex(isMeant) ?? -1;
    if (claims === undefined || index === -1) return;
    claims.all.splice(index, 1);
    if (claims.all.length < 2) this.#contested.delete(id);
    this.#changed.add(id);
  }

  #inOrder({ all }: Claims): readonly Claim[] {
    if (all.length < 2) return all;
    const indexOf = ({ file, entry }: Claim) => this.#files.get(file)?.indexOf(entry) ?? 0;
    return all.toSorted((a, b) =>
      a.file === b.file ? indexOf(a) - indexOf(b) : a.file < b.file ? -1 : 1,
    );
  }
}

function idOf({ kindId, key }: ManifestObject): string {
  return `${kindId} ${key}`;
}
