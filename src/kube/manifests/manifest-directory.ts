import { lstat, readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { IoError, toError } from '../../util/errors.ts';
import { isMissing } from '../../util/files.ts';
import { MOST_FILE_BYTES } from './limits.ts';

/** Identifies one version of a file without reading it. */
export interface FileStamp {
  readonly inode: bigint;
  readonly modifiedAtMs: number;
  /** Equal stamps mean equal contents. */
  readonly signature: string;
  /** Why nothing can be known of it but its name. */
  readonly failure?: Error;
}

/** Manifest files by name; names in the order they take effect. */
export type FileStamps = ReadonlyMap<string, FileStamp>;

const EXTENSIONS = ['.yaml', '.yml', '.json'];

/**
 * The manifest files right below a directory. Hidden ones are left out: editors write theirs there,
 * and so does the kubelet in a mounted ConfigMap (`..data`). Links are followed.
 */
async function stampFiles(directory: string): Promise<FileStamps> {
  const stamps = new Map<string, FileStamp>();
  for (const name of (await readdir(directory)).sort()) {
    if (name.startsWith('.') || !EXTENSIONS.some((extension) => name.endsWith(extension))) continue;
    const stamp = await stampFile(join(directory, name));
    if (stamp !== undefined) stamps.set(name, stamp);
  }
  return stamps;
}

/** Undefined for a directory and for what vanished meanwhile. */
async function stampFile(path: string): Promise<FileStamp | undefined> {
  try {
    const found = await stat(path, { bigint: true });
    if (found.isDirectory()) return undefined;
    // Reading a FIFO or a device may never end.
    if (!found.isFile()) throw new IoError('is not a regular file');
    const { dev, ino, size, mtimeNs, ctimeNs, mtimeMs } = found;
    if (size > MOST_FILE_BYTES) throw new IoError(`is larger than ${MOST_FILE_BYTES >> 20} MiB`);
    return {
      inode: ino,
      modifiedAtMs: Number(mtimeMs),
      signature: [dev, ino, size, mtimeNs, ctimeNs].join(':'),
    };
  } catch (thrown) {
    if (isMissing(thrown)) return (await isThere(path)) ? unknown(thrown) : undefined;
    return unknown(thrown);
  }
}

/** A link that leads to itself or nowhere, say: the other files are not to suffer from it. */
function unknown(thrown: unknown): FileStamp {
  const failure = toError(thrown);
  return { inode: 0n, modifiedAtMs: 0, signature: failure.message, failure };
}

/** Whether something has the name, if only a link. */
async function isThere(path: string): Promise<boolean> {
  try {
    await lstat(path);
    return true;
  } catch {
    return false;
  }
}

export interface ReadFile {
  readonly stamp: FileStamp;
  readonly text: string | Error;
}

export interface DirectoryReading {
  readonly stamps: FileStamps;
  /** The files asked for; an Error stands for one that could not be read. */
  readonly files: ReadonlyMap<string, ReadFile>;
}

const MAX_ATTEMPTS = 3;

/**
 * Reads the files for which `isWanted` says so, all from one state of the directory: when anything
 * changes during the reading, as in the middle of a ConfigMap's link swap, it starts over. A
 * directory that never rests is taken as it is after three attempts; the next scan corrects it.
 */
export async function readDirectory(
  directory: string,
  isWanted: (name: string, stamp: FileStamp) => boolean,
): Promise<DirectoryReading> {
  let stamps = await stampFiles(directory);
  for (let attempt = 1; ; attempt++) {
    const files = await readFiles(directory, stamps, isWanted);
    const stampsAfter = await stampFiles(directory);
    if (attempt === MAX_ATTEMPTS || isSameState(stamps, stampsAfter)) return { stamps, files };
    stamps = stampsAfter;
  }
}

async function readFiles(
  directory: string,
  stamps: FileStamps,
  isWanted: (name: string, stamp: FileStamp) => boolean,
): Promise<Map<string, ReadFile>> {
  const files = new Map<string, ReadFile>();
  for (const [name, stamp] of stamps) {
    if (!isWanted(name, stamp)) continue;
    const read = () => readFile(join(directory, name), 'utf8').catch((error: Error) => error);
    const text = stamp.failure ?? (await read());
    files.set(name, { stamp, text });
  }
  return files;
}

function isSameState(a: FileStamps, b: FileStamps): boolean {
  if (a.size !== b.size) return false;
  for (const [name, { signature }] of a) if (b.get(name)?.signature !== signature) return false;
  return true;
}
