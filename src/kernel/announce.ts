import type { IP } from '../net/ip.ts';
import type { Mac } from '../net/mac.ts';
import { wire } from '../netlink/wire.ts';
import { announcementFrame } from './frames.ts';
import type { Netns } from './types.ts';

/** That an address is at a hardware address now, told to the neighbours behind one link. */
export interface Announcement {
  /** ifindex. */
  readonly link: number;
  readonly address: IP;
  readonly mac: Mac;
}

/**
 * Tells each link's neighbours, one frame per announcement. The frames leave at once, so the port behind the
 * link should forward already. Gives how many were sent: those of links that are gone or down are not.
 * Throws where no frame can be sent at all (EPERM without CAP_NET_RAW).
 */
export function announce(netns: Netns | undefined, announcements: readonly Announcement[]): number {
  if (announcements.length === 0) return 0;
  const links = announcements.map(({ link }) => link);
  const frames = announcements.map(({ address, mac }) => announcementFrame(address, mac));
  const outcomes = wire.sendFrames(netns?.fd ?? -1, links, frames);
  return outcomes.filter((errno) => errno === 0).length;
}
