import { setTimeout } from 'node:timers/promises';
import type { RouteLookup } from '../../../kernel/types.ts';
import { type IP, ipFamily } from '../../../net/ip.ts';

const INTERVAL_MS = 5;
const MOST_LOOKS = 200;

/**
 * Waits, a second at most, until new addresses are reached: for IPv6 the kernel adds the local route
 * from a work queue (net/ipv6/addrconf.c, addrconf_dad_work), some milliseconds after the address.
 */
export async function untilRouted(
  kernel: Pick<RouteLookup, 'localRoutes'>,
  addresses: readonly IP[],
): Promise<void> {
  let waiting = addresses.filter((ip) => ipFamily(ip) === 6);
  for (let looks = 0; waiting.length > 0 && looks < MOST_LOOKS; looks++) {
    const routed = new Set(kernel.localRoutes(6));
    waiting = waiting.filter((ip) => !routed.has(ip));
    if (waiting.length > 0) await setTimeout(INTERVAL_MS);
  }
}
