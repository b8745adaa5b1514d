import { BusyError, DecodeError, IoError, WeftError } from '../../util/errors.ts';
import { ApiError } from './api-error.ts';

/** Why a list or watch failed: the bounded set of reasons that metrics can carry. */
export type FailureReason =
  | 'unauthorized'
  | 'forbidden'
  | 'missing'
  | 'expired'
  | 'rewound'
  | 'throttled'
  | 'client'
  | 'server'
  | 'timeout'
  | 'connection'
  | 'decode'
  | 'credentials';

/** A watch told of something older than it had told before. */
export class RewoundError extends WeftError {
  constructor(version: string, position: string) {
    super('REWOUND', `watch: version ${version} comes after ${position}`);
  }
}

/**
 * Whether the resume point must be given up. Overload and server faults pass by themselves, and a
 * list from every node is what an overloaded server needs least.
 */
export function isListNeeded(error: Error): boolean {
  if (error instanceof RewoundError) return true;
  if (!(error instanceof ApiError)) return false;
  if (error.isExpired || error.isAhead || error.isWatchEvent) return true;
  return error.status >= 400 && error.status < 500 && ![401, 403, 408, 429].includes(error.status);
}

export function failureReason(error: Error): FailureReason {
  if (error instanceof RewoundError) return 'rewound';
  if (error instanceof BusyError) return 'timeout';
  if (error instanceof DecodeError) return 'decode';
  if (error instanceof ApiError) return apiFailureReason(error);
  if (error instanceof IoError) return 'connection';
  return 'credentials';
}

function apiFailureReason(error: ApiError): FailureReason {
  if (error.isExpired) return 'expired';
  if (error.isAhead) return 'rewound';
  if (error.status === 401) return 'unauthorized';
  if (error.status === 403) return 'forbidden';
  if (error.status === 404) return 'missing';
  if (error.status === 429) return 'throttled';
  return error.status >= 500 ? 'server' : 'client';
}
