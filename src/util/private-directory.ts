import { mkdirSync } from 'node:fs';
import { errorCode } from './errors.ts';

/**
 * Runs a write into a directory that nearly always exists, and once more after making it (mode 0700,
 * with its parents) where it does not: no call is spent on looking.
 */
export function writingInto(directory: string, write: () => void): void {
  try {
    write();
  } catch (thrown) {
    if (errorCode(thrown) !== 'ENOENT') throw thrown;
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    write();
  }
}
