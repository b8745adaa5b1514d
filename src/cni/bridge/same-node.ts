/**
 * Packets between pods of one bridge, sent through the node instead of from port to port: so the forward
 * hook sees them, with br_netfilter or without. Ports are isolated, and one link of the node answers
 * for every pod: by proxy_arp_pvlan (RFC 3069), and by proxy_ndp with a proxy neighbour per IPv6 address.
 */
import type { NodeRtnl } from '../../kernel/types.ts';
import type { IP, IPFamily } from '../../net/ip.ts';
import { ipFamily } from '../../net/ip.ts';
import type { Mac } from '../../net/mac.ts';
import type { CniNode } from '../node.ts';
import type { NodePlan, SameNodePlan, SysctlSetting } from '../node-plan.ts';
import type { BridgeConfig } from './config.ts';

/** rtnetlink's protocol of our proxy neighbours; /etc/iproute2/rt_protos leaves it free. */
export const PROXY_PROTOCOL = 202;

/** What a pod with these addresses needs; `link` has its gateway's addresses. */
export function sameNodePlan(link: string, mac: Mac, addresses: readonly IP[]): SameNodePlan {
  const families = new Set(addresses.map(ipFamily));
  return {
    link,
    mac,
    sysctls: ([4, 6] as const).flatMap((family) =>
      families.has(family) ? SYSCTLS[family](link) : [],
    ),
    proxied: addresses.filter((address) => ipFamily(address) === 6),
  };
}

/**
 * Whether a new pod sends through the node: by its configuration, or because policies are enforced here and
 * the node's answers on that bridge harm nobody. Those of other ports, and pods with portIsolation, would be harmed.
 */
export function routesSameNode(
  config: BridgeConfig,
  { policies, kernel }: CniNode,
  host: NodeRtnl,
): boolean {
  if (config.policy) return true;
  const { bridge: name, isGateway, portIsolation, uplinkInterface } = config;
  if (policies === undefined || !isGateway || portIsolation || uplinkInterface !== undefined)
    return false;
  const bridge = host.link(name);
  if (bridge === undefined) return true;
  const links = host.links();
  const gateways = links.filter((link) => link.name === name || link.name.startsWith(`${name}.`));
  if (gateways.some((link) => answersForOthers(link.name, kernel))) return true;
  return links
    .filter(({ master }) => master === bridge.index)
    .every(({ kind, port }) => kind === 'veth' && port?.isolated !== true);
}

function answersForOthers(link: string, { sysctls }: CniNode['kernel']): boolean {
  const paths = [`net/ipv4/conf/${link}/proxy_arp_pvlan`, `net/ipv6/conf/${link}/proxy_ndp`];
  return paths.some((path) => sysctls.read(undefined, path) === '1');
}

/** The link that has the gateway's addresses. */
export function gatewayLink({
  bridge,
  vlanGateway,
}: Pick<NodePlan, 'bridge' | 'vlanGateway'>): string {
  return (vlanGateway ?? bridge).name;
}

/** Has the link answer for an address. */
export function setProxy(host: NodeRtnl, link: number, address: IP): void {
  host.setProxyNeighbour({ link, address, protocol: PROXY_PROTOCOL });
}

/** No longer; no error where it did not. */
export function deleteProxy(host: NodeRtnl, link: number, address: IP): void {
  if (ipFamily(address) === 6)
    host.deleteProxyNeighbour({ link, address, protocol: PROXY_PROTOCOL });
}

/**
 * Answers leave at once: by default the kernel lets each first packet wait for up to 0.8 s. A redirect
 * would tell a pod of a way that is none; all/send_redirects counts for every link (IN_DEV_TX_REDIRECTS), and
 * other links keep their own.
 */
const SYSCTLS: Readonly<Record<IPFamily, (link: string) => readonly SysctlSetting[]>> = {
  4: (link) => [
    { path: `net/ipv4/neigh/${link}/proxy_delay`, value: '0' },
    { path: 'net/ipv4/conf/all/send_redirects', value: '0', isOptional: true },
    { path: `net/ipv4/conf/${link}/send_redirects`, value: '0', isOptional: true },
    { path: `net/ipv4/conf/${link}/proxy_arp_pvlan`, value: '1' },
  ],
  6: (link) => [
    { path: `net/ipv6/neigh/${link}/proxy_delay`, value: '0' },
    { path: `net/ipv6/conf/${link}/proxy_ndp`, value: '1' },
  ],
};
