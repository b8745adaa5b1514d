import { type DestinationStream, type Logger, pino, stdSerializers } from 'pino';
import { bounded } from './bounded.ts';
import { LogSink } from './log-sink.ts';

export type { Logger } from 'pino';

export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

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
  const log = pino(
    {
      level,
      base: null,
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
      formatters: { level: (label) => ({ level: label }) },
      serializers: {
        err: (error: Error) => bounded(stdSerializers.errWithCause(error)),
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
