import type { IncomingMessage } from 'node:http';
import type { Clock } from '../../util/clock.ts';
import { BusyError, IoError, toError } from '../../util/errors.ts';

export interface ReadLimits {
  /** What is read, for errors. */
  readonly path: string;
  /** Longest silence. */
  readonly idleMs: number;
  /** Longest time for the whole body. */
  readonly totalMs: number;
}

/**
 * Passes on an answer's body chunk by chunk until its end. Throws BusyError when a limit runs out,
 * IoError when the connection breaks, and what `onChunk` throws; the connection is gone after each.
 */
export function readBody(
  response: IncomingMessage,
  limits: ReadLimits,
  clock: Clock,
  onChunk: (chunk: Buffer) => void,
): Promise<void> {
  return new Promise<void>((resolve, reject) => {
    const deadlines = startDeadlines(limits, clock, (error) => fail(error));
    const fail = (error: Error) => {
      deadlines.cancel();
      response.destroy();
      reject(error);
    };
    const failed = (thrown: unknown) =>
      fail(new IoError(`get ${limits.path}: ${toError(thrown).message}`, { cause: thrown }));
    // A connection that broke before anybody listened reports nothing later.
    if (response.destroyed && !response.complete) return failed('connection closed');
    response.on('error', failed);
    response.once('end', () => {
      deadlines.cancel();
      resolve();
    });
    response.on('data', (chunk: Buffer) => {
      deadlines.touch();
      try {
        onChunk(chunk);
      } catch (thrown) {
        fail(toError(thrown));
      }
    });
  });
}

function startDeadlines(limits: ReadLimits, clock: Clock, onExpired: (error: Error) => void) {
  const expire = (ms: number) =>
    onExpired(new BusyError(`get ${limits.path}: nothing received within ${ms} ms`));
  let lastChunkAt = clock.now();
  // One timer that looks back instead of one per chunk: a busy watch gets thousands of them.
  const checkIdle = () => {
    const leftMs = lastChunkAt + limits.idleMs - clock.now();
    if (leftMs <= 0) expire(limits.idleMs);
    else cancelIdle = clock.schedule(leftMs, checkIdle);
  };
  let cancelIdle = clock.schedule(limits.idleMs, checkIdle);
  const cancelTotal = clock.schedule(limits.totalMs, () => expire(limits.totalMs));
  return {
    touch: () => {
      lastChunkAt = clock.now();
    },
    cancel: () => {
      cancelIdle();
      cancelTotal();
    },
  };
}
