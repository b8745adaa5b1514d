/** Ports of the bridge: the pod's, that of a VLAN's gateway, and the uplink's VLANs. */
import type { Link, Netns, Netnses, NodeRtnl, PortVlanRange, Sysctls } from '../../kernel/types.ts';
import { ConfigError, errorCode } from '../../util/errors.ts';
import type { PortPlan, VlanGatewayPlan } from '../node-plan.ts';
import { mtuOfPair } from './ensure-bridge.ts';
import { ensureAddresses } from './gateway-addresses.ts';
import type { AttachmentPlan } from './plan.ts';
import { applySysctls } from './sysctls.ts';

/** Node's end of a pair; `peerIndex` is the pod's end in the pod's namespace. */
export type Port = Link & { readonly peerIndex: number };

/** Node's end of a new pair; the pod's end lies in `netns`, still down. */
export function createVeth(host: NodeRtnl, plan: AttachmentPlan, netns: Netns, bridge: Link): Port {
  const { ifName, mac } = plan.pod;
  try {
    host.createVeth({
      host: { name: plan.host.name, mac: plan.host.mac, alias: plan.label },
      pod: { name: ifName, mac, netns },
      master: bridge.index,
      ...mtuOfPair(plan.mtu, bridge),
    });
  } catch (thrown) {
    if (errorCode(thrown) === 'EEXIST') throw nameTaken(ifName, plan.host.name, thrown);
    if (errorCode(thrown) === 'EXFULL') throw bridgeFull(bridge, thrown);
    throw thrown;
  }
  const port = requireLink(host, plan.host.name);
  const { peerIndex } = port;
  if (peerIndex === undefined) throw new Error(`link "${port.name}" vanished`);
  return { ...port, peerIndex };
}

/** The reference plugin's words for a pod interface that is there already. */
export function nameTaken(ifName: string, hostName: string, cause?: unknown): Error {
  const text = `container veth name ("${ifName}") peer provided ("${hostName}") already exists`;
  return new Error(text, cause === undefined ? undefined : { cause });
}

/** Hairpin, isolation, VLANs and settings of a port that is not used yet. */
export function configurePort(host: NodeRtnl, sysctls: Sysctls, port: Link, plan: PortPlan): void {
  const { hairpin, isolated } = plan;
  applySysctls(sysctls, undefined, plan.sysctls);
  if (hairpin || isolated) {
    host.changeBridgePort(port.index, {
      ...(hairpin ? { hairpin } : {}),
      ...(isolated ? { isolated } : {}),
    });
  }
  if (plan.vlans.length > 0) joinVlans(host, port.index, plan.vlans, plan.keepsDefaultVlan);
}

/** Finds or makes the link that is the gateway of a VLAN, with its addresses. */
export function ensureVlanGateway(
  host: NodeRtnl,
  { netnses, sysctls }: { readonly netnses: Netnses; readonly sysctls: Sysctls },
  plan: VlanGatewayPlan,
  bridge: Link,
): Link {
  const gateway = host.link(plan.name) ?? createVlanGateway(host, netnses, plan, bridge);
  applySysctls(sysctls, undefined, plan.sysctls);
  const port = requireLink(host, plan.port.name);
  const vlans = [{ vid: plan.vlan, isPvid: true, isUntagged: true }];
  joinVlans(host, port.index, vlans, plan.keepsDefaultVlan);
  if (!gateway.isUp) host.changeLink(gateway.index, { isUp: true });
  ensureAddresses(host, gateway, plan);
  return gateway;
}

/** Throws ConfigError unless the uplink is a port of this bridge: none is ever moved there. */
export function allowOnUplink(
  host: NodeRtnl,
  { name, vlans }: NonNullable<AttachmentPlan['uplink']>,
  bridge: Link,
): void {
  const uplink = host.link(name);
  if (uplink === undefined || uplink.master !== bridge.index) {
    const text = `uplinkInterface "${name}" is not a port of bridge "${bridge.name}"`;
    throw new ConfigError('uplinkInterface', text);
  }
  if (vlans.length === 0) return;
  const present = new Set(host.portVlans(uplink.index).map(({ vid }) => vid));
  const missing = vlans.filter(({ vid, lastVid = vid }) => {
    return Array.from({ length: lastVid - vid + 1 }).some((_, at) => !present.has(vid + at));
  });
  if (missing.length > 0) host.addPortVlans(uplink.index, missing);
}

/** Sets are told apart by what is there, since a bridge's default VLAN need not be 1. */
function joinVlans(
  host: NodeRtnl,
  port: number,
  vlans: readonly PortVlanRange[],
  keepsDefaultVlan: boolean,
): void {
  const present = keepsDefaultVlan ? [] : host.portVlans(port);
  host.addPortVlans(port, vlans);
  const unwanted = present.filter((own) => !vlans.some((range) => isWithin(own.vid, range)));
  if (unwanted.length > 0)
    host.deletePortVlans(
      port,
      unwanted.map(({ vid }) => ({ vid })),
    );
}

/** Whether a VLAN is one of a range. */
export function isWithin(vlan: number, { vid, lastVid = vid }: PortVlanRange): boolean {
  return vlan >= vid && vlan <= lastVid;
}

/** Another call may make the same pair at this moment: both then use it. */
function createVlanGateway(
  host: NodeRtnl,
  netnses: Netnses,
  plan: VlanGatewayPlan,
  bridge: Link,
): Link {
  const own = netnses.self();
  try {
    host.createVeth({
      host: plan.port,
      pod: { name: plan.name, mac: plan.mac, netns: own },
      master: bridge.index,
      mtu: bridge.mtu,
    });
  } catch (thrown) {
    if (errorCode(thrown) !== 'EEXIST') throw thrown;
  } finally {
    own.close();
  }
  return requireLink(host, plan.name);
}

function requireLink(host: NodeRtnl, name: string): Link {
  const link = host.link(name);
  if (link === undefined) throw new Error(`link "${name}" vanished`);
  return link;
}

function bridgeFull({ name }: Link, cause: unknown): Error {
  return new Error(`bridge "${name}" has no free port (the kernel allows 1023)`, { cause });
}
