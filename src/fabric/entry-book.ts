import type { EntryChange, Tunnels } from '../kernel/types.ts';
import { summarized } from '../util/complaints.ts';
import { inParts, type Steps } from '../util/turns.ts';
import {
  changeSteps,
  type Entries,
  type Entry,
  entryKey,
  entryText,
  isSameEntry,
} from './entries.ts';
import type { Plan } from './plan.ts';

/** As many as one datagram carries. */
const PART = 256;
/**
 * The kernel's answers to what can never be: a gateway that is a broadcast address, this node's own, or
 * on no link. What is behind it when a link is just going is told of by an event.
 */
const REFUSALS: readonly string[] = ['EINVAL', 'ENETUNREACH', 'EHOSTUNREACH'];

/** What could not be changed, in words. */
export interface Unapplied {
  /** For what another node says of itself: nothing that trying again would change. */
  readonly refused: readonly string[];
  readonly failed: readonly string[];
}

/** What of the fabric is in the kernel, as far as is known: what was read, and what was written since. */
export class EntryBook {
  #entries = new Map<string, Entry>();
  #writes = 0;
  #repairs = 0;
  #isRead = false;
  /** Number of the plan that this is, neither more nor less; undefined: of none. */
  #plan: number | undefined;

  get entries(): Entries {
    return this.#entries;
  }

  get writes(): number {
    return this.#writes;
  }

  get repairs(): number {
    return this.#repairs;
  }

  /** Takes what was read; what differs from what was known, somebody else has changed. */
  readBack(read: Entries): void {
    if (this.#isRead) this.#repairs += differences(this.#entries, read);
    this.#isRead = true;
    this.#entries = new Map(read);
    this.#plan = undefined;
  }

  /** What is to be changed for a plan; where that before it is there, only what is new is looked at. */
  changesFor({ entries, number, changedKeys }: Plan): Steps<readonly EntryChange[]> {
    const isNext = this.#plan === number - 1;
    return changeSteps(this.#entries, entries, isNext ? changedKeys : undefined);
  }

  /**
   * The plan is there, and nothing else. Where all was just read it keeps the plan's values, not others that
   * equal them.
   */
  settle({ entries, number }: Plan, isRead: boolean): void {
    if (isRead) this.#entries = new Map(entries);
    this.#plan = number;
  }

  /** The link is gone or was raised again, and what was on it with it. */
  forgetLink(link: number): void {
    this.#plan = undefined;
    for (const [key, { entry }] of this.#entries) {
      if (entry.link === link) this.#entries.delete(key);
    }
  }

  /** Makes the changes in their order, others having their turn; on `tunnel` nothing is a Node's word. */
  async apply(
    kernel: Pick<Tunnels, 'applyEntries'>,
    changes: readonly EntryChange[],
    tunnel: number | undefined,
  ): Promise<Unapplied> {
    const refused: string[] = [];
    const failed: string[] = [];
    for await (const part of inParts(changes, PART)) {
      const outcomes = kernel.applyEntries(part);
      for (const [i, change] of part.entries()) {
        const error = outcomes[i];
        if (error === undefined) this.#note(change);
        else {
          const isRefused =
            change.action === 'put' &&
            change.entry.link !== tunnel &&
            REFUSALS.includes(error.code);
          const text = `${change.action} ${entryText(change)}: ${error.message}`;
          (isRefused ? refused : failed).push(text);
        }
      }
    }
    return { refused: summarized(refused), failed: summarized(failed) };
  }

  #note(change: EntryChange): void {
    this.#writes += 1;
    const { action, ...entry } = change;
    if (action === 'put') this.#entries.set(entryKey(entry), entry);
    else this.#entries.delete(entryKey(entry));
  }
}

function differences(known: Entries, read: Entries): number {
  let count = 0;
  for (const [key, entry] of read) {
    const before = known.get(key);
    if (before === undefined || !isSameEntry(before, entry)) count += 1;
  }
  for (const key of known.keys()) if (!read.has(key)) count += 1;
  return count;
}
