import { createHash } from 'node:crypto';
import { mkdir, open } from 'node:fs/promises';
import { dirname } from 'node:path';
import { DecodeError, errorCode } from '../../util/errors.ts';
import { READ_PLAIN, replaceFileInPieces } from '../../util/files.ts';
import { Turn } from '../../util/turns.ts';
import type { KubernetesObject } from '../types.ts';

const FORMAT = 'weft objects';
const FORMAT_VERSION = 1;
const LINE_END = 10;
/** A piece that is written, or hashed, in well under a millisecond. */
const PIECE_BYTES = 256 << 10;

/** Objects by the list request that brings them. */
export type ObjectLists = ReadonlyMap<string, readonly unknown[]>;

/**
 * Replaces a file of objects as a whole: a crash at any instant leaves the old file or the new one.
 * Lines of JSON: a head with format, version and cluster; per list a line with its name and length,
 * then its objects; the SHA-256 of all bytes before. Readable by root only, as annotations may tell
 * something. The directory is made if its parent is there. Throws what the file system throws.
 */
export async function writeObjects(
  path: string,
  cluster: string,
  lists: ReadonlyMap<string, readonly KubernetesObject[]>,
): Promise<void> {
  await ensureDirectory(dirname(path));
  await replaceFileInPieces(path, async (file) => {
    const hash = createHash('sha256');
    for await (const piece of pieces(lines(cluster, lists))) {
      hash.update(piece);
      await file.writeFile(piece);
    }
    await file.writeFile(`${JSON.stringify({ sha256: hash.digest('hex') })}\n`);
  });
}

async function ensureDirectory(path: string): Promise<void> {
  try {
    await mkdir(path, { mode: 0o700 });
  } catch (thrown) {
    if (errorCode(thrown) !== 'EEXIST') throw thrown;
  }
}

function* lines(
  cluster: string,
  lists: ReadonlyMap<string, readonly KubernetesObject[]>,
): Generator<unknown> {
  yield { format: FORMAT, version: FORMAT_VERSION, cluster };
  for (const [list, objects] of lists) {
    yield { list, count: objects.length };
    yield* objects;
  }
}

async function* pieces(values: Iterable<unknown>): AsyncGenerator<Buffer> {
  let texts: string[] = [];
  let length = 0;
  const turn = new Turn();
  for (const value of values) {
    const text = `${JSON.stringify(value)}\n`;
    texts.push(text);
    length += text.length;
    if (length >= PIECE_BYTES) {
      yield Buffer.from(texts.join(''));
      [texts, length] = [[], 0];
    }
    if (turn.isOver) await turn.next();
  }
  yield Buffer.from(texts.join(''));
}

/**
 * The lists of a file that `writeObjects` wrote for this cluster. Throws DecodeError when it is
 * damaged, of another version or of another cluster, and what the file system throws. Only lists that
 * are wanted are parsed.
 */
export async function readObjects(
  path: string,
  cluster: string,
  isWanted: (list: string) => boolean = () => true,
): Promise<ObjectLists> {
  const bytes = await readPlain(path);
  const bodyEnd = bytes.lastIndexOf(LINE_END, -2) + 1;
  const { sha256 } = parseLine(bytes.subarray(bodyEnd), path);
  if (sha256 !== (await sha256Of(bytes.subarray(0, bodyEnd)))) {
    throw new DecodeError(`read ${path}: damaged, its checksum does not match`);
  }
  const reading = splitLines(bytes.subarray(0, bodyEnd));
  checkHead(parseLine(reading.next().value ?? Buffer.alloc(0), path), path, cluster);
  return readLists(reading, path, isWanted);
}

async function readPlain(path: string): Promise<Buffer> {
  const file = await open(path, READ_PLAIN);
  try {
    return await file.readFile();
  } finally {
    await file.close();
  }
}

function checkHead(head: Record<string, unknown>, path: string, cluster: string): void {
  if (head['format'] !== FORMAT || head['version'] !== FORMAT_VERSION) {
    throw new DecodeError(`read ${path}: not of format version ${FORMAT_VERSION}`);
  }
  if (head['cluster'] !== cluster) throw new DecodeError(`read ${path}: of another cluster`);
}

async function readLists(
  reading: Iterable<Buffer>,
  path: string,
  isWanted: (list: string) => boolean,
): Promise<ObjectLists> {
  const lists = new Map<string, unknown[]>();
  let current: unknown[] | undefined;
  let left = 0;
  const turn = new Turn();
  for (const line of reading) {
    if (left > 0) {
      current?.push(parseLine(line, path));
      left--;
    } else {
      const { list, count } = parseLine(line, path);
      current = isWanted(String(list)) ? [] : undefined;
      left = Number(count);
      if (current !== undefined) lists.set(String(list), current);
    }
    if (turn.isOver) await turn.next();
  }
  return lists;
}

function* splitLines(bytes: Buffer): Generator<Buffer, undefined> {
  let start = 0;
  for (let end = bytes.indexOf(LINE_END); end !== -1; end = bytes.indexOf(LINE_END, start)) {
    yield bytes.subarray(start, end);
    start = end + 1;
  }
}

function parseLine(line: Buffer, path: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(line.toString('utf8'));
    // Any object can be indexed by string.
    if (typeof value === 'object' && value !== null) return value as Record<string, unknown>;
  } catch {
    // The text is not worth quoting.
  }
  throw new DecodeError(`read ${path}: damaged, a line is not an object`);
}

async function sha256Of(bytes: Buffer): Promise<string> {
  const hash = createHash('sha256');
  const turn = new Turn();
  for (let start = 0; start < bytes.length; start += PIECE_BYTES) {
    hash.update(bytes.subarray(start, start + PIECE_BYTES));
    if (turn.isOver) await turn.next();
  }
  return hash.digest('hex');
}
