import { closeSync, openSync } from 'node:fs';

/**
 * One descriptor in reserve. A process that has used up its descriptors cannot even take a connection
 * in order to refuse it, so it would be woken for the same connection for ever.
 */
export class SpareDescriptor {
  #fd: number | undefined;

  constructor() {
    this.#open();
  }

  /** Runs `work` with one descriptor more than there is; not at all when even that one is gone. */
  lend(work: () => void): void {
    if (this.#fd === undefined) this.#open();
    if (this.#fd === undefined) return;
    this.close();
    try {
      work();
    } finally {
      this.#open();
    }
  }

  close(): void {
    if (this.#fd !== undefined) closeSync(this.#fd);
    this.#fd = undefined;
  }

  #open(): void {
    try {
      this.#fd = openSync('/dev/null', 'r');
    } catch {
      // Tried again when it is needed.
    }
  }
}
