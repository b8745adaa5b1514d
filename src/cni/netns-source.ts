/** Where the pod's namespace of a call comes from, and how ADD and DEL differ when it is missing. */
import type { Netns, Netnses } from '../kernel/types.ts';
import { toError } from '../util/errors.ts';
import { CNI_ERROR_CODE, CniError } from './protocol/errors.ts';

/** The pod's namespace when somebody else opened it for us: a descriptor or why there is none. */
export type PassedNetns = { readonly fd: number } | { readonly error: string };

/** The namespace of one call, opened at most once. */
export class NetnsSource {
  readonly #netnses: Netnses;
  readonly #passed: PassedNetns | undefined;
  #opened: Netns | undefined;
  #problem: unknown;

  /** A passed descriptor is taken over at once, so that it is closed whatever happens next. */
  constructor(netnses: Netnses, passed: PassedNetns | undefined, path: string) {
    this.#netnses = netnses;
    this.#passed = passed;
    if (passed === undefined || !('fd' in passed)) return;
    try {
      this.#opened = netnses.adopt(passed.fd, path);
    } catch (thrown) {
      this.#problem = thrown;
    }
  }

  /** For ADD and CHECK. Throws CNI code 8. */
  require(path: string): Netns {
    try {
      return this.#open(path);
    } catch (cause) {
      const message = `invalid CNI_NETNS: ${toError(cause).message}`;
      throw new CniError(CNI_ERROR_CODE.invalidNetns, message, undefined, { cause });
    }
  }

  /** For DEL: one that cannot be entered has nothing left to remove, which is a note, not an error. */
  tryOpen(path: string): { readonly netns: Netns | undefined; readonly note: string } {
    if (path === '') return { netns: undefined, note: '' };
    try {
      return { netns: this.#open(path), note: '' };
    } catch (thrown) {
      return { netns: undefined, note: `weft: DEL goes on without: ${toError(thrown).message}\n` };
    }
  }

  close(): void {
    this.#opened?.close();
    this.#opened = undefined;
  }

  #open(path: string): Netns {
    if (this.#problem !== undefined) throw this.#problem;
    if (this.#passed !== undefined && 'error' in this.#passed) {
      throw new Error(`failed to open netns "${path}": ${this.#passed.error}`);
    }
    this.#opened ??= this.#netnses.open(path);
    return this.#opened;
  }
}

/** Before anything is touched, unlike libcni's skel, which looks after the handler has run. */
export function refuseOwnNetns(netnses: Netnses, netns: Netns): void {
  const own = netnses.self();
  const isOwn = own.id === netns.id;
  own.close();
  if (!isOwn) return;
  throw new CniError(
    CNI_ERROR_CODE.invalidNetns,
    "plugin's netns and netns from CNI_NETNS should not be the same",
  );
}
