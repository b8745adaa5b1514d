import { createHash } from 'node:crypto';
import type { Clock } from '../../util/clock.ts';
import { DecodeError, IoError } from '../../util/errors.ts';
import { parseJson } from '../../util/json.ts';
import { Turn } from '../../util/turns.ts';
import type { ClusterAccess } from '../access/access.ts';
import { inSteps, JsonListSplitter } from '../json-list.ts';
import type { ResourceKind } from '../resources.ts';
import { ApiError, parseStatus } from './api-error.ts';
import { listPath, watchPath } from './api-path.ts';
import { readBody } from './body.ts';
import {
  type Answer,
  type ApiRequest,
  describeRequest,
  type Method,
  methodOf,
  type WriteBody,
} from './connection.ts';
import { Failover } from './failover.ts';
import { LineSplitter } from './lines.ts';
import type { ConvertedList, ListRequest, ObjectServer, WatchRequest } from './object-server.ts';
import { asRecord, parseListHead, parseWatchEvent } from './watch-event.ts';

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
const CLIENT_TIMINGS: ClientTimings = {
  requestTimeoutMs: 60_000,
  watchSeconds: { min: 300, max: 600 },
  watchIdleMs: 180_000,
};

export interface ClientOptions {
  readonly access: ClusterAccess;
  /** Further servers of the cluster, tried in this order when one does not answer. */
  readonly alternatives?: readonly ClusterAccess[];
  /** Another server answers than before, or the first one does. */
  readonly onServer?: (access: ClusterAccess) => void;
  /** Appears in the User-Agent as `weft/<version>`. */
  readonly version: string;
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly timings?: Partial<ClientTimings>;
  /** Objects per list page. */
  readonly pageSize?: number;
  readonly onAnswer?: (answer: AnsweredRequest) => void;
}

/** One request, as far as its answer's head. */
export interface AnsweredRequest {
  readonly method: Method;
  /** Status, or `<error>` when there was no answer, as in client-go's metrics. */
  readonly code: string;
  readonly seconds: number;
  /** The server's clock, as it wrote it; absent when there was no answer. */
  readonly date?: string | undefined;
}

const PAGE_SIZE = 500;
/** etcd refuses objects beyond 1.5 MB; JSON and a full managedFields stay far below this. */
const MAX_OBJECT_BYTES = 32 << 20;
/** A list without pages may be large and come slowly; silence is noticed sooner. */
const MAX_LIST_MS = 600_000;
const WRITE_TIMEOUT_MS = 10_000;
/** Whatever a server or a proxy before it asks for, the node is not blind for longer. */
const MOST_RETRY_AFTER_MS = 300_000;
const ERROR_BODY_BYTES = 64 << 10;

/** Reads, watches and writes over JSON. Every method throws ApiError, IoError, BusyError or DecodeError. */
export class ApiClient implements ObjectServer {
  readonly #options: ClientOptions;
  readonly #timings: ClientTimings;
  readonly #servers: Failover;

  constructor(options: ClientOptions) {
    this.#options = options;
    this.#timings = { ...CLIENT_TIMINGS, ...options.timings };
    const { access, alternatives = [], clock, version } = options;
    this.#servers = new Failover({
      ...{ accesses: [access, ...alternatives], clock, userAgent: `weft/${version}` },
      onChosen: options.onServer,
    });
  }

  /**
   * All objects, page by page; `convert` makes the value to keep from each raw object, so that only
   * one raw object is in memory at a time. When the server drops the snapshot between two pages
   * (410), everything is read again without pages, which cannot expire.
   */
  async list<V>(request: ListRequest, convert: (object: unknown) => V): Promise<ConvertedList<V>> {
    let limit = this.#options.pageSize ?? PAGE_SIZE;
    let objects: V[] = [];
    let token = '';
    for (;;) {
      try {
        const path = listPath(request, limit, token);
        const page = await this.#page(path, request.signal, (raw) => objects.push(convert(raw)));
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

  /** Names of the first objects of a kind, as many as one page has: for hints to people. */
  async names(resource: ResourceKind, signal: AbortSignal): Promise<readonly string[]> {
    const names: string[] = [];
    const path = listPath({ resource, usesFieldSelector: true }, PAGE_SIZE, '');
    await this.#page(path, signal, (raw) =>
      names.push(String(asRecord(asRecord(raw)['metadata'])['name'])),
    );
    return names;
  }

  /**
   * Follows a resource until the server ends the watch in good order. An ERROR event is thrown as
   * ApiError.
   */
  async watch(request: WatchRequest): Promise<void> {
    const { min, max } = this.#timings.watchSeconds;
    const seconds = Math.round(min + this.#options.random() * (max - min));
    const path = watchPath(request, request.resourceVersion, seconds);
    const answer = await this.#get(path, request.signal);
    request.onOpen?.();
    const lines = new LineSplitter(MAX_OBJECT_BYTES);
    const { watchIdleMs: idleMs } = this.#timings;
    // The server ends the watch by itself; the margin is for one that does not.
    const limits = { path, idleMs, totalMs: seconds * 1000 + idleMs };
    const turn = new Turn();
    for await (const chunk of readBody(answer, limits, this.#options.clock)) {
      for (const line of lines.push(chunk)) {
        request.onEvent(parseWatchEvent(line, path));
        if (turn.isOver) await turn.next();
        if (request.signal.aborted) return;
      }
    }
    const rest = lines.rest();
    if (rest !== '') throw new IoError(`get ${path}: connection closed within an event`);
  }

  /** Creates one object (POST to a collection's `path`). */
  async create(path: string, object: unknown, signal: AbortSignal): Promise<void> {
    const body = JSON.stringify(object);
    await this.#write(path, { method: 'POST', contentType: 'application/json', body }, signal);
  }

  /** One object (`path`), as the server has it. */
  async read(path: string, signal: AbortSignal): Promise<unknown> {
    const answer = await this.#get(path, signal);
    const text = await this.#text(answer, path, MAX_OBJECT_BYTES);
    const object = parseJson(text);
    if (object === undefined) throw new DecodeError(`get ${path}: the answer is not JSON`);
    return object;
  }

  /** Merges `change` into one object (`path`), lists by the keys of their entries (strategic merge). */
  async patch(path: string, change: unknown, signal: AbortSignal): Promise<void> {
    const contentType = 'application/strategic-merge-patch+json';
    const body = JSON.stringify(change);
    await this.#write(path, { method: 'PATCH', contentType, body }, signal);
  }

  /** Deletes one object (`path`); what depends on it goes behind it. */
  async delete(path: string, signal: AbortSignal): Promise<void> {
    const options = { apiVersion: 'v1', kind: 'DeleteOptions', propagationPolicy: 'Background' };
    const body = JSON.stringify(options);
    await this.#write(path, { method: 'DELETE', contentType: 'application/json', body }, signal);
  }

  /** To the server in use. */
  get access(): ClusterAccess {
    return this.#servers.access;
  }

  /** Tells clusters apart: the servers' URLs and the authority that vouches for them. Throws IoError. */
  async clusterIdentity(): Promise<string> {
    const { access, alternatives = [] } = this.#options;
    const authority = (await access.credentials.authority()) ?? '';
    const servers = [access, ...alternatives].map(({ server }) => server.href).sort();
    return `${servers.join(' ')} ${createHash('sha256').update(authority).digest('hex')}`;
  }

  close(): void {
    this.#servers.close();
  }

  /** Reads one page, handing over its objects one by one as they arrive. */
  async #page(path: string, signal: AbortSignal, onObject: (raw: unknown) => void) {
    const answer = await this.#get(path, signal);
    const list = new JsonListSplitter(MAX_OBJECT_BYTES);
    const limits = { path, idleMs: this.#timings.requestTimeoutMs, totalMs: MAX_LIST_MS };
    const turn = new Turn();
    for await (const chunk of readBody(answer, limits, this.#options.clock)) {
      for (const step of inSteps(chunk)) {
        for (const { bytes } of list.push(step)) {
          const raw = parseJson(bytes.toString('utf8'));
          if (raw === undefined) throw new DecodeError(`get ${path}: an item is not JSON`);
          onObject(raw);
        }
        if (turn.isOver) await turn.next();
      }
    }
    return parseListHead(list.rest(), path);
  }

  async #get(path: string, signal: AbortSignal): Promise<Answer> {
    const request = { path, signal, headTimeoutMs: this.#timings.requestTimeoutMs };
    return this.#checked(await this.#authorized(request), request, [200]);
  }

  async #write(path: string, write: WriteBody, signal: AbortSignal): Promise<void> {
    const headTimeoutMs = Math.min(this.#timings.requestTimeoutMs, WRITE_TIMEOUT_MS);
    const request = { path, signal, headTimeoutMs, write };
    const answer = await this.#checked(await this.#authorized(request), request, [200, 201, 202]);
    answer.body.resume();
  }

  /** Any answer but 401, if fresh credentials can help it. */
  async #authorized(request: ApiRequest): Promise<Answer> {
    const first = await this.#send(request);
    if (first.status !== 401) return first;
    first.body.resume();
    this.#servers.invalidateCredentials();
    return this.#send(request);
  }

  async #send(request: ApiRequest): Promise<Answer> {
    const { clock, onAnswer } = this.#options;
    const method = methodOf(request);
    const startedAtMs = clock.elapsed();
    const report = (code: string, date?: string) =>
      onAnswer?.({ method, code, seconds: (clock.elapsed() - startedAtMs) / 1000, date });
    try {
      const answer = await this.#servers.send(request);
      report(String(answer.status), answer.date);
      return answer;
    } catch (thrown) {
      report('<error>');
      throw thrown;
    }
  }

  async #checked(answer: Answer, request: ApiRequest, good: readonly number[]): Promise<Answer> {
    const { status } = answer;
    if (good.includes(status)) return answer;
    const text = await this.#text(answer, request.path, ERROR_BODY_BYTES);
    const failure = parseStatus(parseJson(text) ?? text, status);
    const retryAfter = Number(answer.retryAfter);
    const retryAfterMs =
      retryAfter > 0 ? Math.min(retryAfter * 1000, MOST_RETRY_AFTER_MS) : undefined;
    throw new ApiError(describeRequest(request), { ...failure, status, retryAfterMs });
  }

  /** Of a longer one the beginning. */
  async #text(answer: Answer, path: string, mostBytes: number): Promise<string> {
    const chunks: Buffer[] = [];
    let length = 0;
    const { requestTimeoutMs: totalMs } = this.#timings;
    const limits = { path, idleMs: totalMs, totalMs };
    for await (const chunk of readBody(answer, limits, this.#options.clock)) {
      length += chunk.length;
      if (length <= mostBytes) chunks.push(chunk);
    }
    return Buffer.concat(chunks).toString('utf8');
  }
}
