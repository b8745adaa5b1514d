import { appendFileSync, renameSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { ifThere, readIfReadable, writingInto } from '../../util/files.ts';

/** Of each of the two files; about 1,000 pods. */
const MOST_BYTES = 512 * 1024;

/** The names of the log in the run directory, the older part first. */
export const ADDRESS_LOG_FILES = ['addresses.log.1', 'addresses.log'] as const;

/** Everything that is in the log; empty where there is none. */
export function readAddressLog(runDir: string): string {
  const texts = ADDRESS_LOG_FILES.map((name) => readIfReadable(join(runDir, name)) ?? '');
  // What a crash left half-written is a line of its own then.
  return texts.map((text) => (text === '' || text.endsWith('\n') ? text : `${text}\n`)).join('');
}

/** Two files of which the older one goes when the younger one is full: the bound of the log. */
export class AddressLogFile {
  readonly #runDir: string;
  readonly #mostBytes: number;
  #bytes: number | undefined;

  constructor(runDir: string, mostBytes = MOST_BYTES) {
    this.#runDir = runDir;
    this.#mostBytes = mostBytes;
  }

  /** Adds lines; a full file begins anew with `carried`, what holds on. Throws what the file system throws. */
  append(lines: string, carried: () => string): void {
    const [older, younger] = ADDRESS_LOG_FILES.map((name) => join(this.#runDir, name));
    if (older === undefined || younger === undefined) return;
    let text = lines;
    if (this.#bytes === undefined) {
      this.#bytes = ifThere(() => statSync(younger).size) ?? 0;
      // Whatever a process before has left half-written ends here.
      if (this.#bytes > 0) text = `\n${lines}`;
    }
    if (this.#bytes >= this.#mostBytes) {
      renameSync(younger, older);
      this.#bytes = 0;
      text = carried() + lines;
    }
    writingInto(this.#runDir, () => appendFileSync(younger, text, { mode: 0o600 }));
    this.#bytes += Buffer.byteLength(text);
  }
}
