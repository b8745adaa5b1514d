/** From configuration and addresses to what shall exist: a value that prints as JSON. */
import type { PortVlanRange } from '../../kernel/types.ts';
import {
  addressOf,
  type IPWithPrefix,
  ipWithPrefix,
  networkOf,
  nthAddress,
  prefixLength,
} from '../../net/cidr.ts';
import type { IP } from '../../net/ip.ts';
import type { Mac } from '../../net/mac.ts';
import type { LeasedAddress } from '../address-config.ts';
import {
  type Attachment,
  attachmentLabel,
  bridgeMac,
  hostVethName,
  vethMacs,
} from '../attachment.ts';
import { masqueradeEntry } from '../masquerade-entry.ts';
import type {
  BridgePlan,
  GatewayAddresses,
  NodePlan,
  PlannedMtu,
  PortPlan,
  SysctlSetting,
} from '../node-plan.ts';
import type { Dns, ResultIP, ResultRoute } from '../protocol/result.ts';
import type { BridgeConfig } from './config.ts';
import { buildPodRoute, familiesOf, type PodRoute, withDefaultRoutes } from './routes.ts';
import { gatewayLink, sameNodePlan } from './same-node.ts';
import { sendersOf } from './spoof.ts';
import { acceptNoRouterAdvertisements, forwardingSysctls, podSysctls } from './sysctls.ts';
import { vlanGateway } from './vlan-gateway.ts';

/** The pod's end of the pair. */
export interface PodPlan {
  readonly ifName: string;
  readonly mac: Mac;
  readonly isRaised: boolean;
  readonly detectsDuplicates: boolean;
  readonly addresses: readonly IPWithPrefix[];
  readonly routes: readonly PodRoute[];
  readonly sysctls: readonly SysctlSetting[];
}

export interface AttachmentPlan extends NodePlan {
  /** Port that carries the VLANs to the outside. */
  readonly uplink?: { readonly name: string; readonly vlans: readonly PortVlanRange[] };
  readonly pod: PodPlan;
  /** Of both ends. */
  readonly mtu?: PlannedMtu;
  /** Pod addresses whose hardware address the node is told, so that it forgets former owners. */
  readonly neighbours: readonly IP[];
  readonly result: { readonly ips: readonly ResultIP[]; readonly routes: readonly ResultRoute[] };
  readonly dns: Dns;
}

export interface PlanInput {
  readonly attachment: Attachment;
  readonly config: BridgeConfig;
  /** What IPAM gave, in its order; empty for a layer 2 network. */
  readonly lease: {
    readonly ips: readonly LeasedAddress[];
    readonly dns: Dns;
    /** Absent: those of the configuration. */
    readonly routes?: readonly ResultRoute[];
  };
  /** Identity of the node, for stable bridge addresses. */
  readonly nodeId: string;
  /** The pod sends under no addresses but its own. */
  readonly tiesSenders: boolean;
}

/** Index of the pod's end in the result's interface list: bridge, node's end, pod's end. */
const POD_INTERFACE = 2;

/** The whole attachment as a value. Pure: the same input gives the same plan. */
export function buildPlan(input: PlanInput): AttachmentPlan {
  const { attachment, config, lease, nodeId, tiesSenders } = input;
  const ips = lease.ips.map((ip) => withGateway(ip, config));
  const configured = lease.routes ?? config.routes;
  const routes = config.isDefaultGateway ? withDefaultRoutes(configured, ips) : configured;
  const families = familiesOf(ips);
  const { mtu } = config;
  const gateways: GatewayAddresses = {
    addresses: config.isGateway ? gatewayAddresses(ips) : [],
    mayReplaceAddresses: config.forceAddress,
    ...(config.fabric ? { keepsOthers: true } : {}),
  };
  const gateway = vlanGateway(config, gateways, nodeId);
  const bridgeAddresses = gateway === undefined ? gateways : { ...gateways, addresses: [] };
  const holders = {
    bridge: buildBridge(config, bridgeAddresses, nodeId),
    ...(gateway === undefined ? {} : { vlanGateway: gateway }),
  };
  const addresses = ips.map(({ address }) => addressOf(address));
  const mac = podMac(attachment, config);
  const port = buildPort(attachment, config);
  const senders = tiesSenders ? sendersOf(port, [mac], addresses) : undefined;
  return {
    label: attachmentLabel(attachment),
    ...holders,
    ...buildUplink(config),
    host: { ...port, ...(senders === undefined ? {} : { senders }) },
    ...(config.policy ? { sameNode: sameNodePlan(gatewayLink(holders), mac, addresses) } : {}),
    pod: {
      ifName: attachment.ifName,
      mac,
      isRaised: !config.disableContainerInterface,
      detectsDuplicates: config.enabledad,
      addresses: ips.map(({ address }) => address),
      routes: routes.map((route) => buildPodRoute(route, ips)),
      sysctls: podSysctls(attachment.ifName, families, config.enabledad),
    },
    ...(mtu === undefined ? {} : { mtu }),
    forwarding: config.isGateway ? forwardingSysctls(families) : [],
    neighbours: config.isGateway ? addresses : [],
    ...buildMasquerade(attachment, config, ips),
    result: { ips: ips.map((ip) => ({ interface: POD_INTERFACE, ...ip })), routes },
    dns: config.dns ?? lease.dns,
  };
}

function buildBridge(config: BridgeConfig, gateways: GatewayAddresses, nodeId: string): BridgePlan {
  const { bridge: name, mtu } = config;
  return {
    name,
    mac: bridgeMac(nodeId, name),
    ...(mtu === undefined ? {} : { mtu }),
    isPromiscuous: config.promiscMode,
    filtersVlans: config.portVlans.length > 0,
    ...gateways,
    sysctls: [acceptNoRouterAdvertisements(name)],
  };
}

function buildPort(attachment: Attachment, config: BridgeConfig): PortPlan {
  const name = hostVethName(attachment);
  return {
    name,
    mac: vethMacs(attachment).host,
    hairpin: config.hairpinMode,
    isolated: config.portIsolation || config.policy,
    vlans: config.portVlans,
    keepsDefaultVlan: config.preserveDefaultVlan,
    ...(config.macspoofchk ? { allowedMac: podMac(attachment, config) } : {}),
    sysctls: [acceptNoRouterAdvertisements(name)],
  };
}

/** Outside every VLAN has its tag, also the one that is untagged at the pod. */
function buildUplink({ uplinkInterface: name, portVlans }: BridgeConfig) {
  if (name === undefined) return {};
  const vlans = portVlans.map(({ vid, lastVid }) => {
    return lastVid === undefined ? { vid } : { vid, lastVid };
  });
  return { uplink: { name, vlans } };
}

function podMac(attachment: Attachment, config: BridgeConfig): Mac {
  return config.podMac ?? vethMacs(attachment).pod;
}

/** IPAM may leave the gateway out; a gateway bridge then takes the first address of the network. */
function withGateway(ip: LeasedAddress, config: BridgeConfig): LeasedAddress {
  if (ip.gateway !== undefined || !config.isGateway) return ip;
  const gateway = nthAddress(networkOf(ip.address), 1);
  return gateway === undefined ? ip : { ...ip, gateway };
}

/** Each gateway once, in the order of the addresses. */
function gatewayAddresses(ips: readonly LeasedAddress[]): readonly IPWithPrefix[] {
  const addresses = ips.flatMap(({ address, gateway }) => {
    return gateway === undefined ? [] : [ipWithPrefix(gateway, prefixLength(address))];
  });
  return [...new Set(addresses)];
}

function buildMasquerade(
  { network, containerId }: Attachment,
  { ipMasq, ipMasqBackend, ipMasqExcept }: BridgeConfig,
  ips: readonly LeasedAddress[],
): Pick<AttachmentPlan, 'masquerade' | 'iptablesMasquerade'> {
  const all = ips.map(({ address }) => {
    return masqueradeEntry(addressOf(address), networkOf(address), ipMasqExcept);
  });
  const entries = ipMasq ? all : [];
  if (ipMasqBackend === undefined || entries.length === 0) return { masquerade: entries };
  return { masquerade: [], iptablesMasquerade: { owner: { network, containerId }, entries } };
}
