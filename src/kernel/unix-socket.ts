import { chmodSync, closeSync, lstatSync, unlinkSync } from 'node:fs';
import { type WatchHandle, wire } from '../netlink/wire.ts';
import { errorCode, IoError, toError } from '../util/errors.ts';

const BACKLOG = 1024;
const WRITE_RETRY_MS = 5;

/** Who is at the other end, as the kernel says (SO_PEERCRED). */
export interface Peer {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
}

/** One accepted connection; whoever receives descriptors owns them. */
export interface UnixConnection {
  readonly peer: Peer;
  onData(listener: (bytes: Buffer, fds: readonly number[]) => void): void;
  /** Called once, when either side has closed or the connection failed. */
  onClose(listener: () => void): void;
  write(bytes: Buffer): void;
  /** Closes after everything written has been taken. */
  end(): void;
  /** Closes now. */
  destroy(): void;
}

/** A listening unix stream socket whose connections can carry descriptors (SCM_RIGHTS). */
export class UnixServer {
  readonly #path: string;
  readonly #fd: number;
  readonly #watch: WatchHandle;
  readonly #connections = new Set<Connection>();

  private constructor(path: string, onConnection: (connection: UnixConnection) => void) {
    this.#path = path;
    this.#fd = wire.listenUnix(path, BACKLOG);
    this.#watch = new wire.Watch(this.#fd, () => this.#acceptAll(onConnection));
  }

  /**
   * Listens at `path` with file mode `mode`; a socket left by a dead process is replaced, anything
   * else there is an error.
   */
  static listen(
    path: string,
    options: {
      readonly mode: number;
      readonly onConnection: (connection: UnixConnection) => void;
    },
  ): UnixServer {
    removeStaleSocket(path);
    try {
      const server = new UnixServer(path, options.onConnection);
      chmodSync(path, options.mode);
      return server;
    } catch (error) {
      throw new IoError(`listen on ${path}: ${toError(error).message}`, { cause: error });
    }
  }

  close(): void {
    this.#watch.close();
    closeSync(this.#fd);
    for (const connection of this.#connections) connection.destroy();
    removeStaleSocket(this.#path);
  }

  #acceptAll(onConnection: (connection: UnixConnection) => void): void {
    for (;;) {
      const accepted = wire.acceptUnix(this.#fd);
      if (accepted === null) return;
      const { fd, ...peer } = accepted;
      const connection = new Connection(fd, peer);
      this.#connections.add(connection);
      connection.onClose(() => this.#connections.delete(connection));
      onConnection(connection);
    }
  }
}

class Connection implements UnixConnection {
  readonly peer: Peer;
  readonly #fd: number;
  readonly #watch: WatchHandle;
  readonly #closeListeners: (() => void)[] = [];
  #dataListener: ((bytes: Buffer, fds: readonly number[]) => void) | undefined;
  #pending: Buffer[] = [];
  #isEnding = false;
  #isClosed = false;

  constructor(fd: number, peer: Peer) {
    this.#fd = fd;
    this.peer = peer;
    this.#watch = new wire.Watch(fd, () => this.#receive());
  }

  onData(listener: (bytes: Buffer, fds: readonly number[]) => void): void {
    this.#dataListener = listener;
  }

  onClose(listener: () => void): void {
    this.#closeListeners.push(listener);
  }

  write(bytes: Buffer): void {
    if (this.#isClosed) return;
    this.#pending.push(bytes);
    this.#flush();
  }

  end(): void {
    this.#isEnding = true;
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
      if (received.bytes.length === 0 || received.isTruncated) {
        for (const fd of received.fds) closeSync(fd);
        this.destroy();
      } else if (this.#dataListener === undefined) {
        for (const fd of received.fds) closeSync(fd);
      } else {
        this.#dataListener(received.bytes, received.fds);
      }
    } catch {
      // A reset by the peer is an end like any other; nobody is left to tell.
      this.destroy();
    }
  }

  #flush(): void {
    try {
      while (this.#pending[0] !== undefined) {
        const taken = wire.sendUnix(this.#fd, this.#pending[0]);
        if (taken === this.#pending[0].length) this.#pending.shift();
        else {
          this.#pending[0] = this.#pending[0].subarray(taken);
          setTimeout(() => this.#isClosed || this.#flush(), WRITE_RETRY_MS);
          return;
        }
      }
      if (this.#isEnding) this.destroy();
    } catch {
      this.destroy();
    }
  }
}

function removeStaleSocket(path: string): void {
  try {
    if (!lstatSync(path).isSocket()) throw new IoError(`${path} exists and is not a socket`);
    unlinkSync(path);
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw error;
  }
}
