/** One ADD or DEL at a time in a pod, and how a DEL finds the pod that it has not been told. */
import type { Netns } from '../kernel/types.ts';
import { BusyError, toError } from '../util/errors.ts';
import { type FlockOptions, takeFlock } from '../util/wait.ts';
import { openPlace } from './machine.ts';
import type { DelCall, PluginCall } from './plugin.ts';

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

/** ADDs are kept out of a pod until `end`, unless `note` says why not. */
export interface PodClaim {
  readonly note: string;
  end(): void;
}

/**
 * Waits for an ADD in the pod to end and keeps others out. Without CNI_NETNS, or with one that leads
 * nowhere, the pod is the one that the attachment's ADD was told. A DEL goes on beside an ADD that
 * takes too long, so this never throws. `claimed` are namespaces that the caller has already; this
 * one is added.
 */
export function claimForDel(call: DelCall, claimed: Set<string>): PodClaim {
  let remembered: Netns | undefined;
  let unlock: (() => void) | undefined;
  let note = '';
  try {
    if (call.netns === undefined) remembered = openRemembered(call);
    const netns = call.netns ?? remembered;
    if (netns !== undefined && !claimed.has(netns.id)) {
      claimed.add(netns.id);
      unlock = call.node.kernel.claimNetns(netns);
    }
  } catch (thrown) {
    note = `weft: DEL does not wait: ${toError(thrown).message}\n`;
  }
  const end = () => {
    unlock?.();
    remembered?.close();
  };
  return { note, end };
}

/**
 * The journal knows the namespace from before the ADD's first change on; where a DEL has written its
 * own entry over that, the record does. One that is gone has no ADD that could be waited for.
 */
function openRemembered({ node, attachment }: PluginCall): Netns | undefined {
  const place = node.journal.netnsOf(attachment) ?? node.records?.read(attachment)?.netns;
  return place && openPlace(node.kernel.netnses, place);
}
