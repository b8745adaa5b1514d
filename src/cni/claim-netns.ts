import type { Netns } from '../kernel/types.ts';
import { BusyError } from '../util/errors.ts';
import { type FlockOptions, takeFlock } from '../util/wait.ts';

/**
 * flock(2) on the namespace itself: it needs no file of its own, and the kernel lets go of it with
 * the process. Gives the way to end it; throws BusyError when another process does not end it in time.
 */
export function claimNetns(netns: Netns, options: FlockOptions): () => void {
  if (!takeFlock(netns.fd, options)) {
    const seconds = options.timeoutMs / 1000;
    throw new BusyError(
      `another process has been adding to network namespace ${netns.id} for ${seconds} s`,
    );
  }
  return () => void options.flock(netns.fd, 'unlock');
}
