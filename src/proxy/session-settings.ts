import type { Cidr } from '../net/cidr.ts';
import type { IP, IPFamily } from '../net/ip.ts';
import type { PortRange } from '../nftables/statements.ts';
import {
  acceptsOnAllAddresses,
  type LocalDetection,
  localDetector,
  type NodeFacts,
  type NodePortAddresses,
  nodePortIPs,
} from './node-addresses.ts';
import type { SessionSettings } from './session.ts';

/** Where the settings of a session come from, besides the node. */
export interface SettingsSource {
  /** Undefined: no traffic to a clusterIP counts as coming from outside. */
  readonly localDetection: LocalDetection | undefined;
  readonly nodePortAddresses: NodePortAddresses;
  readonly masqueradesAll: boolean;
  /** See LayoutOptions. */
  readonly masqueradedUdpPorts?: PortRange | undefined;
  /** Whether an object for this node exists or may still arrive; asked at every sync. */
  readonly hasNodeObjects: () => boolean;
  /** The addresses of this node's interfaces; asked only when NodePort networks are configured. */
  readonly localAddresses: () => readonly IP[];
  /** Have the kernel count connections per endpoint, where the mode can. */
  readonly countsEndpoints?: boolean;
}

/** What the rules of a family need to know besides Services, as it is now. */
export function sessionSettings(
  family: IPFamily,
  source: SettingsSource,
  node: NodeFacts | undefined,
  serviceCIDRs: readonly Cidr[],
): SessionSettings {
  const {
    nodePortAddresses,
    masqueradesAll,
    masqueradedUdpPorts,
    countsEndpoints = false,
  } = source;
  return {
    layout: {
      family,
      acceptsOnAllAddresses: acceptsOnAllAddresses(
        nodePortAddresses,
        family,
        source.hasNodeObjects(),
      ),
      localDetector: localDetector(source.localDetection, family, node),
      masqueradesAll,
      masqueradedUdpPorts,
      serviceCIDRs,
      countsEndpoints,
    },
    nodePortIPs: nodePortIPs(nodePortAddresses, family, node, source.localAddresses),
  };
}
