/** What of a plan concerns the node and not the inside of the pod: it outlives the call. */
import type { PortVlanRange } from '../kernel/types.ts';
import type { IPWithPrefix } from '../net/cidr.ts';
import type { IP } from '../net/ip.ts';
import type { Mac } from '../net/mac.ts';
import type { Attachment } from './attachment.ts';
import type { MasqueradeEntry } from './masquerade-entry.ts';

/** A value below /proc/sys; `isOptional` ones are written where that is possible. */
export interface SysctlSetting {
  readonly path: string;
  readonly value: string;
  readonly isOptional?: boolean;
}

/** Bytes, or that of the bridge, which a new one takes from the uplink. */
export type PlannedMtu = number | 'auto';

/** Addresses of gateways, which a link of the node answers for. */
export interface GatewayAddresses {
  /** With the prefix of the pods' network. */
  readonly addresses: readonly IPWithPrefix[];
  /** Addresses in the way are removed instead of being an error. */
  readonly mayReplaceAddresses: boolean;
  /** IPv4 addresses of other networks stay beside them: pods from before a change of podCIDRs. */
  readonly keepsOthers?: boolean;
}

export interface BridgePlan extends GatewayAddresses {
  readonly name: string;
  /** Given at creation only; an existing bridge keeps its own. */
  readonly mac: Mac;
  /** Given at creation only. */
  readonly mtu?: PlannedMtu;
  readonly isPromiscuous: boolean;
  /** Its ports are in VLANs; an existing bridge is switched, and never back. */
  readonly filtersVlans: boolean;
  readonly sysctls: readonly SysctlSetting[];
}

/** Whom a port may send as; everything else that enters there is dropped. */
export interface PortSenders {
  /** More than one where it was not clear which a running pod has. */
  readonly macs: readonly Mac[];
  readonly addresses: readonly IP[];
}

/** The node's end of the pair. */
export interface PortPlan {
  readonly name: string;
  readonly mac: Mac;
  readonly hairpin: boolean;
  readonly isolated: boolean;
  /** None leaves the port in the bridge's default VLAN. */
  readonly vlans: readonly PortVlanRange[];
  readonly keepsDefaultVlan: boolean;
  /** Frames from any other hardware address are dropped. */
  readonly allowedMac?: Mac;
  /** Absent: the pod may send under any address. */
  readonly senders?: PortSenders;
  readonly sysctls: readonly SysctlSetting[];
}

export interface VlanGatewayPlan {
  /** `<bridge>.<vlan>`, as the reference plugin calls it. */
  readonly name: string;
  readonly mac: Mac;
  readonly port: { readonly name: string; readonly mac: Mac };
  readonly vlan: number;
  readonly keepsDefaultVlan: boolean;
  readonly addresses: readonly IPWithPrefix[];
  readonly mayReplaceAddresses: boolean;
  readonly sysctls: readonly SysctlSetting[];
}

/** The pod reaches other pods of its bridge through the node: see bridge/same-node.ts. */
export interface SameNodePlan {
  /** The link that answers for pods: the bridge, or the gateway of the pod's VLAN. */
  readonly link: string;
  /** Of the pod's end. */
  readonly mac: Mac;
  /** Written before the port is isolated. */
  readonly sysctls: readonly SysctlSetting[];
  /** The pod's IPv6 addresses, each a proxy neighbour of the link; IPv4 needs none. */
  readonly proxied: readonly IP[];
}

/** The rules of one attachment. */
export interface IptablesMasquerade {
  readonly owner: Pick<Attachment, 'network' | 'containerId'>;
  readonly entries: readonly MasqueradeEntry[];
}

/** What an attachment needs of the node. */
export interface NodePlan {
  readonly label: string;
  readonly bridge: BridgePlan;
  /** Holds the gateway addresses instead of the bridge when the pod is in a VLAN. */
  readonly vlanGateway?: VlanGatewayPlan;
  readonly host: PortPlan;
  /** Absent: the bridge sends frames from port to port. */
  readonly sameNode?: SameNodePlan;
  /** Written on the node before the addresses go live. */
  readonly forwarding: readonly SysctlSetting[];
  readonly masquerade: readonly MasqueradeEntry[];
  /** Instead of `masquerade`. */
  readonly iptablesMasquerade?: IptablesMasquerade;
}
