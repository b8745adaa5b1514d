import { closeSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { createTar } from 'nanotar';
import { fileFailure } from '../../util/errno.ts';
import { IoError } from '../../util/errors.ts';
import { prettyJson } from '../../util/json.ts';
import type { Collected } from './piece.ts';

const compressed = promisify(gzip);

const MODE = '600';
/** An archive ends with two blocks of zeros (pax, "ustar interchange format"); the library may write fewer. */
const END = Buffer.alloc(1024);

/** An archive as tar and gzip make them: everything in one directory of that name. */
export async function bundleOf(
  directory: string,
  { files, outcomes }: Collected,
  atMs: number,
): Promise<Uint8Array> {
  const index = { name: 'index.json', text: prettyJson(outcomes) };
  const entries = [index, ...files].map(({ name, text }) => ({
    name: `${directory}/${name}`,
    data: Buffer.from(text),
  }));
  const attrs = { mode: MODE, uid: 0, gid: 0, mtime: atMs, user: 'root', group: 'root' };
  return compressed(Buffer.concat([createTar(entries, { attrs }), END]));
}

/** A new file that only its owner reads. Throws IoError, also where there is one already. */
export function writeBundle(path: string, bytes: Uint8Array): void {
  let fd: number;
  try {
    // Never through a link, never over a file that somebody else may read.
    fd = openSync(path, 'wx', 0o600);
  } catch (cause) {
    throw new IoError(`write ${path}: ${fileFailure(cause)}`, { cause });
  }
  try {
    writeFileSync(fd, bytes);
  } catch (cause) {
    rmSync(path, { force: true });
    throw new IoError(`write ${path}: ${fileFailure(cause)}`, { cause });
  } finally {
    closeSync(fd);
  }
}
