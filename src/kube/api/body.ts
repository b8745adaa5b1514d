import type { Clock } from '../../util/clock.ts';
import { BusyError, IoError, toError } from '../../util/errors.ts';
import type { Answer } from './connection.ts';

export interface ReadLimits {
  /** What is read, for errors. */
  readonly path: string;
  /** Longest silence. */
  readonly idleMs: number;
  /** Longest time for the whole body, with what the reader does meanwhile. */
  readonly totalMs: number;
}

/**
 * An answer's body, chunk by chunk; the server is held back while the reader is busy. Throws
 * BusyError when a limit runs out, IoError when the connection breaks. The connection is gone after
 * both, and when the reader leaves early.
 */
export async function* readBody(
  { body, isCut }: Answer,
  limits: ReadLimits,
  clock: Clock,
): AsyncGenerator<Buffer, void> {
  const deadlines = startDeadlines(limits, clock, (error) => body.destroy(error));
  try {
    // A connection that broke before anybody listened reports nothing later.
    if (body.destroyed && isCut()) throw new Error('connection closed');
    for await (const chunk of body) {
      deadlines.pause();
      yield chunk;
      deadlines.touch();
    }
    if (isCut()) throw new Error('connection closed');
  } catch (thrown) {
    if (thrown instanceof BusyError) throw thrown;
    throw new IoError(`get ${limits.path}: ${toError(thrown).message}`, { cause: thrown });
  } finally {
    deadlines.cancel();
  }
}

function startDeadlines(limits: ReadLimits, clock: Clock, onExpired: (error: Error) => void) {
  const expire = (ms: number) =>
    onExpired(new BusyError(`get ${limits.path}: nothing received within ${ms} ms`));
  let lastChunkAt = clock.elapsed();
  let isReaderBusy = false;
  // One timer that looks back instead of one per chunk: a busy watch gets thousands of them.
  const checkIdle = () => {
    const leftMs = isReaderBusy ? limits.idleMs : lastChunkAt + limits.idleMs - clock.elapsed();
    if (leftMs <= 0) expire(limits.idleMs);
    else cancelIdle = clock.schedule(leftMs, checkIdle);
  };
  let cancelIdle = clock.schedule(limits.idleMs, checkIdle);
  const cancelTotal = clock.schedule(limits.totalMs, () => expire(limits.totalMs));
  return {
    pause: () => {
      isReaderBusy = true;
    },
    touch: () => {
      isReaderBusy = false;
      lastChunkAt = clock.elapsed();
    },
    cancel: () => {
      cancelIdle();
      cancelTotal();
    },
  };
}
