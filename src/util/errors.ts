/**
 * Errors of the whole agent. Every class has a literal `code`, so callers switch on a value and
 * never on text. Messages read "<what failed> <object>: <reason>".
 */

/** Base of all errors thrown on purpose; anything else that surfaces is a bug. */
export class WeftError extends Error {
  readonly code: string;

  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
    this.code = code;
  }
}

/** A configuration value is wrong; `key` is the dotted path to it (`ipam.ranges[0][0].subnet`). */
export class ConfigError extends WeftError {
  readonly key: string;

  constructor(key: string, message: string, options?: ErrorOptions) {
    super('CONFIG', message, options);
    this.key = key;
  }
}

/** A file, socket or process could not be read, written or started. */
export class IoError extends WeftError {
  constructor(message: string, options?: ErrorOptions) {
    super('IO', message, options);
  }
}

/** Input text is not what its format demands. */
export class DecodeError extends WeftError {
  constructor(message: string, options?: ErrorOptions) {
    super('DECODE', message, options);
  }
}

/** A bounded wait (lock, reply, endpoint) ran out; trying again later may succeed. */
export class BusyError extends WeftError {
  constructor(message: string, options?: ErrorOptions) {
    super('BUSY', message, options);
  }
}

/**
 * Folds errors collected by an undo or teardown into one: nothing for none, the error itself for
 * one, an AggregateError whose message lists all otherwise.
 */
export function joinErrors(errors: readonly unknown[], message: string): Error | undefined {
  if (errors.length === 0) return undefined;
  if (errors.length === 1) return toError(errors[0]);
  const texts = errors.map((error) => toError(error).message).join('; ');
  return new AggregateError(errors, `${message}: ${texts}`);
}

/** Runs every step, whatever fails, and throws what failed as one error at the end. */
export function runAll(steps: Iterable<() => void>, message: string): void {
  const error = joinErrors(failuresOf(steps), message);
  if (error !== undefined) throw error;
}

/** Runs every step and gives what was thrown. */
export function failuresOf(steps: Iterable<() => void>): readonly Error[] {
  return Array.from(steps).flatMap((step) => {
    try {
      step();
      return [];
    } catch (thrown) {
      return [toError(thrown)];
    }
  });
}

/** Turns a caught `unknown` into an Error without losing what it was. */
export function toError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}

/** The `code` of a system or weft error (`ENOENT`, `CONFIG`), undefined when it has none. */
export function errorCode(thrown: unknown): string | undefined {
  if (typeof thrown !== 'object' || thrown === null || !('code' in thrown)) return undefined;
  return typeof thrown.code === 'string' ? thrown.code : undefined;
}

/** Ends an exhaustive switch: a compile error when a case is missing, a throw if it is reached. */
export function assertNever(value: never, what: string): never {
  throw new Error(`${what}: unexpected ${JSON.stringify(value)}`);
}
