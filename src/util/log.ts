import { type DestinationStream, type Logger, pino, stdSerializers } from 'pino';
import { bounded } from './bounded.ts';
import { type Clock, systemClock } from './clock.ts';
import { LogSink } from './log-sink.ts';

export type { Logger } from 'pino';

export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** How long the stack of an errno is not told again. */
const STACK_EVERY_MS = 60_000;
/** There are fewer errnos. */
const MOST_CODES = 200;

/** As pino makes them, with their causes. */
type ErrorFields = Readonly<Record<string, unknown>>;

/** What the kernel or the network refuses comes in hundreds; where from was told by the first. */
function stackLimit({ elapsed }: Pick<Clock, 'elapsed'>): (error: ErrorFields) => ErrorFields {
  const toldAtMs = new Map<string, number>();
  return (error) => {
    const code = errnoOf(error);
    if (code === undefined) return error;
    const at = toldAtMs.get(code);
    const now = elapsed();
    if (at !== undefined && now - at < STACK_EVERY_MS) return withoutStacks(error);
    if (toldAtMs.size >= MOST_CODES) toldAtMs.clear();
    toldAtMs.set(code, now);
    return error;
  };
}

/** Its own, or that of what caused it. */
function errnoOf({ code, cause }: ErrorFields): string | undefined {
  if (typeof code === 'string' && /^E[A-Z\d]+$/.test(code)) return code;
  return isFields(cause) ? errnoOf(cause) : undefined;
}

function withoutStacks({ stack: _, cause, ...rest }: ErrorFields): ErrorFields {
  return isFields(cause) ? { ...rest, cause: withoutStacks(cause) } : rest;
}

function isFields(value: unknown): value is ErrorFields {
  return typeof value === 'object' && value !== null;
}

/** Fields that hold what others wrote. */
const BOUNDED_TEXTS = Object.fromEntries(
  ['reason', 'error', 'note', 'warning'].map((field) => [
    field,
    (value: unknown) => bounded(value),
  ]),
);

/** A logger whose level can change while it is in use. */
export interface LevelledLogger {
  readonly log: Logger;
  /** Applies to `log` and to every child made of it. */
  setLevel(level: LogLevel): void;
}

/** A logger to standard error, or to `stream`; see createLevelledLogger. */
export function createLogger(level: LogLevel, stream: DestinationStream = new LogSink(2)): Logger {
  return createLevelledLogger(level, stream).log;
}

/**
 * A structured logger: one JSON object per line, constant lower-case message, facts in fields.
 * `err` fields keep their cause chain; tokens are redacted wherever they might slip in.
 */
export function createLevelledLogger(level: LogLevel, stream: DestinationStream): LevelledLogger {
  const children: WeakRef<Logger>[] = [];
  const withoutRepeatedStacks = stackLimit(systemClock);
  const log = pino(
    {
      level,
      base: null,
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
      formatters: { level: (label) => ({ level: label }) },
      serializers: {
        err: (error: Error) =>
          bounded(withoutRepeatedStacks({ ...stdSerializers.errWithCause(error) })),
        ...BOUNDED_TEXTS,
      },
      redact: ['token', '*.token', 'headers.authorization', '*.headers.authorization'],
      // pino copies the level into each child at its birth.
      onChild: (child) => void children.push(new WeakRef(child)),
    },
    stream,
  );
  return {
    log,
    setLevel: (wanted) => {
      log.level = wanted;
      for (const child of children) {
        const logger = child.deref();
        if (logger !== undefined) logger.level = wanted;
      }
    },
  };
}
