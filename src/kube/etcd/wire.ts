/**
 * Messages of etcd's JSON gateway (etcd Documentation, "Why gRPC gateway"; api/etcdserverpb/rpc.proto):
 * field names as in the proto files, keys and values base64, numbers of 64 bits as text, what is zero or
 * false left out.
 */
import { DecodeError } from '../../util/errors.ts';
import { isText, parseJson } from '../../util/json.ts';
import { ApiError, type ApiFailure } from '../api/api-error.ts';
import { asRecord } from '../api/watch-event.ts';
import type { KeyValue } from './entries.ts';

/** What every answer says of the cluster and its data. */
export interface Header {
  readonly clusterId: string;
  /** Of the store; it grows by one with each change. */
  readonly revision: number;
  /** Of the members' election. */
  readonly raftTerm: number;
}

export interface WatchAnswer {
  readonly header: Header;
  readonly isCreated: boolean;
  readonly events: readonly WatchedEvent[];
}

export interface WatchedEvent {
  readonly isDeleted: boolean;
  readonly pair: KeyValue;
}

/** Codes of gRPC (google.rpc.Code). */
export const GRPC = {
  invalidArgument: 3,
  notFound: 5,
  permissionDenied: 7,
  failedPrecondition: 9,
  outOfRange: 11,
  unavailable: 14,
  unauthenticated: 16,
} as const;

const HTTP_STATUS: Readonly<Record<number, number>> = {
  [GRPC.invalidArgument]: 400,
  [GRPC.notFound]: 404,
  [GRPC.permissionDenied]: 403,
  [GRPC.failedPrecondition]: 412,
  [GRPC.outOfRange]: 400,
  [GRPC.unavailable]: 503,
  [GRPC.unauthenticated]: 401,
};
/** Where there is no gateway nothing has its paths. */
export const NO_GATEWAY = 'NoGateway';
const MOST_TEXT = 300;
const MOST_KEY_BYTES = 4096;

export function encodeText(text: string): string {
  return Buffer.from(text, 'utf8').toString('base64');
}

function decodeText(value: unknown): string {
  if (typeof value !== 'string') return '';
  return Buffer.from(value, 'base64').toString('utf8');
}

/** The key behind all that begin with a prefix: what `range_end` is for a prefix. */
export function prefixEnd(prefix: string): string {
  const bytes = Buffer.from(prefix, 'utf8');
  const last = bytes.length - 1;
  bytes[last] = (bytes[last] ?? 0) + 1;
  return bytes.toString('base64');
}

/** The first key behind this one, both base64: a key need not be text. */
export function keyAfter(key: string): string {
  return Buffer.concat([Buffer.from(key, 'base64'), Buffer.of(0)]).toString('base64');
}

/** Throws DecodeError. */
export function parseHeader(value: unknown): Header {
  const { cluster_id: clusterId, revision = '0', raft_term: term = '0' } = asRecord(value);
  if (typeof clusterId !== 'string') throw new DecodeError('etcd: an answer without header');
  return { clusterId, revision: Number(revision), raftTerm: Number(term) };
}

/** Throws DecodeError. */
export function parsePair(value: unknown): KeyValue {
  const { key, value: text, create_revision, mod_revision, lease } = asRecord(value);
  if (typeof key !== 'string' || key.length > MOST_KEY_BYTES) {
    throw new DecodeError('etcd: a value without key, or with a very long one');
  }
  return {
    key: decodeText(key),
    value: decodeText(text),
    createRevision: isText(create_revision) ? create_revision : '0',
    modRevision: isText(mod_revision) ? mod_revision : '0',
    leaseId: isText(lease) ? lease : '0',
  };
}

/** One line of a watch. Throws ApiError where the watch has ended, DecodeError for anything unknown. */
export function parseWatchLine(line: string, what: string): WatchAnswer {
  const { result, error } = asRecord(parseJson(line));
  if (error !== undefined) throw new ApiError(what, parseFailure(error, 500));
  const { header, created, canceled, compact_revision, cancel_reason, events } = asRecord(result);
  if (header === undefined) throw new DecodeError(`${what}: not an answer of etcd`);
  if (canceled === true) throw cancelled(what, compact_revision, cancel_reason);
  return {
    header: parseHeader(header),
    isCreated: created === true,
    events: (Array.isArray(events) ? events : []).map((event) => {
      const { type, kv } = asRecord(event);
      return { isDeleted: type === 'DELETE', pair: parsePair(kv) };
    }),
  };
}

function cancelled(what: string, compacted: unknown, reason: unknown): ApiError {
  const message = typeof reason === 'string' ? reason.slice(0, MOST_TEXT) : 'the watch was ended';
  if (compacted !== undefined && compacted !== '0') return new ApiError(what, EXPIRED);
  // Inside of the stream the code comes as text only.
  const code = /code = (\w+)/.exec(message)?.[1];
  if (code === 'PermissionDenied' || message.includes('permission denied')) {
    return new ApiError(what, failure(GRPC.permissionDenied, message));
  }
  if (code === 'Unauthenticated' || message.includes('invalid auth token')) {
    return new ApiError(what, failure(GRPC.unauthenticated, message));
  }
  return new ApiError(what, failure(GRPC.unavailable, message));
}

const EXPIRED: ApiFailure = {
  status: 410,
  reason: 'Expired',
  message: 'the revision was compacted',
};

function failure(code: number, message: string): ApiFailure {
  return { status: HTTP_STATUS[code] ?? 500, reason: String(code), message };
}

/** The gRPC status in an answer or a stream, as the failure that it means for a reader of objects. */
export function parseFailure(value: unknown, httpStatus: number): ApiFailure {
  if (typeof value !== 'object' || value === null) {
    const reason = httpStatus === 404 ? NO_GATEWAY : '';
    return { status: httpStatus, reason, message: String(value).slice(0, MOST_TEXT) };
  }
  const { code, grpc_code, message, error } = asRecord(value);
  const number = Number(code ?? grpc_code ?? 2);
  const text = String(message ?? error ?? '').slice(0, MOST_TEXT);
  if (text.includes('has been compacted')) return { ...EXPIRED, message: text };
  if (text.includes('future revision')) return { ...failure(number, text), causes: [AHEAD] };
  return { ...failure(number, text), status: HTTP_STATUS[number] ?? httpStatus };
}

/** What the API server calls a version that it has not reached. */
const AHEAD = 'ResourceVersionTooLarge';

/** The server's data are older than what was read before. */
export function wentBack(what: string, header: Header): ApiError {
  const message = `etcd is at revision ${header.revision}, which is before what was read already`;
  return new ApiError(what, { status: 400, reason: '', message, causes: [AHEAD] });
}

/** Whether a new token helps: it has expired, was of another member, or is older than a change of users. */
export function isTokenRefused({ status, reason, message }: ApiFailure): boolean {
  if (status === 401) return true;
  if (reason !== String(GRPC.invalidArgument)) return false;
  return message.includes('user name is empty') || message.includes('auth store is old');
}
