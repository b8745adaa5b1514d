import {
  closeSync,
  constants,
  fchmodSync,
  fsyncSync,
  ftruncateSync,
  linkSync,
  openSync,
  readFileSync,
  unlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { errorCode } from '../util/errors.ts';

/** First characters of a file being written; no address begins with them. */
export const UNFINISHED_PREFIX = '.weft-';

const FILE_MODE = 0o600;

/**
 * Creates a file that never exists without its content: written beside, then given its name with
 * link(2), which fails like O_EXCL when the name is taken (gives false). A file left over from a
 * crash in between goes with the next load of the directory.
 */
export function createWhole(
  directory: string,
  name: string,
  text: string,
  isDurable: boolean,
): boolean {
  const unfinished = join(directory, `${UNFINISHED_PREFIX}${name}`);
  const fd = openSync(unfinished, 'w', FILE_MODE);
  try {
    try {
      // The umask differs between runtimes; the mode must not.
      fchmodSync(fd, FILE_MODE);
      writeFileSync(fd, text);
      if (isDurable) fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    linkSync(unfinished, join(directory, name));
    return true;
  } catch (error) {
    if (errorCode(error) === 'EEXIST') return false;
    throw error;
  } finally {
    unlinkSync(unfinished);
  }
}

/**
 * Replaces the content in place; a crash may leave the old end behind the new text. Truncating
 * first would make ext4 write the data out on close (its auto_da_alloc), at ten times the cost.
 */
export function overwrite(path: string, text: string): void {
  const fd = openSync(path, constants.O_WRONLY | constants.O_CREAT, FILE_MODE);
  try {
    fchmodSync(fd, FILE_MODE);
    ftruncateSync(fd, writeSync(fd, text, 0));
  } finally {
    closeSync(fd);
  }
}

/** The content, or undefined when nothing has that name or it is no regular file. */
export function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const code = errorCode(error);
    if (code === 'ENOENT' || code === 'EISDIR') return undefined;
    throw error;
  }
}

export function syncDirectory(path: string): void {
  const fd = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
