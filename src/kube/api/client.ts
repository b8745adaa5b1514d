import type { IncomingMessage } from 'node:http';
import type { Clock } from '../../util/clock.ts';
import { IoError } from '../../util/errors.ts';
import type { ClusterAccess } from '../access/access.ts';
import { ApiError, parseStatus } from './api-error.ts';
import { listPath, type Selection, watchPath } from './api-path.ts';
import { readBody } from './body.ts';
import { LineSplitter } from './lines.ts';
import { Transport } from './transport.ts';
import {
  type ListPage,
  parseJson,
  parseListPage,
  parseWatchEvent,
  type WatchEvent,
} from './watch-event.ts';

export interface ClientTimings {
  /** One list page or a watch's head. */
  readonly requestTimeoutMs: number;
  /** Range of the watch duration the server is asked for, in seconds. */
  readonly watchSeconds: { readonly min: number; readonly max: number };
  /** A watch that brings nothing for this long, not even a bookmark, is cut. */
  readonly watchIdleMs: number;
}

/**
 * The API server sends a bookmark about once a minute (kube-apiserver's cacher), so three silent
 * minutes mean a dead connection.
 */
export const CLIENT_TIMINGS: ClientTimings = {
  requestTimeoutMs: 60_000,
  watchSeconds: { min: 300, max: 600 },
  watchIdleMs: 180_000,
};

export interface ClientOptions {
  readonly access: ClusterAccess;
  /** Appears in the User-Agent as `weft/<version>`. */
  readonly version: string;
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly timings?: Partial<ClientTimings>;
  /** Objects per list page. */
  readonly pageSize?: number;
}

export interface ListRequest extends Selection {
  readonly signal: AbortSignal;
}

export interface ObjectList<T> {
  readonly objects: readonly T[];
  /** Where a watch that continues this list starts. */
  readonly resourceVersion: string;
}

export interface WatchRequest extends Selection {
  readonly resourceVersion: string;
  readonly onEvent: (event: WatchEvent) => void;
  readonly signal: AbortSignal;
}

const PAGE_SIZE = 500;
/** etcd refuses objects beyond 1.5 MB; JSON and a full managedFields stay far below this. */
const MAX_WATCH_LINE_BYTES = 32 << 20;
const ERROR_BODY_BYTES = 64 << 10;

/** Lists and watches over JSON. Every method throws ApiError, IoError, BusyError or DecodeError. */
export class ApiClient {
  readonly #options: ClientOptions;
  readonly #timings: ClientTimings;
  readonly #transport: Transport;

  constructor(options: ClientOptions) {
    this.#options = options;
    this.#timings = { ...CLIENT_TIMINGS, ...options.timings };
    this.#transport = new Transport(options.access, options.clock, `weft/${options.version}`);
  }

  /**
   * All objects, page by page; `convert` makes the value to keep from each raw object, so that at
   * most one page of raw objects is in memory. When the server drops the snapshot between two pages
   * (410), everything is read again without pages, which cannot expire.
   */
  async list<V>(request: ListRequest, convert: (object: unknown) => V): Promise<ObjectList<V>> {
    let limit = this.#options.pageSize ?? PAGE_SIZE;
    let objects: V[] = [];
    let token = '';
    for (;;) {
      try {
        const page = await this.#page(listPath(request, limit, token), request.signal);
        for (const item of page.items) objects.push(convert(item));
        token = page.continueToken;
        if (token === '') return { objects, resourceVersion: page.resourceVersion };
      } catch (thrown) {
        if (!(thrown instanceof ApiError && thrown.isExpired && token !== '')) throw thrown;
        limit = 0;
        objects = [];
        token = '';
      }
    }
  }

  /**
   * Follows a resource until the server ends the watch in good order. An ERROR event is thrown as
   * ApiError.
   */
  async watch(request: WatchRequest): Promise<void> {
    const { min, max } = this.#timings.watchSeconds;
    const seconds = Math.round(min + this.#options.random() * (max - min));
    const path = watchPath(request, request.resourceVersion, seconds);
    const response = await this.#get(path, request.signal);
    const lines = new LineSplitter(MAX_WATCH_LINE_BYTES);
    const { watchIdleMs: idleMs } = this.#timings;
    // The server ends the watch by itself; the margin is for one that does not.
    const limits = { path, idleMs, totalMs: seconds * 1000 + idleMs };
    await readBody(response, limits, this.#options.clock, (chunk) => {
      for (const line of lines.push(chunk)) request.onEvent(parseWatchEvent(line, path));
    });
    const rest = lines.rest();
    if (rest !== '') throw new IoError(`get ${path}: connection closed within an event`);
  }

  close(): void {
    this.#transport.close();
  }

  async #page(path: string, signal: AbortSignal): Promise<ListPage> {
    const response = await this.#get(path, signal);
    return parseListPage(await this.#text(response, path), path);
  }

  /** A successful answer; 401 reloads the credentials once. */
  async #get(path: string, signal: AbortSignal): Promise<IncomingMessage> {
    const request = { path, signal, headTimeoutMs: this.#timings.requestTimeoutMs };
    const first = await this.#transport.get(request);
    if (first.statusCode !== 401) return this.#checked(first, path);
    first.resume();
    this.#transport.invalidateCredentials();
    return this.#checked(await this.#transport.get(request), path);
  }

  async #checked(response: IncomingMessage, path: string): Promise<IncomingMessage> {
    const status = response.statusCode ?? 0;
    if (status === 200) return response;
    const text = await this.#text(response, path, ERROR_BODY_BYTES);
    const failure = parseStatus(parseJson(text) ?? text, status);
    const retryAfter = Number(response.headers['retry-after']);
    const retryAfterMs = retryAfter > 0 ? retryAfter * 1000 : undefined;
    throw new ApiError(`get ${path}`, { ...failure, status, retryAfterMs });
  }

  async #text(response: IncomingMessage, path: string, maxBytes = Infinity): Promise<string> {
    const chunks: Buffer[] = [];
    let length = 0;
    const { requestTimeoutMs: totalMs } = this.#timings;
    const limits = { path, idleMs: totalMs, totalMs };
    await readBody(response, limits, this.#options.clock, (chunk) => {
      length += chunk.length;
      if (length <= maxBytes) chunks.push(chunk);
    });
    return Buffer.concat(chunks).toString('utf8');
  }
}
