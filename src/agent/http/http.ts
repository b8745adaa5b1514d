import type { IncomingHttpHeaders, IncomingMessage, Server, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { formatHostPort, type HostPort } from '../../net/host-port.ts';
import type { Clock } from '../../util/clock.ts';
import { IoError, toError } from '../../util/errors.ts';
import type { Logger } from '../../util/log.ts';
import { connectionSeats, createBoundedServer } from './bounded-server.ts';

export interface HttpReply {
  readonly status: number;
  readonly contentType: string;
  readonly body: string | Uint8Array;
  readonly headers?: Readonly<Record<string, string>>;
}

/** An answer that goes on until one of both sides ends it. */
export interface HttpStream {
  readonly contentType: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Called once the head is sent; bounds what waits to be read. */
  readonly open: (response: ServerResponse) => void;
}

/** What of a request an answer may depend on. */
export interface HttpQuestion {
  readonly query: URLSearchParams;
  readonly headers: IncomingHttpHeaders;
  /** Address of the other end, as the socket has it; empty once it is gone. */
  readonly source: string;
  /** Read only for routes with a method of their own. */
  readonly body: string;
}

/** Exact path, for GET and HEAD, or `PUT /path`, to what answers it. */
export type HttpRoutes = ReadonlyMap<string, Respond>;

export type Respond = (question: HttpQuestion) => HttpAnswer | Promise<HttpAnswer>;
export type HttpAnswer = HttpReply | HttpStream;

export interface HttpServerOptions {
  /** For the log: `health` or `metrics`. */
  readonly name: string;
  readonly addresses: readonly HostPort[];
  readonly routes: HttpRoutes;
  /** A port that cannot be bound fails `bound` instead of being tried again every 5 s. */
  readonly bindAddressHardFail: boolean;
  /** Told of every failure to bind; what it returns, such as a cure, is logged with it. */
  readonly onBindFailure?: (error: Error) => object | undefined;
  /** Connections at once, to each address. */
  readonly most: number;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface RunningHttpServer {
  /** Settles when every address is bound; rejects with IoError only with bindAddressHardFail. */
  readonly bound: Promise<void>;
  /** Bound addresses, with the port the kernel chose where 0 was asked for. */
  addresses(): readonly HostPort[];
  /** Why addresses are not bound, one text for each. */
  failures(): readonly string[];
  /** Stops listening and drops connections. */
  close(): Promise<void>;
}

const RETRY_BIND_MS = 5_000;
const MAX_BODY_BYTES = 1024;

/** Serves `routes` on every address, each connection bounded in time. */
export function serveHttp(options: HttpServerOptions): RunningHttpServer {
  const listeners = options.addresses.map((address) => new Listener(address, options));
  const bound = Promise.all(listeners.map((listener) => listener.bound)).then(() => undefined);
  // Whoever does not await `bound` must not be killed by its rejection.
  bound.catch(() => undefined);
  return {
    bound,
    addresses: () => listeners.flatMap((listener) => listener.boundTo ?? []),
    failures: () => listeners.flatMap((listener) => listener.reason ?? []),
    close: async () => {
      await Promise.all(listeners.map((listener) => listener.close()));
    },
  };
}

/** One address: binds, binds again after a failure, closes. */
class Listener {
  readonly bound: Promise<void>;
  readonly #address: HostPort;
  readonly #options: HttpServerOptions;
  readonly #server: Server;
  #cancelRetry: (() => void) | undefined;
  /** Why it does not listen. */
  #reason: string | undefined;

  constructor(address: HostPort, options: HttpServerOptions) {
    this.#address = address;
    this.#options = options;
    this.#server = createBoundedServer(
      (request, response) => void answer(request, response, options),
      connectionSeats(options.most),
    );
    this.bound = new Promise((resolve, reject) => {
      this.#server.on('listening', () => this.#onListening(resolve));
      this.#server.on('error', (error) => this.#onError(error, reject));
    });
    this.#listen();
  }

  get reason(): string | undefined {
    return this.#reason;
  }

  get boundTo(): HostPort | undefined {
    const bound = this.#server.address();
    if (!isAddressInfo(bound)) return undefined;
    return { host: this.#address.host, port: bound.port };
  }

  close(): Promise<void> {
    this.#cancelRetry?.();
    this.#server.closeAllConnections();
    return new Promise((resolve) => {
      // The only error is ERR_SERVER_NOT_RUNNING: it never was bound.
      this.#server.close(() => resolve());
    });
  }

  #listen(): void {
    this.#server.listen({ host: this.#address.host, port: this.#address.port });
  }

  #onListening(resolve: () => void): void {
    const { log, name } = this.#options;
    this.#reason = undefined;
    const { host, port } = this.boundTo ?? this.#address;
    log.info({ server: name, address: formatHostPort(host, port) }, 'listening');
    resolve();
  }

  #onError(cause: Error, reject: (error: Error) => void): void {
    const { bindAddressHardFail, clock, log, name } = this.#options;
    const address = formatHostPort(this.#address.host, this.#address.port);
    if (this.#server.listening) {
      // A connection could not be taken; the next one can.
      log.warn({ server: name, address, reason: cause.message }, 'connection not accepted');
      return;
    }
    const error = new IoError(`listen for ${name} on ${address}: ${cause.message}`, { cause });
    const facts = this.#options.onBindFailure?.(error);
    if (bindAddressHardFail) {
      reject(error);
      return;
    }
    // The same failure every few seconds is one line.
    if (this.#reason !== error.message) {
      const reason = error.message;
      log.error(
        { server: name, address, reason, ...facts, retryMs: RETRY_BIND_MS },
        'cannot listen',
      );
    }
    this.#reason = error.message;
    this.#cancelRetry = clock.schedule(RETRY_BIND_MS, () => this.#listen());
  }
}

function isAddressInfo(address: AddressInfo | string | null): address is AddressInfo {
  return typeof address === 'object' && address !== null;
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  { routes, log, name }: HttpServerOptions,
): Promise<void> {
  const [path = '/', query = ''] = (request.url ?? '/').split('?', 2);
  let reply: HttpAnswer;
  try {
    reply = await route(request, path, new URLSearchParams(query), routes);
  } catch (thrown) {
    log.error({ server: name, path, err: toError(thrown) }, 'request failed');
    reply = plainText(500, 'internal error\n');
  }
  const isHead = request.method === 'HEAD';
  if ('open' in reply) begin(response, reply, isHead);
  else send(response, reply, isHead);
}

async function route(
  request: IncomingMessage,
  path: string,
  query: URLSearchParams,
  routes: HttpRoutes,
): Promise<HttpAnswer> {
  const { method = '', headers, socket } = request;
  const question = { query, headers, source: socket.remoteAddress ?? '' };
  const withBody = routes.get(`${method} ${path}`);
  if (withBody !== undefined) {
    // Whoever sends it may be anybody: nothing for the log.
    const body = await readBody(request).catch(() => undefined);
    if (body === undefined) return plainText(413, 'the body is too long, or broken off\n');
    return withBody({ ...question, body });
  }
  const respond = routes.get(path);
  if (respond === undefined) return plainText(404, 'not found\n');
  if (method !== 'GET' && method !== 'HEAD') return plainText(405, 'only GET and HEAD\n');
  return respond({ ...question, body: '' });
}

async function readBody(request: IncomingMessage): Promise<string> {
  let body = '';
  for await (const chunk of request.setEncoding('utf8')) {
    body += chunk;
    if (body.length > MAX_BODY_BYTES) throw new IoError(`body over ${MAX_BODY_BYTES} bytes`);
  }
  return body;
}

function begin(response: ServerResponse, stream: HttpStream, isHead: boolean): void {
  response.writeHead(200, {
    'Content-Type': stream.contentType,
    'X-Content-Type-Options': 'nosniff',
    ...stream.headers,
  });
  if (isHead) response.end();
  else stream.open(response);
}

/** Sends a whole reply; nothing of its body to HEAD. */
export function send(response: ServerResponse, reply: HttpReply, isHead: boolean): void {
  response.writeHead(reply.status, {
    'Content-Type': reply.contentType,
    'Content-Length': Buffer.byteLength(reply.body),
    'X-Content-Type-Options': 'nosniff',
    ...reply.headers,
    ...(reply.status === 405 ? { Allow: 'GET, HEAD' } : {}),
  });
  response.end(isHead ? undefined : reply.body);
}

/** A reply that browsers and curl show as it is. */
export function plainText(status: number, body: string): HttpReply {
  return { status, contentType: 'text/plain; charset=utf-8', body };
}
