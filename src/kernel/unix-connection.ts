import { closeSync } from 'node:fs';
import { type WatchHandle, wire } from '../netlink/wire.ts';

const WRITE_RETRY_MS = 5;
/** A peer that reads nothing of its answer for so long is taken for gone. */
const WRITE_TIMEOUT_MS = 10_000;

/** Who is at the other end, as the kernel says (SO_PEERCRED). */
export interface Peer {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
}

/** One accepted connection. */
export interface UnixConnection {
  readonly peer: Peer;
  onData(listener: (bytes: Buffer) => void): void;
  /** Called before `onData` and owns what it is given; without it, descriptors are closed. */
  onDescriptors(listener: (fds: readonly number[]) => void): void;
  /** Its request is whole: until `end` it keeps its seat. */
  beginWork(): void;
  /** Whether the peer has closed its end, asked of the kernel. */
  isPeerGone(): boolean;
  /** Called once, when either side has closed or the connection failed. */
  onClose(listener: () => void): void;
  write(bytes: Buffer): void;
  /** Closes after everything written has been taken. */
  end(): void;
  /** Closes now. */
  destroy(): void;
}

/** A connection over a descriptor that it owns. */
export class Connection implements UnixConnection {
  readonly peer: Peer;
  readonly #fd: number;
  readonly #watch: WatchHandle;
  readonly #closeListeners: (() => void)[] = [];
  #dataListener: ((bytes: Buffer) => void) | undefined;
  #descriptorListener: ((fds: readonly number[]) => void) | undefined;
  #workListener: ((isWorkedFor: boolean) => void) | undefined;
  #pending: Buffer[] = [];
  #takenAtMs = 0;
  #isEnding = false;
  #isClosed = false;

  constructor(fd: number, peer: Peer) {
    this.#fd = fd;
    this.peer = peer;
    this.#watch = new wire.Watch(fd, () => this.#receive());
  }

  onData(listener: (bytes: Buffer) => void): void {
    this.#dataListener = listener;
  }

  onDescriptors(listener: (fds: readonly number[]) => void): void {
    this.#descriptorListener = listener;
  }

  /** Told when work for it begins, and when only the peer is waited for. */
  onWork(listener: (isWorkedFor: boolean) => void): void {
    this.#workListener = listener;
  }

  beginWork(): void {
    this.#workListener?.(true);
  }

  isPeerGone(): boolean {
    return this.#isClosed || wire.isPeerGone(this.#fd);
  }

  onClose(listener: () => void): void {
    this.#closeListeners.push(listener);
  }

  write(bytes: Buffer): void {
    if (this.#isClosed) return;
    this.#pending.push(bytes);
    this.#takenAtMs = performance.now();
    this.#flush();
  }

  end(): void {
    this.#isEnding = true;
    this.#workListener?.(false);
    this.#flush();
  }

  destroy(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#watch.close();
    closeSync(this.#fd);
    for (const listener of this.#closeListeners) listener();
  }

  #receive(): void {
    try {
      const received = wire.receiveUnix(this.#fd);
      if (received === null) return;
      const { bytes, fds, isTruncated } = received;
      const isLast = bytes.length === 0 || isTruncated;
      if (isLast || this.#descriptorListener === undefined) for (const fd of fds) closeSync(fd);
      else if (fds.length > 0) this.#descriptorListener(fds);
      if (isLast) this.destroy();
      else this.#dataListener?.(bytes);
    } catch {
      // A reset by the peer is an end like any other; nobody is left to tell.
      this.destroy();
    }
  }

  #flush(): void {
    try {
      while (this.#pending[0] !== undefined) {
        const taken = wire.sendUnix(this.#fd, this.#pending[0]);
        if (taken === this.#pending[0].length) {
          this.#pending.shift();
          continue;
        }
        this.#pending[0] = this.#pending[0].subarray(taken);
        this.#flushLater(taken > 0);
        return;
      }
      if (this.#isEnding) this.destroy();
    } catch {
      this.destroy();
    }
  }

  #flushLater(wasTaken: boolean): void {
    const now = performance.now();
    if (wasTaken) this.#takenAtMs = now;
    if (now - this.#takenAtMs >= WRITE_TIMEOUT_MS) this.destroy();
    else setTimeout(() => this.#isClosed || this.#flush(), WRITE_RETRY_MS);
  }
}
