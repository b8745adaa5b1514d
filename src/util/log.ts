import { type DestinationStream, destination, type Logger, pino, stdSerializers } from 'pino';

export type { Logger } from 'pino';

export type LogLevel = 'trace' | 'debug' | 'info' | 'warn' | 'error' | 'fatal' | 'silent';

/**
 * A structured logger: one JSON object per line, constant lower-case message, facts in fields.
 * Writes synchronously so that the last lines before an exit are never lost; `err` fields keep
 * their cause chain; tokens are redacted wherever they might slip in.
 */
export function createLogger(
  level: LogLevel,
  stream: DestinationStream = destination({ fd: 2, sync: true }),
): Logger {
  return pino(
    {
      level,
      base: null,
      timestamp: () => `,"time":"${new Date().toISOString()}"`,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { err: stdSerializers.errWithCause },
      redact: ['token', '*.token', 'headers.authorization', '*.headers.authorization'],
    },
    stream,
  );
}
