import { appendFileSync } from 'node:fs';
import { join } from 'node:path';
import { type IP, tryParseIP } from '../net/ip.ts';
import { errorCode } from '../util/errors.ts';
import { readIfThere, replaceFile, writingInto } from '../util/files.ts';
import { sha256 } from '../util/sha256.ts';

/** Addresses that were given back a moment ago and should rest, so that peers forget their owner. */
export interface Quarantine {
  /**
   * Resting addresses of a store with the time they were given back, ms since the epoch; none when
   * that cannot be read.
   */
  resting(storeDirectory: string): ReadonlyMap<IP, number>;
  /** Notes that addresses were given back now. Never fails: resting is a courtesy. */
  note(storeDirectory: string, addresses: readonly IP[]): void;
}

export interface QuarantineOptions {
  /** Own files, one per store: the stores themselves hold nothing the reference does not know. */
  readonly directory: string;
  readonly periodMs: number;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

/** Files are written anew without what has rested when they have grown to this many bytes. */
const COMPACTION_BYTES = 8192;

/**
 * Keeps the times in small files, `<address> <ms>` per line, shared by all processes. Calls for one
 * store must hold its lock.
 */
export function openQuarantine({ directory, periodMs, now }: QuarantineOptions): Quarantine {
  const fileOf = (store: string) => join(directory, sha256(store).toString('hex').slice(0, 32));
  const isResting = (releasedAt: number) => {
    // A clock that was set back must not keep an address resting for long.
    return Math.abs(now() - releasedAt) < periodMs;
  };
  const resting = (store: string): ReadonlyMap<IP, number> => {
    const text = attempt(() => readIfThere(fileOf(store))) ?? '';
    const entries = text.split('\n').flatMap((line) => {
      const entry = parseLine(line);
      return entry !== undefined && isResting(entry[1]) ? [entry] : [];
    });
    const current = new Map(entries);
    if (text.length > COMPACTION_BYTES) compact(fileOf(store), current);
    return current;
  };
  return {
    resting,
    note: (store, addresses) => {
      const lines = addresses.map((address) => formatLine(address, now())).join('');
      if (lines !== '') append(directory, fileOf(store), lines);
    },
  };
}

function parseLine(line: string): readonly [IP, number] | undefined {
  const [text = '', time = ''] = line.split(' ');
  const address = tryParseIP(text);
  const releasedAt = Number(time);
  if (address === undefined || time === '' || !Number.isSafeInteger(releasedAt)) return undefined;
  return [address, releasedAt];
}

function formatLine(address: IP, releasedAt: number): string {
  return `${address} ${releasedAt}\n`;
}

function append(directory: string, file: string, lines: string): void {
  attempt(() => writingInto(directory, () => appendFileSync(file, lines, { mode: 0o600 })));
}

function compact(file: string, current: ReadonlyMap<IP, number>): void {
  attempt(() => {
    const lines = Array.from(current, ([address, time]) => formatLine(address, time)).join('');
    replaceFile(file, lines);
  });
}

/** A file system that is full, read-only or broken costs the rest, not release or allocation. */
function attempt<T>(action: () => T): T | undefined {
  try {
    return action();
  } catch (thrown) {
    if (errorCode(thrown) === undefined) throw thrown;
    return undefined;
  }
}
