import { DecodeError } from '../../util/errors.ts';
import { parseJson } from '../../util/json.ts';
import { ApiError, parseStatus } from './api-error.ts';

export type WatchEventType = 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK';

export interface WatchEvent {
  readonly type: WatchEventType;
  readonly object: unknown;
}

/** What a list answer says besides its items. */
export interface ListHead {
  /** Empty on the last page. */
  readonly continueToken: string;
  readonly resourceVersion: string;
}

/** One line of a watch. Throws ApiError for an ERROR event, DecodeError for anything unknown. */
export function parseWatchEvent(line: string, path: string): WatchEvent {
  const { type, object } = asRecord(parseJson(line));
  if (type === 'ADDED' || type === 'MODIFIED' || type === 'DELETED' || type === 'BOOKMARK') {
    return { type, object };
  }
  if (type === 'ERROR') {
    throw new ApiError(`watch ${path}`, { ...parseStatus(object, 500), isWatchEvent: true });
  }
  throw new DecodeError(`watch ${path}: not an event`);
}

/** A list answer without its items. Throws DecodeError. */
export function parseListHead(text: string, path: string): ListHead {
  const { metadata, items } = asRecord(parseJson(text));
  const { resourceVersion, continue: token } = asRecord(metadata);
  if (typeof resourceVersion !== 'string') throw new DecodeError(`get ${path}: not a list`);
  // Go encodes an empty list of some kinds as null.
  if (!Array.isArray(items ?? [])) throw new DecodeError(`get ${path}: items is not a list`);
  return { continueToken: typeof token === 'string' ? token : '', resourceVersion };
}

/** An object as it is, an empty one for every other value. */
export function asRecord(value: unknown): Readonly<Record<string, unknown>> {
  // Any object can be indexed by string; what is read stays unknown.
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}
