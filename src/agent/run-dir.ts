import { closeSync, existsSync, ftruncateSync, openSync, readFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { fileFailure } from '../util/errno.ts';
import { BusyError, IoError } from '../util/errors.ts';
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
  return takeLock(file, pid, flock, () => busyError(path, file));
}

/** One connectivity test at a time on a node. Throws BusyError naming the holder. */
export function lockConnectivityTest(path: string, pid: number, flock: Flock): RunDirLock {
  const file = join(path, 'connectivity-test.lock');
  return takeLock(file, pid, flock, () => {
    const holder = holderOf(file);
    return new BusyError(
      `weft connectivity-test runs on this node already, with pid ${holder}: wait for its end`,
    );
  });
}

function takeLock(file: string, pid: number, flock: Flock, busy: () => BusyError): RunDirLock {
  const fd = openLockFile(file);
  if (!flock(fd, 'exclusive')) {
    closeSync(fd);
    throw busy();
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
  return new BusyError(
    `lock run directory ${path}: the agent with pid ${holderOf(file)} is using it; stop it ` +
      'or choose another with --run-dir or WEFT_RUN_DIR',
  );
}

function holderOf(file: string): string {
  return readFileSync(file, 'utf8').trim() || 'unknown';
}

function openLockFile(file: string): number {
  try {
    return openSync(file, 'a+', 0o600);
  } catch (cause) {
    throw new IoError(`open ${file}: ${fileFailure(cause)}`, { cause });
  }
}
