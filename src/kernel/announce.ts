import type { IP } from '../net/ip.ts';
import type { Mac } from '../net/mac.ts';
import { wire } from '../netlink/wire.ts';
import { IoError, toError } from '../util/errors.ts';
import { announcementFrame } from './frames.ts';
import type { Netns } from './types.ts';

/**
 * Tells the link's neighbours that `addresses` are at `mac`, one frame each. The frames leave at
 * once, so the port behind the link should forward already. `link` is an ifindex of `netns`.
 */
export function announce(
  netns: Netns | undefined,
  link: number,
  addresses: readonly IP[],
  mac: Mac,
): void {
  for (const address of addresses) {
    try {
      wire.sendFrame(netns?.fd ?? -1, link, announcementFrame(address, mac));
    } catch (error) {
      throw new IoError(`announce ${address} on link ${link}: ${toError(error).message}`, {
        cause: error,
      });
    }
  }
}
