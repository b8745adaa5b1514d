import {
  chmodSync,
  closeSync,
  constants,
  fchmodSync,
  fstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  statSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { BusyError } from '../util/errors.ts';
import { ifThere } from '../util/files.ts';
import { type FlockOptions, takeFlock } from '../util/wait.ts';

/**
 * Runs `job` while holding host-local's lock, flock(2) on `<directory>/lock`, which shuts out the
 * reference plugin too. With `isCreating` false, a missing directory gives undefined and no call.
 * Waits in the calling thread; throws BusyError naming the holder when the time is up.
 */
export function withDirectoryLock<T>(
  directory: string,
  options: FlockOptions & { readonly isCreating: boolean },
  job: () => T,
): T | undefined {
  const path = join(directory, 'lock');
  for (;;) {
    const fd = openLockFile(path, options.isCreating);
    if (fd === undefined) return undefined;
    // Closing the only descriptor of this open file drops the lock.
    try {
      waitForLock(fd, path, options);
      if (isStillAt(fd, path)) return job();
    } finally {
      closeSync(fd);
    }
  }
}

/** Never through a link: what it leads to would be made, with our mode. */
const NEW_LOCK_FILE = constants.O_WRONLY | constants.O_CREAT | constants.O_NOFOLLOW;

function openLockFile(path: string, isCreating: boolean): number | undefined {
  const present = ifThere(() => openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW));
  if (present !== undefined) return present;
  if (!isCreating && !isPresent(dirname(path))) return undefined;
  makeDirectory(dirname(path));
  const fd = openSync(path, NEW_LOCK_FILE, 0o750);
  fchmodSync(fd, 0o750);
  return fd;
}

/** mkdir -p whose new directories are 0755 under every umask. */
function makeDirectory(path: string): void {
  const first = mkdirSync(path, { recursive: true });
  if (first === undefined) return;
  for (let made = path; made.length >= first.length; made = dirname(made)) chmodSync(made, 0o755);
}

function isPresent(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false }) !== undefined;
}

/** False when somebody removed the directory, and with it the locked file, while we waited. */
function isStillAt(fd: number, path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.ino === fstatSync(fd).ino;
}

function waitForLock(fd: number, path: string, options: FlockOptions): void {
  if (takeFlock(fd, options)) return;
  const holder = describeHolder(fstatSync(fd).ino) ?? 'another process';
  throw new BusyError(`lock ${path}: held by ${holder} for more than ${options.timeoutMs} ms`);
}

/**
 * The holder of a flock as /proc/locks shows it (`1: FLOCK ADVISORY WRITE <pid> <dev>:<inode> …`).
 * Only the inode is compared: on overlayfs the device there is not the one stat(2) gives.
 */
function describeHolder(inode: number): string | undefined {
  try {
    const line = readFileSync('/proc/locks', 'utf8')
      .split('\n')
      .map((text) => text.trim().split(/\s+/))
      .find((fields) => fields[1] === 'FLOCK' && fields[5]?.endsWith(`:${inode}`));
    const pid = line?.[4];
    if (pid === undefined || !(Number(pid) > 0)) return undefined;
    return `pid ${pid} (${readFileSync(`/proc/${pid}/comm`, 'utf8').trim()})`;
  } catch {
    // The holder only decorates the message; /proc may be hidden or the process gone.
    return undefined;
  }
}
