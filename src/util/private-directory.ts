import { chmodSync, lstatSync, mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { fileFailure } from './errno.ts';
import { errorCode, IoError } from './errors.ts';

const PRIVATE_MODE = 0o700;
const WRITABLE_BY_OTHERS = 0o022;

/**
 * Makes sure `path` is a directory that only `ownerUid` can use, creating it (mode 0700) with its
 * parents (0755). A symbolic link, a foreign owner, or a directory that group or others may write to
 * is refused with IoError, which calls it `what`.
 */
export function ensurePrivateDirectory(what: string, path: string, ownerUid: number): void {
  createMissing(dirname(path), { recursive: true, mode: 0o755 });
  createMissing(path, { mode: PRIVATE_MODE });
  const stat = lstatSync(path);
  const mode = stat.mode & 0o7777;
  const refuse = (reason: string) => {
    throw new IoError(`use ${what} ${path}: ${reason}`);
  };
  if (stat.isSymbolicLink()) refuse('it is a symbolic link');
  if (!stat.isDirectory()) refuse('it is not a directory');
  if (stat.uid !== ownerUid) refuse(`it belongs to uid ${stat.uid}, not ${ownerUid}`);
  if ((mode & WRITABLE_BY_OTHERS) !== 0) {
    refuse(`mode ${mode.toString(8)} lets others write to it (chmod 700 ${path})`);
  }
  if (mode !== PRIVATE_MODE) chmodSync(path, PRIVATE_MODE);
}

function createMissing(path: string, options: { recursive?: boolean; mode: number }): void {
  try {
    mkdirSync(path, options);
  } catch (cause) {
    // Whatever is there already is looked at afterwards; as a parent it has to be a directory.
    if (errorCode(cause) === 'EEXIST' && options.recursive !== true) return;
    throw new IoError(`create directory ${path}: ${fileFailure(cause)}`, { cause });
  }
}
