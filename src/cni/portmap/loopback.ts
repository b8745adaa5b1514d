/** 127.0.0.1 of the node as a way to a pod. */
import { linkSysctl } from '../../kernel/sysctls.ts';
import type { Sysctls } from '../../kernel/types.ts';
import { containsIP, prefixLength } from '../../net/cidr.ts';
import type { IP } from '../../net/ip.ts';
import { type CniKernel, withRtnl } from '../node.ts';
import type { Result } from '../protocol/result.ts';

/**
 * The node's link that leads to the pod: the first one on the node in the result (a bridge, or the
 * node's end of a pair), or what the routes say when the result has none that exists.
 */
export function findLoopbackLink(
  kernel: CniKernel,
  previous: Result,
  pod: IP | undefined,
): string | undefined {
  const told = previous.interfaces.find(({ sandbox }) => (sandbox ?? '') === '')?.name;
  if (told !== undefined && kernel.sysctls.read(undefined, routeLocalnet(told)) !== undefined) {
    return told;
  }
  return pod === undefined
    ? undefined
    : withRtnl(kernel, undefined, (rtnl) => {
        const routes = rtnl.routes(4).filter(({ destination }) => containsIP(destination, pod));
        routes.sort((a, b) => prefixLength(b.destination) - prefixLength(a.destination));
        const index = routes[0]?.link;
        return index === undefined ? undefined : rtnl.linkByIndex(index)?.name;
      });
}

/**
 * Lets packets from 127.0.0.0/8 leave by the link, and their answers come back. The rule that keeps
 * pods away from what listens there must be in the kernel before: layout.ts, loopback-guard.
 */
export function enableRouteLocalnet(sysctls: Sysctls, link: string): void {
  sysctls.write(undefined, routeLocalnet(link), '1');
}

/** True when it is set, and when there is no such link. */
export function hasRouteLocalnet(sysctls: Sysctls, link: string): boolean {
  return (sysctls.read(undefined, routeLocalnet(link)) ?? '1') === '1';
}

function routeLocalnet(link: string): string {
  return linkSysctl('ipv4', link, 'route_localnet');
}
