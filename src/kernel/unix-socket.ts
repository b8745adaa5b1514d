import { chmodSync, closeSync, lstatSync, unlinkSync } from 'node:fs';
import { type WatchHandle, wire } from '../netlink/wire.ts';
import { IoError, toError } from '../util/errors.ts';
import { ifThere } from '../util/files.ts';
import type { Logger } from '../util/log.ts';
import { Seats } from '../util/seats.ts';
import { SpareDescriptor } from './spare-descriptor.ts';
import { Connection, type UnixConnection } from './unix-connection.ts';

const BACKLOG = 1024;
const ACCEPT_RETRY_MS = 100;
/** Between two lines about connections that were refused for want of descriptors. */
const REPORT_INTERVAL_MS = 60_000;

export interface UnixServerOptions {
  /** Of the socket's file. */
  readonly mode: number;
  /** Connections at once; the sources among which their seats are shared are processes. */
  readonly most: number;
  readonly onConnection: (connection: UnixConnection) => void;
  readonly log: Logger;
}

/** A listening unix stream socket whose connections can carry descriptors (SCM_RIGHTS). */
export class UnixServer {
  readonly #path: string;
  readonly #options: UnixServerOptions;
  readonly #fd: number;
  readonly #spare = new SpareDescriptor();
  readonly #seats: Seats<Connection>;
  readonly #connections = new Set<Connection>();
  #watch: WatchHandle | undefined;
  #refused = 0;
  #reportedAtMs = Number.NEGATIVE_INFINITY;
  #isClosed = false;

  private constructor(path: string, options: UnixServerOptions) {
    this.#path = path;
    this.#options = options;
    this.#seats = new Seats({
      most: options.most,
      end: (connection: Connection) => connection.destroy(),
    });
    this.#fd = wire.listenUnix(path, BACKLOG);
    this.#listen();
  }

  /**
   * Listens at `path` with file mode `mode`; a socket left by a dead process is replaced, anything
   * else there is an error.
   */
  static listen(path: string, options: UnixServerOptions): UnixServer {
    removeStaleSocket(path);
    try {
      const server = new UnixServer(path, options);
      chmodSync(path, options.mode);
      return server;
    } catch (error) {
      throw new IoError(`listen on ${path}: ${toError(error).message}`, { cause: error });
    }
  }

  close(): void {
    this.#isClosed = true;
    this.#watch?.close();
    closeSync(this.#fd);
    this.#spare.close();
    for (const connection of this.#connections) connection.destroy();
    removeStaleSocket(this.#path);
  }

  #listen(): void {
    this.#watch = new wire.Watch(this.#fd, () => {
      try {
        this.#acceptAll();
      } catch (thrown) {
        this.#refuseWaiting(toError(thrown));
      }
    });
  }

  #acceptAll(): void {
    for (;;) {
      const accepted = wire.acceptUnix(this.#fd);
      if (accepted === null) return;
      const { fd, ...peer } = accepted;
      this.#admit(new Connection(fd, peer));
    }
  }

  #admit(connection: Connection): void {
    this.#connections.add(connection);
    connection.onClose(() => {
      this.#connections.delete(connection);
      this.#seats.leave(connection);
    });
    connection.onWork((isWorkedFor) => this.#seats.mark(connection, isWorkedFor));
    if (this.#seats.take(connection, String(connection.peer.pid))) {
      this.#options.onConnection(connection);
    } else {
      this.#report(`${this.#options.most} others are being served`);
      connection.destroy();
    }
  }

  /** Nothing can be accepted: closes the connections that wait and goes on serving the others. */
  #refuseWaiting(cause: Error): void {
    this.#report(cause.message);
    let isNobodyWaiting = false;
    this.#spare.lend(() => {
      try {
        let accepted = wire.acceptUnix(this.#fd);
        for (; accepted !== null; accepted = wire.acceptUnix(this.#fd)) closeSync(accepted.fd);
        isNobodyWaiting = true;
      } catch {
        // One descriptor more does not help: the kernel may be short of memory.
      }
    });
    if (isNobodyWaiting) return;
    // The socket stays readable: without a pause this would be all that the process does.
    this.#watch?.close();
    setTimeout(() => this.#isClosed || this.#listen(), ACCEPT_RETRY_MS).unref();
  }

  #report(reason: string): void {
    this.#refused++;
    if (performance.now() - this.#reportedAtMs < REPORT_INTERVAL_MS) return;
    this.#reportedAtMs = performance.now();
    const { log } = this.#options;
    log.warn({ path: this.#path, reason, refused: this.#refused }, 'connections refused');
  }
}

function removeStaleSocket(path: string): void {
  ifThere(() => {
    if (!lstatSync(path).isSocket()) throw new IoError(`${path} exists and is not a socket`);
    unlinkSync(path);
  });
}
