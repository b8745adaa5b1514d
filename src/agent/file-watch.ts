import { createHash } from 'node:crypto';
import { type FSWatcher, readFileSync, statSync, watch } from 'node:fs';
import { basename, dirname } from 'node:path';
import type { Clock } from '../util/clock.ts';
import { toError } from '../util/errors.ts';
import { configPaths } from './config-paths.ts';

export interface FileWatchOptions {
  readonly clock: Clock;
  /** The content is another than before, or the file has come or gone. */
  readonly onChange: () => void;
  /** Notifications cannot be had; the file is still looked at from time to time. */
  readonly onFailure: (error: Error) => void;
}

/** A writer has finished when nothing has happened for so long. */
const QUIET_MS = 300;
/** A writer that does not finish is looked at all the same. */
const MOST_WAITING_MS = 3_000;
/** Finds what no notification tells: a change behind a link that leads out of the directory. */
const POLL_MS = 15_000;

/**
 * Tells when the content of a file changes, or of the configuration files of a directory. The
 * directory is watched, not the file: editors and ConfigMap volumes put a new file, or a new target
 * of a link, in the place of the old one.
 */
export function watchFile(path: string, options: FileWatchOptions): { close(): void } {
  const { clock, onChange, onFailure } = options;
  const isDirectory = statSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
  let known = checksum(path);
  let cancel = () => {};
  let waitingSince: number | undefined;
  const look = () => {
    waitingSince = undefined;
    cancel = clock.schedule(POLL_MS, look);
    const found = checksum(path);
    if (found === known) return;
    known = found;
    onChange();
  };
  const lookSoon = (name: string | null) => {
    // `..data` is the link that a ConfigMap volume changes.
    const isOther = !isDirectory && name !== null && name !== basename(path);
    if (isOther && !name.startsWith('..')) return;
    const now = clock.elapsed();
    waitingSince ??= now;
    if (now - waitingSince > MOST_WAITING_MS) return;
    cancel();
    cancel = clock.schedule(QUIET_MS, look);
  };
  const watcher = watchDirectory(isDirectory ? path : dirname(path), lookSoon, onFailure);
  cancel = clock.schedule(POLL_MS, look);
  return {
    close: () => {
      cancel();
      watcher?.close();
    },
  };
}

function watchDirectory(
  directory: string,
  onEvent: (name: string | null) => void,
  onFailure: (error: Error) => void,
): FSWatcher | undefined {
  try {
    const watcher = watch(directory, { persistent: false }, (_type, name) => onEvent(name));
    watcher.on('error', onFailure);
    return watcher;
  } catch (thrown) {
    onFailure(toError(thrown));
    return undefined;
  }
}

/** '' when a file cannot be read. */
function checksum(path: string): string {
  try {
    const hash = createHash('sha256');
    for (const file of configPaths(path)) hash.update(`${file}\0`).update(readFileSync(file));
    return hash.digest('hex');
  } catch {
    return '';
  }
}
