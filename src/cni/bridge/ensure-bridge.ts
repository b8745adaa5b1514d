/** The bridge: found or made, and safe to do beside others who do the same. */
import type { Link, NodeRtnl, Sysctls } from '../../kernel/types.ts';
import { prefixLength } from '../../net/cidr.ts';
import type { IPFamily } from '../../net/ip.ts';
import { errorCode } from '../../util/errors.ts';
import type { BridgePlan } from '../node-plan.ts';
import { ensureAddresses } from './gateway-addresses.ts';
import { applySysctls } from './sysctls.ts';

/** What a bridge has whose last port is gone. */
const NO_MAC = '00:00:00:00:00:00';

/** VLAN that ports without any are put into before VLANs are told apart. */
const DEFAULT_VLAN = 1;

/** Finds or makes the bridge, raises it and gives it its addresses. Throws when the name is taken. */
export function ensureBridge(host: NodeRtnl, sysctls: Sysctls, plan: BridgePlan): Link {
  const found = host.link(plan.name) ?? createBridge(host, plan);
  requireBridge(found);
  const bridge = withLastingMac(host, found, plan);
  applySysctls(sysctls, undefined, plan.sysctls);
  if (!bridge.isUp) host.changeLink(bridge.index, { isUp: true });
  if (plan.isPromiscuous && !bridge.isPromiscuous) {
    host.changeLink(bridge.index, { isPromiscuous: true });
  }
  if (plan.filtersVlans && bridge.vlanFiltering !== true) {
    explainingVlans(plan, () => filterVlans(host, bridge));
  }
  ensureAddresses(host, bridge, plan);
  return bridge;
}

/** Throws for a link of another kind, with the reference plugin's words. */
export function requireBridge(link: Link): void {
  if (link.kind !== 'bridge') throw new Error(`"${link.name}" already exists but is not a bridge`);
}

/**
 * A bridge of somebody else takes the lowest address of its ports until it is given one, and then
 * loses every neighbour when ports come and go. It keeps the one it has; without ports it has none.
 */
function withLastingMac(host: NodeRtnl, bridge: Link, plan: BridgePlan): Link {
  if (bridge.mac === plan.mac) return bridge;
  const mac = bridge.mac === undefined || bridge.mac === NO_MAC ? plan.mac : bridge.mac;
  host.changeLink(bridge.index, { mac });
  return { ...bridge, mac };
}

/** What a new pod's pair gets: undefined leaves the kernel's default. */
export function mtuOfPair(
  mtu: number | 'auto' | undefined,
  bridge: Link,
): { readonly mtu?: number } {
  if (mtu === undefined) return {};
  return { mtu: mtu === 'auto' ? bridge.mtu : mtu };
}

function createBridge(host: NodeRtnl, plan: BridgePlan): Link {
  // Its hardware address follows from the name that it was made under. One of the same name has been made
  // meanwhile by somebody who was asked for it too.
  const renamed = host
    .links()
    .find(({ name, kind, mac }) => kind === 'bridge' && mac === plan.mac && name !== plan.name);
  if (renamed !== undefined) {
    const text = `bridge "${plan.name}" is called "${renamed.name}" by now`;
    throw new Error(`${text}: rename it back, or name it in the configuration`);
  }
  const mtu = plan.mtu === 'auto' ? uplinkMtu(host) : plan.mtu;
  const spec = {
    name: plan.name,
    mac: plan.mac,
    ...(mtu === undefined ? {} : { mtu }),
    ...(plan.filtersVlans ? { vlanFiltering: true } : {}),
  };
  explainingVlans(plan, () => host.createBridge(spec));
  const bridge = host.link(plan.name);
  if (bridge === undefined) throw new Error(`link "${plan.name}" vanished`);
  return bridge;
}

/** MTU of the link that carries the default route, IPv4's before IPv6's. */
function uplinkMtu(host: NodeRtnl): number | undefined {
  for (const family of [4, 6] as const) {
    const link = defaultRouteLink(host, family);
    const mtu = link === undefined ? undefined : host.linkByIndex(link)?.mtu;
    if (mtu !== undefined) return mtu;
  }
  return undefined;
}

/** The one of lowest metric, as the kernel would choose. */
function defaultRouteLink(host: NodeRtnl, family: IPFamily): number | undefined {
  const defaults = host
    .routes(family)
    .filter(({ destination, link }) => prefixLength(destination) === 0 && link !== undefined)
    .sort((a, b) => (a.priority ?? 0) - (b.priority ?? 0));
  return defaults[0]?.link;
}

/**
 * From now on ports reach only ports of their VLANs. Ports are born into the default VLAN; where an
 * administrator has taken that away (vlan_default_pvid 0) they would be cut off, and so are given it.
 */
function filterVlans(host: NodeRtnl, bridge: Link): void {
  const members = host.links().filter(({ master }) => master === bridge.index);
  for (const { index } of members) {
    if (host.portVlans(index).length > 0) continue;
    host.addPortVlans(index, [{ vid: DEFAULT_VLAN, isPvid: true, isUntagged: true }]);
  }
  if (host.portVlans(bridge.index).length === 0) {
    const own = [{ vid: DEFAULT_VLAN, isPvid: true, isUntagged: true }];
    host.addPortVlans(bridge.index, own, { isSelf: true });
  }
  host.changeBridge(bridge.index, { vlanFiltering: true });
}

/** A kernel without CONFIG_BRIDGE_VLAN_FILTERING must not make a network without isolation. */
function explainingVlans(plan: BridgePlan, step: () => void): void {
  try {
    step();
  } catch (cause) {
    if (!plan.filtersVlans || errorCode(cause) !== 'ENOTSUP') throw cause;
    throw new Error(`bridge "${plan.name}": this kernel cannot filter VLANs`, { cause });
  }
}
