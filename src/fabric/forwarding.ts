import { linkSysctl } from '../kernel/sysctls.ts';
import type { IPFamily } from '../net/ip.ts';
import type { FabricKernel } from './tunnel.ts';
import type { Underlay } from './underlay.ts';

const FORWARDING = {
  4: 'net/ipv4/ip_forward',
  6: 'net/ipv6/conf/all/forwarding',
} as const;

/**
 * Lets the node pass on packets of these families. With IPv6 forwarding a link ignores router
 * advertisements unless `accept_ra` is 2 (Documentation/networking/ip-sysctl), and a node that got
 * its default route from one would lose it.
 */
export function ensureForwarding(
  { sysctls, netns }: Pick<FabricKernel, 'sysctls' | 'netns'>,
  families: Iterable<IPFamily>,
  underlay: Underlay,
): void {
  for (const family of families) {
    const path = FORWARDING[family];
    if (sysctls.read(netns, path) === '1') continue;
    if (family === 6 && underlay.own[6] !== undefined) {
      const acceptRa = linkSysctl('ipv6', underlay.own[6].link.name, 'accept_ra');
      if (sysctls.read(netns, acceptRa) === '1') sysctls.write(netns, acceptRa, '2');
    }
    sysctls.write(netns, path, '1');
  }
}
