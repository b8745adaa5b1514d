import { linkSysctl } from '../kernel/sysctls.ts';
import type { Link, Netns, NodeRtnl, Sysctls } from '../kernel/types.ts';
import { type Cidr, networkAddress } from '../net/cidr.ts';
import { addressBits, type IP, type IPFamily, ipFamily } from '../net/ip.ts';
import { codeOfFailure } from '../util/errno.ts';
import { WeftError } from '../util/errors.ts';
import { MIN_IPV6_MTU, TUNNEL_NAME, TUNNEL_OVERHEAD, tunnelMac } from './names.ts';
import type { Underlay } from './underlay.ts';

/** The tunnel device as it ought to be. */
export interface WantedTunnel {
  readonly nodeName: string;
  /** Outer source of what it sends. */
  readonly local: IP;
  readonly mtu: number;
  readonly vni: number;
  /** UDP, of this node and all others. */
  readonly port: number;
  /** What this node's own packets to pods of others come from. */
  readonly addresses: readonly IP[];
}

export interface TunnelSettings {
  readonly vni: number;
  readonly tunnelPort: number;
  /** 0 follows the link below. */
  readonly mtu: number;
}

/** IPv4 where the Node has it: the same choice everywhere, as an end hears one family only. */
export function tunnelFamily({ own }: Underlay): IPFamily | undefined {
  if (own[4] !== undefined) return 4;
  return own[6] === undefined ? undefined : 6;
}

/** Undefined while no address of the Node is on a link. */
export function wantedTunnel(
  nodeName: string,
  { underlay, podCIDRs }: { readonly underlay: Underlay; readonly podCIDRs: readonly Cidr[] },
  { vni, tunnelPort, mtu }: TunnelSettings,
): WantedTunnel | undefined {
  const family = tunnelFamily(underlay);
  const own = family === undefined ? undefined : underlay.own[family];
  if (family === undefined || own === undefined) return undefined;
  const room = own.link.mtu - TUNNEL_OVERHEAD[family];
  return {
    ...{ nodeName, local: own.address, vni, port: tunnelPort },
    mtu: mtu === 0 ? room : Math.min(mtu, room),
    // Answers come back by the tunnel then, which strict reverse path filtering asks for. No pod has the
    // first address of a network.
    addresses: podCIDRs.map(networkAddress),
  };
}

/** What the fabric needs of Linux, in one namespace. */
export interface FabricKernel {
  readonly rtnl: NodeRtnl;
  readonly sysctls: Sysctls;
  readonly netns: Netns | undefined;
}

type TunnelKernel = Pick<
  NodeRtnl,
  | 'addAddress'
  | 'addresses'
  | 'changeLink'
  | 'createVxlan'
  | 'deleteAddress'
  | 'deleteLink'
  | 'link'
  | 'links'
>;

/** The tunnel device, ready for entries. */
export interface OpenTunnel {
  readonly link: Link;
  /** Nothing is on it: it was made, or raised, just now. */
  readonly isNew: boolean;
  /** Whether it carries IPv6, also as gateways of IPv4. */
  readonly hasIPv6: boolean;
}

/** Everything about the device as it ought to be. Throws WeftError when it cannot be had. */
export function openTunnel(kernel: FabricKernel, wanted: WantedTunnel): OpenTunnel {
  const { link, isNew } = ensureTunnel(kernel.rtnl, wanted);
  const hasIPv6 = prepareTunnel(kernel) && wanted.mtu >= MIN_IPV6_MTU;
  const usable = wanted.addresses.filter((address) => hasIPv6 || ipFamily(address) === 4);
  ensureTunnelAddresses(kernel.rtnl, link.index, usable);
  return { link, isNew, hasIPv6 };
}

/**
 * Makes the device what it ought to be and gives it; `isNew` says that nothing is on it. What cannot
 * be changed on a VXLAN device is changed by making it anew. Throws WeftError when the name, the port
 * or the VNI is somebody else's.
 */
function ensureTunnel(
  kernel: TunnelKernel,
  wanted: WantedTunnel,
): { readonly link: Link; readonly isNew: boolean } {
  const present = kernel.link(TUNNEL_NAME);
  if (present !== undefined && present.kind !== 'vxlan') {
    throw new WeftError(
      'EEXIST',
      `link ${TUNNEL_NAME} is a ${present.kind} of somebody else's: delete it`,
    );
  }
  const mac = tunnelMac(wanted.nodeName);
  if (present !== undefined && isAsWanted(present, wanted)) {
    const change = {
      ...(present.mtu === wanted.mtu ? {} : { mtu: wanted.mtu }),
      ...(present.mac === mac ? {} : { mac }),
      ...(present.isUp ? {} : { isUp: true }),
    };
    if (Object.keys(change).length > 0) {
      sayWhoHasIt(kernel, wanted, () => kernel.changeLink(present.index, change));
    }
    return { link: { ...present, ...change }, isNew: !present.isUp };
  }
  if (present !== undefined) kernel.deleteLink(present.index);
  return { link: createTunnel(kernel, wanted), isNew: true };
}

function isAsWanted({ vxlan }: Link, { local, vni, port }: WantedTunnel): boolean {
  return (
    vxlan?.vni === vni &&
    vxlan.local === local &&
    vxlan.port === port &&
    !vxlan.isLearning &&
    vxlan.lower === undefined
  );
}

function createTunnel(kernel: TunnelKernel, wanted: WantedTunnel): Link {
  const { nodeName, local, mtu, vni, port } = wanted;
  const mac = tunnelMac(nodeName);
  sayWhoHasIt(kernel, wanted, () => {
    kernel.createVxlan({ name: TUNNEL_NAME, mac, mtu, vni, local, port });
  });
  const link = kernel.link(TUNNEL_NAME);
  if (link === undefined) throw new WeftError('ENODEV', `link ${TUNNEL_NAME} went away again`);
  return link;
}

/** EEXIST: another link has the VNI there. EADDRINUSE: a program has a socket on the port. */
function sayWhoHasIt(kernel: TunnelKernel, { vni, port }: WantedTunnel, change: () => void): void {
  const code = codeOfFailure(['EEXIST', 'EADDRINUSE'], change);
  if (code === undefined) return;
  if (code === 'EADDRINUSE') {
    const cure = `find it with "ss -lunp sport = :${port}", or set another fabric.tunnelPort on all nodes`;
    throw new WeftError(code, `UDP port ${port} is in use by a program: ${cure}`);
  }
  const other = kernel.links().find(({ vxlan }) => vxlan?.vni === vni && vxlan.port === port);
  const owner = other === undefined ? 'another VXLAN' : `link ${other.name}`;
  const cure = 'delete it, or set another fabric.vni or fabric.tunnelPort on all nodes';
  throw new WeftError(code, `VNI ${vni} on UDP port ${port} belongs to ${owner}: ${cure}`);
}

/** Gives the device its addresses, and takes those of former podCIDRs. */
function ensureTunnelAddresses(kernel: TunnelKernel, link: number, addresses: readonly IP[]): void {
  const present = kernel.addresses(link).filter(({ scope }) => scope === 'global');
  for (const address of present) {
    if (!addresses.includes(address.address)) kernel.deleteAddress(link, address);
  }
  for (const address of addresses) {
    if (present.some((each) => each.address === address)) continue;
    kernel.addAddress(link, { address, prefixLength: addressBits(ipFamily(address)) });
  }
}

/**
 * Lets packets in by the tunnel that this node would answer directly: while a back end is switched, one
 * node is ahead of the other. With strict reverse path filtering they would be dropped; of the link's
 * rp_filter and that of `all` the larger counts, and 2 is loose. Gives whether IPv6 works on the device.
 */
function prepareTunnel({ sysctls, netns }: FabricKernel): boolean {
  sysctls.write(netns, linkSysctl('ipv4', TUNNEL_NAME, 'rp_filter'), '2');
  const disabled = linkSysctl('ipv6', TUNNEL_NAME, 'disable_ipv6');
  if (sysctls.read(netns, disabled) === undefined) return false;
  sysctls.write(netns, disabled, '0');
  return true;
}

/** MTU that pods can use whatever the path to their peer. */
export function podMtu(
  backend: 'auto' | 'host-gw' | 'vxlan' | 'none',
  underlay: Underlay,
  settings: TunnelSettings,
): number | undefined {
  const links = Object.values(underlay.own).map(({ link }) => link.mtu);
  if (links.length === 0) return undefined;
  const smallest = Math.min(...links);
  const isTunnelled = backend === 'auto' || backend === 'vxlan';
  const family = tunnelFamily(underlay) ?? 4;
  const own = underlay.own[family]?.link.mtu ?? smallest;
  const room = isTunnelled ? Math.min(smallest, own - TUNNEL_OVERHEAD[family]) : smallest;
  return settings.mtu === 0 ? room : Math.min(settings.mtu, room);
}
