import { openRtnl } from '../../kernel/rtnl.ts';
import type { NodeRtnl, RouteLookup } from '../../kernel/types.ts';
import { parseIP } from '../../net/ip.ts';
import type { UiUplink } from './snapshot.ts';

/** Of networks for documents (RFC 5737, RFC 3849), which nobody has: the default route leads there. */
const ELSEWHERE = [parseIP('192.0.2.1'), parseIP('2001:db8::1')];

/** The link of the default route: IPv4's, else IPv6's. */
export function findUplink(open: () => NodeRtnl & RouteLookup = openRtnl): UiUplink | undefined {
  const rtnl = open();
  try {
    const route = ELSEWHERE.flatMap((address) => rtnl.routeTo(address) ?? [])[0];
    const link = route?.link === undefined ? undefined : rtnl.linkByIndex(route.link);
    if (link === undefined) return undefined;
    const { name, mtu, isUp } = link;
    return { name, addresses: rtnl.addresses(link.index).map(({ address }) => address), mtu, isUp };
  } finally {
    rtnl.close();
  }
}
