import type { OutgoingHttpHeaders } from 'node:http';
import http2, {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  type IncomingHttpHeaders,
  type IncomingHttpStatusHeader,
} from 'node:http2';
import type { TLSSocket } from 'node:tls';
import type { Clock } from '../../util/clock.ts';
import { BusyError } from '../../util/errors.ts';
import {
  type Answer,
  type ApiRequest,
  type Connection,
  failedRequest,
  lostRequest,
  methodOf,
  tooSlow,
} from './connection.ts';

/** client-go's HTTP/2 health check: a ping after 30 s, and 15 s for its answer. */
const PING_EVERY_MS = 30_000;
const PING_TIMEOUT_MS = 15_000;
/** Large lists must not wait for a round trip per 64 KB. */
const STREAM_WINDOW_BYTES = 1 << 20;
const SESSION_WINDOW_BYTES = 4 << 20;

/** HTTP/2: all lists and watches of all kinds share one TCP connection. */
export class Http2Connection implements Connection {
  readonly #session: ClientHttp2Session;
  readonly #clock: Clock;
  #isRetired = false;
  /** It has answered: a failure of the next request may be one of the connection alone. */
  #hasAnswered = false;
  #cancelPing = () => {};

  /** Takes over a socket that negotiated `h2`. */
  constructor(server: URL, socket: TLSSocket, clock: Clock) {
    this.#clock = clock;
    this.#session = http2.connect(server.origin, {
      createConnection: () => socket,
      settings: { initialWindowSize: STREAM_WINDOW_BYTES, enablePush: false },
    });
    this.#session.once('connect', () => this.#session.setLocalWindowSize(SESSION_WINDOW_BYTES));
    // Every stream reports it too.
    this.#session.on('error', () => {});
    this.#session.once('close', () => this.#cancelPing());
    this.#schedulePing();
  }

  get isUsable(): boolean {
    return !this.#isRetired && !this.#session.closed && !this.#session.destroyed;
  }

  retire(): void {
    this.#isRetired = true;
    this.#session.close();
  }

  close(): void {
    this.#isRetired = true;
    this.#session.destroy();
  }

  send(request: ApiRequest, url: URL, headers: OutgoingHttpHeaders): Promise<Answer> {
    const { write } = request;
    return new Promise((resolve, reject) => {
      const stream = this.#open(request, {
        ...headers,
        ':method': methodOf(request),
        ':path': url.pathname + url.search,
      });
      const cancelTimer = this.#clock.schedule(request.headTimeoutMs, () => {
        stream.destroy(tooSlow(request));
      });
      const fail = (thrown: unknown) => {
        cancelTimer();
        const isStale = this.#hasAnswered && !this.isUsable && !request.signal.aborted;
        reject(lostRequest(request, thrown, isStale));
      };
      stream.once('error', fail);
      stream.once('close', () => fail(new Error('connection closed')));
      stream.once('response', (head) => {
        cancelTimer();
        this.#hasAnswered = true;
        resolve(answerOf(stream, head));
      });
      if (write !== undefined) stream.end(write.body);
    });
  }

  #open(request: ApiRequest, headers: OutgoingHttpHeaders): ClientHttp2Stream {
    const { signal, write } = request;
    try {
      return this.#session.request(headers, { endStream: write === undefined, signal });
    } catch (thrown) {
      throw failedRequest(request, thrown);
    }
  }

  #schedulePing(): void {
    this.#cancelPing = this.#clock.schedule(PING_EVERY_MS, () => {
      if (this.#session.destroyed) return;
      this.#cancelPing = this.#clock.schedule(PING_TIMEOUT_MS, () => {
        const reason = `connection: no answer to a ping within ${PING_TIMEOUT_MS} ms`;
        this.#session.destroy(new BusyError(reason));
      });
      this.#session.ping((error) => {
        this.#cancelPing();
        if (error === null && !this.#session.destroyed) this.#schedulePing();
      });
    });
  }
}

function answerOf(
  stream: ClientHttp2Stream,
  head: IncomingHttpHeaders & IncomingHttpStatusHeader,
): Answer {
  return {
    status: Number(head[':status']),
    retryAfter: head['retry-after'],
    date: head.date,
    body: stream,
    isCut: () => stream.aborted || stream.rstCode !== http2.constants.NGHTTP2_NO_ERROR,
  };
}
