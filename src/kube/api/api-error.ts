import { WeftError } from '../../util/errors.ts';

/** The API server answered with a failure: `status` is the HTTP status, `reason` the Status reason. */
export class ApiError extends WeftError {
  readonly status: number;
  /** `Expired`, `Forbidden`, ...; empty when the server gave none. */
  readonly reason: string;
  /** How long the server asks to stay away. */
  readonly retryAfterMs: number | undefined;
  /** `ResourceVersionTooLarge`, ...: details.causes of the Status. */
  readonly causes: readonly string[];
  /** Reported inside a running watch, not as the answer to a request. */
  readonly isWatchEvent: boolean;

  constructor(what: string, failure: ApiFailure) {
    super('API', `${what}: ${failure.status} ${failure.reason}: ${failure.message}`);
    this.status = failure.status;
    this.reason = failure.reason;
    this.retryAfterMs = failure.retryAfterMs;
    this.causes = failure.causes ?? [];
    this.isWatchEvent = failure.isWatchEvent === true;
  }

  /** The resource version or continue token is too old: only a new list helps. */
  get isExpired(): boolean {
    return this.status === 410 || this.reason === 'Expired' || this.reason === 'Gone';
  }

  /** The resource version is one the server has not reached: it holds older data than before. */
  get isAhead(): boolean {
    return this.causes.includes('ResourceVersionTooLarge');
  }
}

export interface ApiFailure {
  readonly status: number;
  readonly reason: string;
  readonly message: string;
  readonly retryAfterMs?: number | undefined;
  readonly causes?: readonly string[];
  readonly isWatchEvent?: boolean;
}

const MAX_MESSAGE_LENGTH = 500;

/** Reads a metav1.Status, from an answer's body or a watch event; anything else keeps the status. */
export function parseStatus(value: unknown, httpStatus: number): ApiFailure {
  if (typeof value !== 'object' || value === null) {
    return { status: httpStatus, reason: '', message: String(value).slice(0, MAX_MESSAGE_LENGTH) };
  }
  // Any object may lack these properties; each is checked before use.
  const { code, reason, message, details } = value as {
    code?: unknown;
    reason?: unknown;
    message?: unknown;
    details?: { causes?: unknown } | null;
  };
  return {
    status: typeof code === 'number' ? code : httpStatus,
    reason: typeof reason === 'string' ? reason : '',
    message: typeof message === 'string' ? message.slice(0, MAX_MESSAGE_LENGTH) : '',
    causes: parseCauses(details?.causes),
  };
}

function parseCauses(causes: unknown): string[] {
  if (!Array.isArray(causes)) return [];
  // metav1.StatusCause calls it `reason` in JSON.
  return causes.map((cause: { reason?: unknown } | null) => String(cause?.reason ?? ''));
}
