import type { OutgoingHttpHeaders } from 'node:http';
import type { Readable } from 'node:stream';
import { BusyError, IoError, toError } from '../../util/errors.ts';

export interface ApiRequest {
  /** Path and query below the server's own path prefix. */
  readonly path: string;
  /** Time until the answer's head has arrived. */
  readonly headTimeoutMs: number;
  readonly signal: AbortSignal;
  /** What is sent along; a GET without it. */
  readonly write?: WriteBody;
  /** What is sent along only asks, so that another server may be asked the same. */
  readonly isRead?: boolean;
  /** Besides those of every request. */
  readonly headers?: Readonly<Record<string, string>>;
}

export interface WriteBody {
  readonly method: 'POST' | 'PATCH' | 'DELETE';
  readonly contentType: string;
  readonly body: string;
}

export type Method = 'GET' | WriteBody['method'];

export function methodOf({ write }: ApiRequest): Method {
  return write?.method ?? 'GET';
}

/** Whether nothing changes by it, however often it arrives. */
export function isReading({ write, isRead = false }: ApiRequest): boolean {
  return write === undefined || isRead;
}

/** The head of an answer, with its body still to be read. */
export interface Answer {
  readonly status: number;
  /** As the server wrote it. */
  readonly retryAfter: string | undefined;
  /** The server's clock, as it wrote it (RFC 9110, section 6.6.1). */
  readonly date: string | undefined;
  readonly body: Readable;
  /** The body ended too early; tells once the body has ended. */
  readonly isCut: () => boolean;
}

/** One server reached in one way with one set of certificates. */
export interface Connection {
  /** Throws StaleConnectionError, IoError or BusyError. */
  send(request: ApiRequest, url: URL, headers: OutgoingHttpHeaders): Promise<Answer>;
  /** False once it takes no new requests. */
  readonly isUsable: boolean;
  /** Takes no more requests; answers in progress are finished. */
  retire(): void;
  /** Cuts everything. */
  close(): void;
}

/** A connection kept from earlier turned out to be closed: the request never reached the server. */
export class StaleConnectionError extends IoError {}

const VERBS: Readonly<Record<Method, string>> = {
  ...{ GET: 'get', POST: 'create', PATCH: 'patch', DELETE: 'delete' },
};

export function describeRequest(request: ApiRequest): string {
  return `${VERBS[methodOf(request)]} ${request.path}`;
}

/** Of a request whose connection may have been closed before it arrived there: `isStale`. */
export function lostRequest(
  request: ApiRequest,
  thrown: unknown,
  isStale: boolean,
): IoError | BusyError {
  if (!isStale) return failedRequest(request, thrown);
  return new StaleConnectionError(`${describeRequest(request)}: connection closed by the server`);
}

/** Of a request that failed otherwise. */
export function failedRequest(request: ApiRequest, thrown: unknown): IoError | BusyError {
  if (thrown instanceof BusyError || thrown instanceof IoError) return thrown;
  const message = `${describeRequest(request)}: ${toError(thrown).message}`;
  return new IoError(message, { cause: thrown });
}

export function tooSlow(request: ApiRequest): BusyError {
  return new BusyError(`${describeRequest(request)}: no answer within ${request.headTimeoutMs} ms`);
}
