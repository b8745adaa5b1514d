import type { Header } from './wire.ts';

/**
 * Whether etcd's data are still those that were read before. A store that is restored from a copy begins
 * again at the copy's revision: with another cluster id if it was given another token, and with an election
 * term that is counted anew. One member may lag behind the others, so that only answers by agreement of the
 * members count (linearizable ones, which ranges and transactions are), and these only against what was known
 * when they were asked for.
 */
export class History {
  #last: Header | undefined;
  #epoch = 0;

  /** Counts the breaks: between equal numbers all that was read is of one history. */
  get epoch(): number {
    return this.#epoch;
  }

  /** The newest that is known; an answer to what is asked now cannot be older. */
  get last(): Header | undefined {
    return this.#last;
  }

  /** An answer that all members agree on, and what was `last` when it was asked for. */
  noteAgreed(header: Header, before: Header | undefined): void {
    if (isOlder(header, before)) {
      this.#epoch++;
      this.#last = header;
    } else this.noteSeen(header);
  }

  /** Of a running watch. */
  noteSeen(header: Header): void {
    if (this.#last === undefined || header.revision > this.#last.revision) this.#last = header;
  }
}

/** Whether this comes before what was read, or is of another cluster. */
export function isOlder(
  { clusterId, revision, raftTerm }: Header,
  before: Header | undefined,
): boolean {
  if (before === undefined) return false;
  return clusterId !== before.clusterId || revision < before.revision || raftTerm < before.raftTerm;
}
