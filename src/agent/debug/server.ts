import type { UnixConnection } from '../../kernel/unix-connection.ts';
import { UnixServer } from '../../kernel/unix-socket.ts';
import type { Clock } from '../../util/clock.ts';
import { BusyError, errorCode, toError, WeftError } from '../../util/errors.ts';
import type { Logger } from '../../util/log.ts';
import { DebugRequestError } from './fields.ts';
import { type DebugAnswer, MOST_REQUEST_BYTES } from './protocol.ts';

export interface DebugServerOptions {
  readonly path: string;
  readonly clock: Clock;
  readonly log: Logger;
  /** Connections at once. */
  readonly most: number;
  /** Of one line. The result becomes JSON. `signal` is aborted when nobody waits for it any more. */
  readonly answer: (line: string, signal: AbortSignal) => Promise<unknown>;
}

/** A connection that has not delivered its request by then is closed. */
const REQUEST_TIMEOUT_MS = 2_000;
/** People ask questions one by one; more at once is a loop gone wild. */
const MOST_AT_ONCE = 8;
const NEWLINE = 0x0a;
/** There is no such thing; this agent has no such part; not yet; the caller is too many. */
const ANSWERS: readonly (string | undefined)[] = ['ENOENT', 'ENOTSUP', 'EINVAL', 'EAGAIN', 'BUSY'];

/**
 * Answers questions about the agent's state over a unix socket. Only root is served: answers name
 * Services of all namespaces, and a live trace costs the node something.
 */
export class DebugServer {
  readonly #options: DebugServerOptions;
  readonly #server: UnixServer;
  #underWay = 0;

  private constructor(options: DebugServerOptions) {
    this.#options = options;
    this.#server = UnixServer.listen(options.path, {
      mode: 0o600,
      most: options.most,
      log: options.log,
      onConnection: (connection) => this.#accept(connection),
    });
  }

  static listen(options: DebugServerOptions): DebugServer {
    return new DebugServer(options);
  }

  /** Closes the socket and every connection; answers under way are given up. */
  close(): void {
    this.#server.close();
  }

  #accept(connection: UnixConnection): void {
    const { clock, log } = this.#options;
    if (connection.peer.uid !== 0) {
      log.warn({ peer: connection.peer }, 'debug connection refused');
      connection.destroy();
      return;
    }
    const gone = new AbortController();
    const cancelTimeout = clock.schedule(REQUEST_TIMEOUT_MS, () => connection.destroy());
    connection.onClose(() => {
      cancelTimeout();
      gone.abort();
    });
    this.#readLine(connection, (line) => {
      cancelTimeout();
      connection.beginWork();
      void this.#respond(connection, line, gone.signal);
    });
  }

  #readLine(connection: UnixConnection, onLine: (line: string) => void): void {
    let received = Buffer.alloc(0);
    let isComplete = false;
    connection.onData((bytes) => {
      if (isComplete) return;
      received = Buffer.concat([received, bytes]);
      const end = received.indexOf(NEWLINE);
      isComplete = end >= 0 || received.length > MOST_REQUEST_BYTES;
      if (end >= 0 && end <= MOST_REQUEST_BYTES) onLine(received.toString('utf8', 0, end));
      else if (isComplete) send(connection, failure('EMSGSIZE', 'the request is too long'));
    });
  }

  async #respond(connection: UnixConnection, line: string, signal: AbortSignal): Promise<void> {
    this.#underWay++;
    try {
      if (this.#underWay > MOST_AT_ONCE) {
        throw new BusyError(`the agent answers at most ${MOST_AT_ONCE} questions at once`);
      }
      send(connection, { result: await this.#options.answer(line, signal) });
    } catch (thrown) {
      const { message } = toError(thrown);
      this.#note(thrown);
      send(connection, failure(errorCode(thrown) ?? 'EIO', message));
    } finally {
      this.#underWay--;
    }
  }

  /** What the asker got wrong is told to the asker alone. */
  #note(thrown: unknown): void {
    if (thrown instanceof DebugRequestError) return;
    const { log } = this.#options;
    if (thrown instanceof WeftError && ANSWERS.includes(thrown.code)) {
      log.debug({ reason: toError(thrown).message }, 'question not answered');
    } else {
      log.warn({ err: thrown }, 'debug request failed');
    }
  }
}

function failure(code: string, message: string): DebugAnswer {
  return { error: { code, message } };
}

function send(connection: UnixConnection, answer: DebugAnswer): void {
  connection.write(Buffer.from(`${JSON.stringify(answer)}\n`));
  connection.end();
}
