/** The kernel settings an attachment needs, as values, and the one way to write them. */
import type { Netns, Sysctls } from '../../kernel/types.ts';
import type { IPFamily } from '../../net/ip.ts';
import { errorCode, toError } from '../../util/errors.ts';
import type { SysctlSetting } from '../node-plan.ts';

/** What it takes to be a router of these families. */
export function forwardingSysctls(families: readonly IPFamily[]): readonly SysctlSetting[] {
  return families.map((family) => ({ path: FORWARDING_PATH[family], value: '1' }));
}

/** Routers inside pods shall not configure the node. */
export function acceptNoRouterAdvertisements(link: string): SysctlSetting {
  return { path: `net/ipv6/conf/${link}/accept_ra`, value: '0', isOptional: true };
}

/**
 * The pod announces its addresses, so that others forget a former owner. A runtime may switch IPv6
 * off in new namespaces; IPv6 addresses shall outlive `ip link set down`.
 */
export function podSysctls(
  ifName: string,
  families: readonly IPFamily[],
  detectsDuplicates: boolean,
): readonly SysctlSetting[] {
  const v4 = [{ path: `net/ipv4/conf/${ifName}/arp_notify`, value: '1', isOptional: true }];
  const v6 = [
    { path: 'net/ipv6/conf/lo/disable_ipv6', value: '0' },
    { path: `net/ipv6/conf/${ifName}/disable_ipv6`, value: '0' },
    { path: `net/ipv6/conf/${ifName}/keep_addr_on_down`, value: '1', isOptional: true },
    { path: `net/ipv6/conf/${ifName}/ndisc_notify`, value: '1', isOptional: true },
  ];
  const detection = [
    { path: `net/ipv6/conf/${ifName}/enhanced_dad`, value: '1', isOptional: true },
    { path: `net/ipv6/conf/${ifName}/accept_dad`, value: '1' },
  ];
  return families.flatMap((family) => {
    if (family === 4) return v4;
    return detectsDuplicates ? [...v6, ...detection] : v6;
  });
}

/** Writes what differs, in order. An optional setting may be missing or read-only. */
export function applySysctls(
  sysctls: Sysctls,
  netns: Netns | undefined,
  settings: readonly SysctlSetting[],
): void {
  for (const { path, value, isOptional } of settings) {
    try {
      sysctls.write(netns, path, value);
    } catch (thrown) {
      if (isOptional !== true || !isUnchangeable(thrown)) throw thrown;
    }
  }
}

/** Nested containers see /proc/sys read-only; a kernel without IPv6 has none of its settings. */
function isUnchangeable(thrown: unknown): boolean {
  const code = errorCode(toError(thrown).cause);
  return code === 'ENOENT' || code === 'EROFS' || code === 'EACCES' || code === 'EPERM';
}

const FORWARDING_PATH: Readonly<Record<IPFamily, string>> = {
  4: 'net/ipv4/ip_forward',
  6: 'net/ipv6/conf/all/forwarding',
};
