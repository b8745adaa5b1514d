import { readFile, stat } from 'node:fs/promises';
import { IoError, toError } from '../../util/errors.ts';

const OPEN_TO_OTHERS = 0o077;
const MOST_CHARACTERS = 4_096;

/** The first line of a file. Throws IoError, also where others may read it. */
export async function readPassword(path: string): Promise<string> {
  try {
    const { mode } = await stat(path);
    if ((mode & OPEN_TO_OTHERS) !== 0) {
      const shown = (mode & 0o777).toString(8);
      throw new IoError(`${path} has mode ${shown}, which lets others read it: chmod 600 ${path}`);
    }
    const [line = ''] = (await readFile(path, 'utf8')).split(/\r?\n/, 1);
    if (line !== '' && line.length <= MOST_CHARACTERS) return line;
  } catch (thrown) {
    if (thrown instanceof IoError) throw thrown;
    throw new IoError(`read ${path}: ${toError(thrown).message}`, { cause: thrown });
  }
  throw new IoError(`read ${path}: its first line is empty or too long`);
}
