/**
 * Small files of ours. Each is written beside its place and then given its name, so that a reader,
 * or the next process after a crash, finds the old content or the new one and nothing in between.
 * The file beside it is always a new one (O_EXCL): a link that somebody planted under its name is
 * removed and never followed.
 */
import {
  closeSync,
  constants,
  fchmodSync,
  fstatSync,
  fsyncSync,
  ftruncateSync,
  linkSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readSync,
  renameSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { type FileHandle, open, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { errorCode } from './errors.ts';

export interface WriteOptions {
  /** Whatever the umask says; 0600 unless given. */
  readonly mode?: number;
  /** Survives a power cut (fsync); a killed process loses nothing without it. */
  readonly isDurable?: boolean;
  /** Where the text is until it is whole; on the same file system. `<path>.new` unless given. */
  readonly unfinished?: string;
}

const PRIVATE_FILE = 0o600;
const PRIVATE_DIRECTORY = 0o700;
const NEW_FILE = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;

/** What a file that is being written ends in. */
export const UNFINISHED_SUFFIX = '.new';

/** Flags to read with where others may write to the directory: no link, and no FIFO to hang on. */
export const READ_PLAIN = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;

/** Gives a file this content, whether it is there or not. Throws what the file system throws. */
export function replaceFile(path: string, text: string, options: WriteOptions = {}): void {
  const unfinished = options.unfinished ?? `${path}${UNFINISHED_SUFFIX}`;
  writeUnfinished(unfinished, text, options);
  renameSync(unfinished, path);
  if (options.isDurable === true) syncDirectory(dirname(path));
}

/** As `replaceFile`, always durable, for content that is written piece by piece. */
export async function replaceFileInPieces(
  path: string,
  write: (file: FileHandle) => Promise<void>,
): Promise<void> {
  const unfinished = `${path}${UNFINISHED_SUFFIX}`;
  await rm(unfinished, { force: true });
  const file = await open(unfinished, NEW_FILE, PRIVATE_FILE);
  try {
    await writeDurably(file, write);
  } catch (thrown) {
    await rm(unfinished, { force: true });
    throw thrown;
  }
  await rename(unfinished, path);
  // A rename is only as durable as its directory.
  await writeDurably(await open(dirname(path), 'r'), async () => undefined);
}

async function writeDurably(
  file: FileHandle,
  write: (file: FileHandle) => Promise<void>,
): Promise<void> {
  try {
    await write(file);
    await file.sync();
  } finally {
    await file.close();
  }
}

/**
 * Creates a file that never exists without its content. False when the name is taken: link(2)
 * fails then, as O_EXCL does. The caller syncs the directory, once for all files that it creates.
 */
export function createFile(path: string, text: string, options: WriteOptions = {}): boolean {
  const unfinished = options.unfinished ?? `${path}${UNFINISHED_SUFFIX}`;
  writeUnfinished(unfinished, text, options);
  try {
    linkSync(unfinished, path);
    return true;
  } catch (thrown) {
    if (errorCode(thrown) === 'EEXIST') return false;
    throw thrown;
  } finally {
    rmSync(unfinished);
  }
}

function writeUnfinished(path: string, text: string, options: WriteOptions): void {
  const { mode = PRIVATE_FILE, isDurable = false } = options;
  const fd = openNew(path, mode);
  try {
    // The umask differs between runtimes; the mode must not.
    fchmodSync(fd, mode);
    writeFileSync(fd, text);
    if (isDurable) fsyncSync(fd);
  } catch (thrown) {
    // On a full disk the part that was written helps nobody and takes up space.
    rmSync(path, { force: true });
    throw thrown;
  } finally {
    closeSync(fd);
  }
}

/** What is there was left by a writer that was killed. */
function openNew(path: string, mode: number): number {
  try {
    return openSync(path, NEW_FILE, mode);
  } catch (thrown) {
    if (errorCode(thrown) !== 'EEXIST') throw thrown;
    rmSync(path);
    return openSync(path, NEW_FILE, mode);
  }
}

/**
 * Replaces the content in place; a crash may leave the old end behind the new text. Truncating
 * first would make ext4 write the data out on close (its auto_da_alloc), at ten times the cost.
 */
export function overwriteFile(path: string, text: string): void {
  const fd = openOwn(path);
  try {
    fchmodSync(fd, PRIVATE_FILE);
    ftruncateSync(fd, writeSync(fd, text, 0));
  } finally {
    closeSync(fd);
  }
}

/** A link under its name is removed, as it is where a file is replaced. */
function openOwn(path: string): number {
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_NOFOLLOW;
  try {
    return openSync(path, flags, PRIVATE_FILE);
  } catch (thrown) {
    if (errorCode(thrown) !== 'ELOOP') throw thrown;
    rmSync(path);
    return openSync(path, flags, PRIVATE_FILE);
  }
}

/** What was renamed, linked or created in a directory is durable only after this. */
export function syncDirectory(path: string): void {
  const fd = openSync(path, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/**
 * Runs a write into a directory that nearly always exists, and once more after making it (mode
 * 0700, with its parents) where it does not: no call is spent on looking.
 */
export function writingInto(directory: string, write: () => void): void {
  try {
    write();
  } catch (thrown) {
    if (errorCode(thrown) !== 'ENOENT') throw thrown;
    mkdirSync(directory, { recursive: true, mode: PRIVATE_DIRECTORY });
    write();
  }
}

/** The result of `action`, undefined when what it asks for does not exist. */
export function ifThere<T>(action: () => T): T | undefined {
  try {
    return action();
  } catch (thrown) {
    if (isMissing(thrown)) return undefined;
    throw thrown;
  }
}

/** Whether an error says that there is nothing of that name. */
export function isMissing(thrown: unknown): boolean {
  const code = errorCode(thrown);
  return code === 'ENOENT' || code === 'ENOTDIR';
}

/** The content of a file, undefined when there is none of that name, or a directory. */
export function readIfThere(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (thrown) {
    if (isMissing(thrown) || errorCode(thrown) === 'EISDIR') return undefined;
    throw thrown;
  }
}

/** The content of a file, undefined when it cannot be read for whatever reason. */
export function readIfReadable(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

/**
 * So much of the beginning of a file, with its mode. What is no file throws: a FIFO would hold the thread,
 * a device has no end.
 */
export function readBeginning(
  path: string,
  mostBytes: number,
): { readonly text: string; readonly mode: number } {
  const fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const stat = fstatSync(fd);
    if (!stat.isFile()) throw new Error('it is no file');
    const buffer = Buffer.alloc(mostBytes);
    return { text: buffer.toString('utf8', 0, readSync(fd, buffer)), mode: stat.mode };
  } finally {
    closeSync(fd);
  }
}

/** The names in a directory, none when there is no such directory. */
export function namesIn(directory: string): readonly string[] {
  return ifThere(() => readdirSync(directory)) ?? [];
}
