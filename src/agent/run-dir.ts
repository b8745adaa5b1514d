import { closeSync, existsSync, ftruncateSync, openSync, readFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { BusyError, errorCode, IoError } from '../util/errors.ts';
import { ensurePrivateDirectory } from '../util/private-directory.ts';
import type { Flock } from '../util/wait.ts';

/** Held until the process ends or `release` is called; the kernel frees it after a crash. */
export interface RunDirLock {
  release(): void;
}

/**
 * Makes sure `path` is a directory that only `ownerUid` can use: whoever can write there could put a
 * socket in the agent's place and answer CNI requests as root. Throws IoError.
 */
export function ensureRunDir(path: string, ownerUid: number): void {
  ensurePrivateDirectory('run directory', path, ownerUid);
}

/**
 * Takes the run directory for this process: an flock on `agent.lock`, which also holds the pid
 * for people. Throws BusyError naming the holder when another agent has it.
 */
export function lockRunDir(path: string, pid: number, flock: Flock): RunDirLock {
  const file = join(path, 'agent.lock');
  const fd = openLockFile(file);
  if (!flock(fd, 'exclusive')) {
    closeSync(fd);
    throw busyError(path, file);
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

/** What `lockRunDir` would throw now, without a trace in the directory; undefined: nothing. */
export function whyLocked(path: string, flock: Flock): BusyError | undefined {
  const file = join(path, 'agent.lock');
  if (!existsSync(file)) return undefined;
  const fd = openSync(file, 'r');
  try {
    if (!flock(fd, 'exclusive')) return busyError(path, file);
    flock(fd, 'unlock');
    return undefined;
  } finally {
    closeSync(fd);
  }
}

function busyError(path: string, file: string): BusyError {
  const holder = readFileSync(file, 'utf8').trim();
  return new BusyError(
    `lock run directory ${path}: the agent with pid ${holder || 'unknown'} is using it; stop it ` +
      'or choose another with --run-dir or WEFT_RUN_DIR',
  );
}

function openLockFile(file: string): number {
  try {
    return openSync(file, 'a+', 0o600);
  } catch (cause) {
    throw new IoError(`open ${file}: ${errorCode(cause)}`, { cause });
  }
}
