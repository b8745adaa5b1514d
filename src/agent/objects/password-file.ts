import { fileFailure } from '../../util/errno.ts';
import { IoError } from '../../util/errors.ts';
import { readBeginning } from '../../util/files.ts';

const OPEN_TO_OTHERS = 0o077;
const MOST_BYTES = 4_096;

/** The first line of a file. Throws IoError, also where others may read it. */
export function readPassword(path: string): string {
  try {
    const { text, mode } = readBeginning(path, MOST_BYTES + 1);
    if ((mode & OPEN_TO_OTHERS) !== 0) {
      const shown = (mode & 0o777).toString(8);
      throw new IoError(`${path} has mode ${shown}, which lets others read it: chmod 600 ${path}`);
    }
    const [line = ''] = text.split(/\r?\n/, 1);
    if (line !== '' && Buffer.byteLength(line) <= MOST_BYTES) return line;
  } catch (thrown) {
    if (thrown instanceof IoError) throw thrown;
    throw new IoError(`read ${path}: ${fileFailure(thrown)}`, { cause: thrown });
  }
  throw new IoError(`read ${path}: its first line is empty or too long`);
}
