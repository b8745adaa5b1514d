import { readFile } from 'node:fs/promises';
import type { Clock } from '../../util/clock.ts';
import { fileFailure } from '../../util/errno.ts';
import { IoError } from '../../util/errors.ts';

/** Kubelet rotates service account tokens well before they expire; a minute is client-go's period. */
export const FILE_MAX_AGE_MS = 60_000;

/** A credential that is read anew when it may have changed. */
export interface TextSource {
  /** Where it is; absent for a text that is in no file of its own. */
  readonly path?: string;
  read(): Promise<string>;
  /** What was read before is known to be outdated. */
  invalidate(): void;
}

/** A text that never changes. */
export function fixedText(text: string): TextSource {
  return { read: async () => text, invalidate: () => {} };
}

export interface CachedFileOptions {
  readonly clock: Clock;
  readonly maxAgeMs: number;
  readonly initialText?: string | undefined;
}

/** A small file that others rotate: read again when the copy is older than `maxAgeMs`. */
export class CachedFile implements TextSource {
  readonly path: string;
  readonly #clock: Clock;
  readonly #maxAgeMs: number;
  #text: string | undefined;
  #readAt = Number.NEGATIVE_INFINITY;

  /** `initialText` stands in while the file has never been readable. */
  constructor(path: string, options: CachedFileOptions) {
    this.path = path;
    this.#clock = options.clock;
    this.#maxAgeMs = options.maxAgeMs;
    this.#text = options.initialText;
  }

  /**
   * The file's text without surrounding white space. A file that becomes unreadable or empty after a
   * good read keeps its last text, because rotation by other tools is not always atomic. Throws
   * IoError when there never was a good read.
   */
  async read(): Promise<string> {
    const age = this.#clock.elapsed() - this.#readAt;
    if (this.#text !== undefined && age < this.#maxAgeMs) return this.#text;
    try {
      const text = (await readFile(this.path, 'utf8')).trim();
      if (text === '') throw new IoError(`read ${this.path}: file is empty`);
      this.#text = text;
      this.#readAt = this.#clock.elapsed();
    } catch (thrown) {
      if (this.#text === undefined) {
        throw new IoError(`read ${this.path}: ${fileFailure(thrown)}`, { cause: thrown });
      }
    }
    return this.#text;
  }

  invalidate(): void {
    this.#readAt = Number.NEGATIVE_INFINITY;
  }
}
