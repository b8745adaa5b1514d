import {
  chmodSync,
  closeSync,
  ftruncateSync,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  writeSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { BusyError, errorCode, IoError } from '../util/errors.ts';
import type { Flock } from '../util/wait.ts';

/** Held until the process ends or `release` is called; the kernel frees it after a crash. */
export interface RunDirLock {
  release(): void;
}

const PRIVATE_MODE = 0o700;
const WRITABLE_BY_OTHERS = 0o022;

/**
 * Makes sure `path` is a directory that only `ownerUid` can use, creating it (mode 0700) with its
 * parents (0755). Whoever can write there could put a socket in the agent's place and answer CNI
 * requests as root, so a symbolic link, a foreign owner, or a directory that group or others may
 * write to is refused with IoError.
 */
export function ensureRunDir(path: string, ownerUid: number): void {
  createMissing(dirname(path), { recursive: true, mode: 0o755 });
  createMissing(path, { mode: PRIVATE_MODE });
  const stat = lstatSync(path);
  const mode = stat.mode & 0o7777;
  if (stat.isSymbolicLink()) refuse(path, 'it is a symbolic link');
  if (!stat.isDirectory()) refuse(path, 'it is not a directory');
  if (stat.uid !== ownerUid) refuse(path, `it belongs to uid ${stat.uid}, not ${ownerUid}`);
  if ((mode & WRITABLE_BY_OTHERS) !== 0) {
    refuse(path, `mode ${mode.toString(8)} lets others write to it (chmod 700 ${path})`);
  }
  if (mode !== PRIVATE_MODE) chmodSync(path, PRIVATE_MODE);
}

/**
 * Takes the run directory for this process: an flock on `agent.lock`, which also holds the pid
 * for people. Throws BusyError naming the holder when another agent has it.
 */
export function lockRunDir(path: string, pid: number, flock: Flock): RunDirLock {
  const file = join(path, 'agent.lock');
  const fd = openLockFile(file);
  if (!flock(fd, 'exclusive')) {
    const holder = readFileSync(file, 'utf8').trim();
    closeSync(fd);
    throw new BusyError(
      `lock run directory ${path}: the agent with pid ${holder || 'unknown'} is using it; stop it ` +
        'or choose another with --run-dir or WEFT_RUN_DIR',
    );
  }
  ftruncateSync(fd);
  writeSync(fd, `${pid}\n`, 0);
  return {
    release: () => {
      flock(fd, 'unlock');
      closeSync(fd);
    },
  };
}

function createMissing(path: string, options: { recursive?: boolean; mode: number }): void {
  try {
    mkdirSync(path, options);
  } catch (cause) {
    // Whatever is there already is looked at afterwards; as a parent it has to be a directory.
    if (errorCode(cause) === 'EEXIST' && options.recursive !== true) return;
    throw new IoError(`create directory ${path}: ${errorCode(cause)}`, { cause });
  }
}

function openLockFile(file: string): number {
  try {
    return openSync(file, 'a+', 0o600);
  } catch (cause) {
    throw new IoError(`open ${file}: ${errorCode(cause)}`, { cause });
  }
}

function refuse(path: string, reason: string): never {
  throw new IoError(`use run directory ${path}: ${reason}`);
}
