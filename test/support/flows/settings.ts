/** The configurations that the flow table names, for the proxy and for the model. */
import type { Node } from '../../../src/kube/types.ts';
import { type Cidr, parseCidr } from '../../../src/net/cidr.ts';
import { type IP, parseIP } from '../../../src/net/ip.ts';
import type { LocalDetection, NodePortAddresses } from '../../../src/proxy/node-addresses.ts';
import type { SettingsName } from './flow.ts';
import { IPV4, IPV6, LB_ON_NODE, type Net } from './net.ts';

const NETS = [IPV4, IPV6];

export interface FlowSettings {
  readonly localDetection: LocalDetection | undefined;
  readonly masqueradesAll: boolean;
  readonly nodePortAddresses: NodePortAddresses;
  /** Whether `primary` means the address of the Node object. */
  readonly hasNodeObjects: boolean;
}

export function settingsOf(name: SettingsName): FlowSettings {
  return {
    localDetection: detectionOf(name),
    masqueradesAll: name === 'masqueradeAll' || name === 'noDetectorMasqueradeAll',
    nodePortAddresses:
      name === 'listedNodePorts' ? { kind: 'cidrs', cidrs: listedNetworks() } : { kind: 'primary' },
    hasNodeObjects: name === 'primaryNodePorts',
  };
}

function detectionOf(name: SettingsName): LocalDetection | undefined {
  if (name === 'noDetector' || name === 'noDetectorMasqueradeAll') return undefined;
  if (name === 'byBridge') return { kind: 'bridge', name: 'br0' };
  return { kind: 'cidrs', cidrs: NETS.map((net) => parseCidr(net.clusterCIDR)) };
}

/** The node as the cluster knows it. */
export const NODE: Node = {
  metadata: { name: 'node-a', namespace: '' },
  status: { addresses: NETS.map(({ node }) => ({ type: 'InternalIP', address: node })) },
};

export const SERVICE_CIDRS: readonly Cidr[] = NETS.map(({ serviceCIDR }) => parseCidr(serviceCIDR));

/** What the node's interfaces have in the lab. */
export function localAddresses(net: Net): readonly IP[] {
  const { bridge, node, second, outer, loopback, lb } = net;
  return [bridge, node, second, outer, loopback, lb(LB_ON_NODE)].map(parseIP);
}

function listedNetworks(): readonly Cidr[] {
  return ['192.168.0.0/24', 'fd00:192::/64'].map(parseCidr);
}
