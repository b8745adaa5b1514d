import type { Link, LinkAddress, Netns, Rtnl } from '../../kernel/types.ts';
import { ipWithPrefix } from '../../net/cidr.ts';
import { type IPFamily, ipFamily, isLoopback } from '../../net/ip.ts';
import { withRtnl } from '../node.ts';
import type { NetnsCall, Plugin } from '../plugin.ts';
import { parsePreviousResult } from '../protocol/previous-result.ts';
import type { Result } from '../protocol/result.ts';

/**
 * Raises `lo` of the pod, whatever CNI_IFNAME says, and tells its addresses; prevResult is passed on.
 * DEL lowers it. Follows the reference's plugins/main/loopback.
 */
export const loopback: Plugin = {
  name: 'loopback',
  add: (call) => {
    const previous = parsePreviousResult(call.request);
    const addresses = withLoopback(call, (pod, link) => {
      if (!link.isUp) pod.changeLink(link.index, { isUp: true });
      return pod.addresses(link.index);
    });
    const foreign = addresses.find(({ address }) => !isLoopback(address));
    if (foreign !== undefined) {
      throw new Error(`loopback interface found with non-loopback address "${foreign.address}"`);
    }
    return previous ?? buildResult(addresses, call.request.netnsPath);
  },
  del: ({ node, netns }) => {
    if (netns === undefined) return;
    withLoopback({ node, netns }, (pod, link) => {
      if (link.isUp) pod.changeLink(link.index, { isUp: false });
    });
  },
  check: (call) =>
    withLoopback(call, (_pod, link) => {
      if (!link.isUp) throw new Error('loopback interface is down');
    }),
  status: () => undefined,
  gc: () => undefined,
};

function withLoopback<T>(
  { node, netns }: Pick<NetnsCall, 'node'> & { readonly netns: Netns },
  job: (pod: Rtnl, link: Link) => T,
): T {
  return withRtnl(node.kernel, netns, (pod) => {
    const link = pod.link('lo');
    if (link === undefined) throw new Error('link "lo" is missing in the namespace');
    return job(pod, link);
  });
}

/** The first address of each family, as the reference does. */
function buildResult(addresses: readonly LinkAddress[], sandbox: string): Result {
  const first = (family: IPFamily) => addresses.find((one) => ipFamily(one.address) === family);
  return {
    interfaces: [{ name: 'lo', mac: '00:00:00:00:00:00', sandbox }],
    ips: [first(4), first(6)].flatMap((found) => {
      if (found === undefined) return [];
      return [{ interface: 0, address: ipWithPrefix(found.address, found.prefixLength) }];
    }),
    routes: [],
    dns: {},
  };
}
