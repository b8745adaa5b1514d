import { type BigIntStats, readdirSync, statSync, unlinkSync, utimesSync } from 'node:fs';
import { join } from 'node:path';
import { type IP, tryParseIP } from '../net/ip.ts';
import { errorCode } from '../util/errors.ts';
import { readIfReadable } from '../util/files.ts';
import { parseReservation, type Reservation } from './reservations.ts';

/** First characters of a file being written; no address begins with them. */
export const UNFINISHED_PREFIX = '.weft-';

type Known = Map<IP, Reservation | undefined>;

/**
 * What the address files of a directory say, remembered while nobody else changes the directory.
 * Both methods need the directory's lock to be held.
 */
export class DirectoryIndex {
  readonly #directory: string;
  readonly #isKept: boolean;
  #known: Known | undefined;
  #stamp: string | undefined;

  constructor(directory: string, isKept: boolean) {
    this.#directory = directory;
    this.#isKept = isKept;
  }

  /**
   * Taken addresses with what their files say; undefined for one that cannot be read as a
   * reservation. Reads every file unless the remembered content still holds. Leftovers of crashes
   * (empty address files, files being written) are removed: under the lock nobody owns them.
   */
  load(): Known {
    const known = this.#known;
    if (known !== undefined && this.#stamp === stampOf(this.#stat())) return known;
    return readDirectory(this.#directory);
  }

  /**
   * Remembers `known`. A changed directory gets a modification time of our own making, because the
   * kernel's has the grain of its tick: another writer in the same tick would leave it as it is.
   */
  keep(known: Known, hasChanged: boolean): void {
    this.#known = undefined;
    if (!this.#isKept) return;
    const before = this.#stat();
    if (!hasChanged && this.#stamp === stampOf(before)) {
      this.#known = known;
      return;
    }
    const marked = this.#markTime(before);
    if (marked === undefined || marked.mtimeNs === before.mtimeNs) return;
    this.#known = known;
    this.#stamp = stampOf(marked);
  }

  #markTime(before: BigIntStats): BigIntStats | undefined {
    // Microseconds, because a double holds the seconds of this century to a quarter of one.
    const seconds = Number(before.mtimeNs / 1000n + 3n) / 1e6;
    try {
      utimesSync(this.#directory, Number(before.atimeNs / 1000n) / 1e6, seconds);
    } catch (error) {
      if (errorCode(error) === 'EPERM' || errorCode(error) === 'EROFS') return undefined;
      throw error;
    }
    return this.#stat();
  }

  #stat(): BigIntStats {
    return statSync(this.#directory, { bigint: true });
  }
}

function stampOf(stats: BigIntStats): string {
  return `${stats.dev}:${stats.ino}:${stats.mtimeNs}`;
}

function readDirectory(directory: string): Known {
  const known: Known = new Map();
  for (const name of readdirSync(directory)) {
    if (name.startsWith(UNFINISHED_PREFIX)) unlinkSync(join(directory, name));
    const address = tryParseIP(name);
    // Other spellings of an address are foreign files: no reader looks for them.
    if (address === undefined || address !== name) continue;
    const path = join(directory, name);
    const text = readIfReadable(path);
    const reservation = text === undefined ? undefined : parseReservation(address, text);
    if (text !== undefined && reservation === undefined) unlinkSync(path);
    else known.set(address, reservation);
  }
  return known;
}
