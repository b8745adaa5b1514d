/** CHECK: compares what ADD planned with what the kernel has. Changes nothing. */

import type { Link, NodeRtnl, Rtnl } from '../../kernel/types.ts';
import {
  addressOf,
  cidrFamily,
  type IPWithPrefix,
  networkOf,
  prefixLength,
} from '../../net/cidr.ts';
import { addressBits, ipFamily } from '../../net/ip.ts';
import { attachmentLabel, hostVethName } from '../attachment.ts';
import { findMissingRule } from '../iptables/masquerade.ts';
import { ownEntries } from '../masquerade-entry.ts';
import { withNftables, withRtnl } from '../node.ts';
import type { NodePlan, SameNodePlan } from '../node-plan.ts';
import type { NetnsCall } from '../plugin.ts';
import { podOf } from '../protocol/args.ts';
import { requirePreviousResult } from '../protocol/previous-result.ts';
import type { Result } from '../protocol/result.ts';
import { parseBridgeConfig } from './config.ts';
import { requireBridge } from './ensure-bridge.ts';
import { addressesOf } from './gateway-addresses.ts';
import { requireIptables } from './iptables-masquerade.ts';
import { entryChainName, masqueraded } from './masquerade.ts';
import { type AttachmentPlan, buildPlan } from './plan.ts';
import { areSendersTied } from './policy.ts';
import { isWithin } from './port.ts';
import { requireForeign } from './reservations.ts';
import type { PodRoute } from './routes.ts';
import { isGuarded, isLookedAt } from './spoof.ts';

/** rtnetlink.h RT_TABLE_MAIN. */
const MAIN_TABLE = 254;

/**
 * Throws when something this plugin made is missing or wrong. What others may do is tolerated: more
 * addresses and routes, a promiscuity counter, a hardware address that udev gave the node's end.
 * prevResult is that of the whole chain, so the pod's hardware address is the one in there.
 */
export function check(call: NetnsCall): void {
  const { request, node, attachment, netns } = call;
  const previous = requirePreviousResult(request);
  const config = parseBridgeConfig(request);
  if (config.foreignIpam !== undefined) {
    requireForeign(node, config.foreignIpam).check(request, config.foreignIpam);
  }
  node.policies?.check(podOf(request.args));
  const lease = leaseOf(call, previous);
  const tiesSenders = areSendersTied(config, node);
  const built = buildPlan({ attachment, config, lease, nodeId: node.nodeId, tiesSenders });
  const plan = asConverted(built, node.records?.read(attachment)?.plan);
  if (config.ipam !== undefined) checkReservation(call, plan, config.ipam.dataDir);
  withRtnl(node.kernel, undefined, (host) =>
    withRtnl(node.kernel, netns, (pod) => {
      const end = checkPodEnd(pod, plan, macInResult(previous, attachment.ifName));
      const bridge = checkBridge(host, plan);
      const port = checkPort(host, plan, end, bridge);
      checkAddresses(pod, plan, end);
      for (const route of plan.pod.routes) {
        if (!isMultipath(route, plan)) checkRoute(pod, route, end);
      }
      // Others keep theirs elsewhere: a pod of the reference plugin is as good without.
      if (port.name === hostVethName(attachment)) checkNftables(call, plan);
    }),
  );
  checkIptables(call, plan);
  for (const { path, value, isOptional } of [
    ...plan.forwarding,
    ...(plan.sameNode?.sysctls ?? []),
  ]) {
    if (isOptional === true) continue;
    const present = node.kernel.sysctls.read(undefined, path);
    if (present !== value) throw wrong(`sysctl ${path} is ${present ?? 'missing'}, not ${value}`);
  }
}

/** The agent may have changed since ADD how the pod reaches others, and as whom. */
function asConverted(plan: AttachmentPlan, recorded: NodePlan | undefined): AttachmentPlan {
  if (recorded === undefined) return plan;
  const { sameNode: _, ...rest } = plan;
  const { senders: __, ...port } = plan.host;
  const { sameNode, host } = recorded;
  const { senders, isolated } = host;
  return {
    ...rest,
    host: { ...port, isolated, ...(senders === undefined ? {} : { senders }) },
    ...(sameNode === undefined ? {} : { sameNode }),
  };
}

/** What IPAM gave, read back from the result: only addresses of this interface. */
function leaseOf({ attachment }: NetnsCall, previous: Result) {
  const ips = previous.ips.filter(({ interface: at }) => {
    return at === undefined || previous.interfaces[at]?.name === attachment.ifName;
  });
  const families = new Set(ips.map(({ address }) => cidrFamily(address)));
  const routes = previous.routes.filter(({ dst }) => families.has(cidrFamily(dst)));
  return { ips, routes, dns: previous.dns };
}

function macInResult(previous: Result, ifName: string) {
  return previous.interfaces
    .find(({ name, sandbox }) => name === ifName && sandbox !== undefined)
    ?.mac?.toLowerCase();
}

function checkReservation(
  { node, attachment }: NetnsCall,
  plan: AttachmentPlan,
  dataDir: string | undefined,
): void {
  const held = node.ipam.held(attachment, dataDir);
  for (const address of plan.pod.addresses) {
    if (held.includes(addressOf(address))) continue;
    throw wrong(`address ${addressOf(address)} is not reserved for ${attachmentLabel(attachment)}`);
  }
}

function checkPodEnd(pod: Rtnl, plan: AttachmentPlan, mac: string = plan.pod.mac): Link {
  const { ifName, isRaised } = plan.pod;
  const end = pod.link(ifName);
  if (end === undefined) throw wrong(`interface "${ifName}" is missing in the pod`);
  if (end.kind !== 'veth') throw wrong(`interface "${ifName}" of the pod is no veth`);
  if (end.mac !== mac) throw wrong(`interface "${ifName}" has the address ${end.mac}, not ${mac}`);
  if (end.isUp !== isRaised) throw wrong(`interface "${ifName}" is ${end.isUp ? 'up' : 'down'}`);
  return end;
}

function checkBridge(host: NodeRtnl, plan: AttachmentPlan): Link {
  const { name, filtersVlans, isPromiscuous } = plan.bridge;
  const bridge = host.link(name);
  if (bridge === undefined) throw wrong(`bridge "${name}" is missing`);
  requireBridge(bridge);
  if (!bridge.isUp) throw wrong(`bridge "${name}" is down`);
  if (isPromiscuous && !bridge.isPromiscuous) throw wrong(`bridge "${name}" is not promiscuous`);
  if (filtersVlans && bridge.vlanFiltering !== true) {
    throw wrong(`bridge "${name}" does not filter VLANs`);
  }
  checkGateways(host, bridge, plan.bridge.addresses);
  checkProxies(host, plan.sameNode);
  const { vlanGateway: gateway } = plan;
  if (gateway !== undefined) {
    const link = host.link(gateway.name);
    if (link === undefined) throw wrong(`gateway link "${gateway.name}" is missing`);
    checkGateways(host, link, gateway.addresses);
  }
  return bridge;
}

function checkProxies(host: NodeRtnl, plan: SameNodePlan | undefined): void {
  if (plan === undefined || plan.proxied.length === 0) return;
  const index = host.link(plan.link)?.index;
  const own = host.proxyNeighbours().filter(({ link }) => link === index);
  for (const address of plan.proxied) {
    if (own.some((proxy) => proxy.address === address)) continue;
    throw wrong(`"${plan.link}" does not answer for ${address}`);
  }
}

function checkGateways(
  host: NodeRtnl,
  link: Link,
  addresses: AttachmentPlan['bridge']['addresses'],
): void {
  if (addresses.length === 0) return;
  const present = addressesOf(host, link);
  const missing = addresses.find((address) => !present.includes(address));
  if (missing !== undefined) throw wrong(`"${link.name}" has lost the gateway address ${missing}`);
}

/** The other end by index, not by name: it may have been made by the reference plugin. */
function checkPort(host: NodeRtnl, plan: AttachmentPlan, end: Link, bridge: Link): Link {
  const port = end.peerIndex === undefined ? undefined : host.linkByIndex(end.peerIndex);
  if (port?.kind !== 'veth' || port.peerIndex !== end.index) {
    throw wrong(`interface "${plan.pod.ifName}" has no other end on this node`);
  }
  if (port.master !== bridge.index) {
    throw wrong(`"${port.name}" is not a port of bridge "${bridge.name}"`);
  }
  if (!port.isUp) throw wrong(`port "${port.name}" is down`);
  const { hairpin, isolated, vlans } = plan.host;
  if (port.port?.hairpin !== hairpin) throw wrong(`port "${port.name}": hairpin is not ${hairpin}`);
  if (port.port.isolated !== isolated) {
    throw wrong(`port "${port.name}": isolation is not ${isolated}`);
  }
  if (vlans.length > 0) checkVlans(host, port, plan);
  return port;
}

function checkVlans(
  host: NodeRtnl,
  port: Link,
  { host: { vlans, keepsDefaultVlan } }: AttachmentPlan,
) {
  const present = host.portVlans(port.index);
  for (const range of vlans) {
    const { vid, lastVid = vid, isPvid = false, isUntagged = false } = range;
    const members = present.filter((vlan) => isWithin(vlan.vid, range));
    const isAsPlanned = members.every((vlan) => {
      return vlan.isPvid === isPvid && vlan.isUntagged === isUntagged;
    });
    if (members.length === lastVid - vid + 1 && isAsPlanned) continue;
    throw wrong(`port "${port.name}" is not in VLAN ${vid}${lastVid === vid ? '' : `-${lastVid}`}`);
  }
  const foreign = present.find(({ vid }) => !vlans.some((range) => isWithin(vid, range)));
  if (foreign === undefined || keepsDefaultVlan) return;
  throw wrong(`port "${port.name}" is in VLAN ${foreign.vid} besides`);
}

function checkAddresses(pod: Rtnl, plan: AttachmentPlan, end: Link): void {
  const present = addressesOf(pod, end);
  for (const address of plan.pod.addresses) {
    if (!present.includes(address)) {
      throw wrong(`interface "${end.name}" has lost the address ${address}`);
    }
    if (isHostPrefix(address)) continue;
    checkRoute(pod, { destination: networkOf(address) }, end);
  }
}

/** A prefix of one address has no network to be connected to. */
function isHostPrefix(address: IPWithPrefix): boolean {
  return prefixLength(address) === addressBits(cidrFamily(address));
}

/** IPv6 routes to one destination become one of several next hops, which is not listed as they. */
function isMultipath({ destination }: PodRoute, plan: AttachmentPlan): boolean {
  if (cidrFamily(destination) === 4) return false;
  return plan.pod.routes.filter((route) => route.destination === destination).length > 1;
}

/** Default routes are compared by destination alone: later plugins may send them elsewhere. */
function checkRoute(pod: Rtnl, wanted: PodRoute, end: Link): void {
  const { destination, gateway, table = MAIN_TABLE } = wanted;
  const isDefault = prefixLength(destination) === 0;
  const candidates = pod
    .routes(cidrFamily(destination), table)
    .filter((route) => route.destination === destination);
  const isThere = candidates.some((route) => {
    return isDefault || (route.link === end.index && route.gateway === gateway);
  });
  if (isThere) return;
  const via = gateway === undefined ? '' : ` via ${gateway}`;
  throw wrong(`route ${destination}${via} is missing in the pod`);
}

function checkNftables({ node }: NetnsCall, plan: AttachmentPlan): void {
  const { host } = plan;
  const entries = ownEntries(plan.masquerade, node.isMasqueradedElsewhere);
  if (entries.length === 0 && !isLookedAt(host)) return;
  withNftables(node.kernel, (nft) => {
    for (const entry of entries) {
      const { address } = entry;
      const chain = entryChainName(entry);
      const isThere = masqueraded(nft, ipFamily(address)).some((present) => {
        return present.address === address && present.chain === chain;
      });
      if (!isThere) throw wrong(`address ${address} is not masqueraded`);
    }
    if (!isGuarded(nft, host)) {
      const kind = host.senders === undefined ? 'hardware addresses' : 'addresses of senders';
      throw wrong(`port "${host.name}" does not check ${kind}`);
    }
  });
}

function checkIptables({ node }: NetnsCall, { iptablesMasquerade: wanted }: AttachmentPlan): void {
  if (wanted === undefined) return;
  const missing = findMissingRule(requireIptables(node), wanted);
  if (missing !== undefined) throw wrong(`rule "${missing}" of iptables is missing`);
}

function wrong(message: string): Error {
  return new Error(`CHECK: ${message}`);
}
