import type { PassedOverKind } from '../manifests/manifest-set.ts';

interface Note {
  readonly kind: string;
  /** `namespace/name`, or the key where it has no such form. */
  readonly name: string;
  /** Why the key has no effect; undefined where it has. */
  readonly reason: string | undefined;
}

/** Whoever may write can write any number of keys that are of no use. */
const MOST_NOTED = 10_000;
const MOST_NAMED = 5;
const MOST_KINDS = 50;

/** Which keys of one kind have no effect, and why. */
export class EntryBook {
  #notes: Map<string, Note> = new Map();
  #next: Map<string, Note> | undefined;

  /** A list begins: at its end only what it had is left. */
  begin(): void {
    this.#next = new Map();
  }

  end(): void {
    if (this.#next !== undefined) this.#notes = this.#next;
    this.#next = undefined;
  }

  note(key: string, note: Note): void {
    const notes = this.#next ?? this.#notes;
    if (note.reason === undefined) notes.delete(key);
    else if (notes.has(key) || notes.size < MOST_NOTED) notes.set(key, note);
  }

  forget(key: string): void {
    this.#notes.delete(key);
  }

  *notes(): Iterable<Note> {
    yield* this.#notes.values();
  }
}

/** By kind and reason, with some of the names. */
export function passedOverOf(books: Iterable<EntryBook>): readonly PassedOverKind[] {
  const found = new Map<string, { kind: string; reason: string; count: number; keys: string[] }>();
  for (const book of books) {
    for (const { kind, name, reason = '' } of book.notes()) {
      const id = `${kind} ${reason}`;
      const all = found.get(id) ?? { kind, reason, count: 0, keys: [] };
      all.count++;
      if (all.keys.length < MOST_NAMED) all.keys.push(name);
      if (found.size < MOST_KINDS) found.set(id, all);
    }
  }
  return [...found.values()];
}
