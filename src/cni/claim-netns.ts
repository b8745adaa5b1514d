import type { Netns } from '../kernel/types.ts';
import type { Wire } from '../netlink/wire.ts';
import { BusyError } from '../util/errors.ts';

export interface ClaimOptions {
  readonly flock: Wire['flock'];
  readonly timeoutMs: number;
  /** Holds up the calling thread, milliseconds. */
  readonly pause: (ms: number) => void;
}

const longestPauseMs = 10;

/**
 * flock(2) on the namespace itself: it needs no file of its own, and the kernel lets go of it with
 * the process. Gives the way to end it; throws BusyError when another process does not end it in time.
 */
export function claimNetns(netns: Netns, { flock, timeoutMs, pause }: ClaimOptions): () => void {
  let pauseMs = 1;
  for (let waitedMs = 0; !flock(netns.fd, 'exclusive'); waitedMs += pauseMs) {
    if (waitedMs >= timeoutMs) {
      throw new BusyError(
        `another process has been adding to network namespace ${netns.id} for ${timeoutMs / 1000} s`,
      );
    }
    pauseMs = Math.min(pauseMs + 1, longestPauseMs);
    pause(pauseMs);
  }
  return () => void flock(netns.fd, 'unlock');
}
