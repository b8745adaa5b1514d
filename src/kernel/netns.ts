import { closeSync, constants, fstatSync, openSync } from 'node:fs';
import { wire } from '../netlink/wire.ts';
import { toError, WeftError } from '../util/errors.ts';
import { isMissing } from '../util/files.ts';
import type { Netns, Netnses } from './types.ts';

const { O_NONBLOCK, O_RDONLY } = constants;
const CLONE_NEWNET = 0x40000000;

/**
 * A path or descriptor is no usable network namespace. `isMissing`: there is nothing at the path,
 * which for a DEL means the namespace is gone.
 */
export class NetnsError extends WeftError {
  readonly isMissing: boolean;

  constructor(message: string, options: ErrorOptions & { readonly isMissing: boolean }) {
    super('NETNS', message, options);
    this.isMissing = options.isMissing;
  }
}

/** The namespaces of this machine, as descriptors; nothing ever switches into one. */
export const netnses: Netnses = {
  open(path) {
    let fd: number;
    try {
      // A FIFO would wait for somebody who writes to it.
      fd = openSync(path, O_RDONLY | O_NONBLOCK);
    } catch (error) {
      throw new NetnsError(`failed to open netns "${path}": ${toError(error).message}`, {
        isMissing: isMissing(error),
        cause: error,
      });
    }
    return netnses.adopt(fd, path);
  },

  adopt(fd, description) {
    try {
      requireNetns(fd, description);
      return new OpenNetns(fd);
    } catch (error) {
      closeSync(fd);
      throw error;
    }
  },

  self: () => netnses.open('/proc/thread-self/ns/net'),
};

class OpenNetns implements Netns {
  readonly id: string;
  #fd: number | undefined;

  constructor(fd: number) {
    const { dev, ino } = fstatSync(fd, { bigint: true });
    this.#fd = fd;
    this.id = `${dev}:${ino}`;
  }

  /** Throws once it is closed: the number may belong to another file by then. */
  get fd(): number {
    if (this.#fd === undefined) throw new Error(`network namespace ${this.id} is closed`);
    return this.#fd;
  }

  close(): void {
    if (this.#fd === undefined) return;
    closeSync(this.#fd);
    this.#fd = undefined;
  }
}

/** The text is the reference plugins' own, which tools look for. */
function requireNetns(fd: number, description: string): void {
  const { fsMagic, nsType } = wire.inspectNamespace(fd);
  if (nsType === CLONE_NEWNET) return;
  const message =
    nsType === 0
      ? `unknown FS magic on "${description}": ${fsMagic.toString(16)}`
      : `"${description}" is a namespace, but not a network namespace`;
  throw new NetnsError(message, { isMissing: false });
}
