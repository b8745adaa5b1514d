import { type FSWatcher, watch } from 'node:fs';
import { stat } from 'node:fs/promises';
import type { Clock } from '../../util/clock.ts';
import { errorCode, toError } from '../../util/errors.ts';
import type { Logger } from '../../util/log.ts';

export interface DirectoryWatchOptions {
  readonly directory: string;
  readonly clock: Clock;
  readonly log: Logger;
  /** Notifications within this time end one rest. */
  readonly debounceMs: number;
}

/**
 * Tells when to look at a directory again. Notifications are an accelerator: without them (no inotify
 * watches left) the end of the rest remains.
 */
export class DirectoryWatch {
  readonly #options: DirectoryWatchOptions;
  #watcher: { readonly inode: bigint; readonly handle: FSWatcher } | undefined;
  /** Something changed since the last `begin`. */
  #isWoken = false;
  #onWake: () => void = () => {};

  constructor(options: DirectoryWatchOptions) {
    this.#options = options;
  }

  /** The directory is looked at from now on: what changes later ends the next rest. */
  begin(): void {
    this.#isWoken = false;
  }

  /** Follows the directory that has the name now. Throws what stat throws. */
  async follow(): Promise<void> {
    const { directory, log } = this.#options;
    const { ino: inode } = await stat(directory, { bigint: true });
    if (this.#watcher?.inode === inode) return;
    this.close();
    try {
      const handle = watch(directory, { persistent: false }, () => this.wake());
      handle.on('error', (err) => log.debug({ err }, 'directory notifications failed'));
      this.#watcher = { inode, handle };
    } catch (thrown) {
      log.debug({ err: toError(thrown), code: errorCode(thrown) }, 'no directory notifications');
    }
  }

  wake(): void {
    this.#isWoken = true;
    this.#onWake();
  }

  /** Until the time is up or, after the debounce time, something changed. */
  rest(delayMs: number, signal: AbortSignal): Promise<void> {
    const { clock, debounceMs } = this.#options;
    return new Promise((resolve) => {
      let cancelDebounce = () => {};
      const finish = () => {
        cancel();
        cancelDebounce();
        this.#onWake = () => {};
        signal.removeEventListener('abort', finish);
        resolve();
      };
      const cancel = clock.schedule(delayMs, finish);
      signal.addEventListener('abort', finish, { once: true });
      this.#onWake = () => {
        this.#onWake = () => {};
        cancelDebounce = clock.schedule(debounceMs, finish);
      };
      if (this.#isWoken) this.#onWake();
    });
  }

  close(): void {
    this.#watcher?.handle.close();
    this.#watcher = undefined;
  }
}
