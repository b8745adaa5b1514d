import { type Cidr, hostCidr } from '../net/cidr.ts';
import type { RoutedNode, RoutingFacts, ServiceAddress } from './facts.ts';
import type { BgpSettings } from './settings.ts';

/** A route of this node that others are told of, or are not. */
export interface AdvertisedRoute {
  readonly network: Cidr;
  /** `pods of this node`, or the Services that it is for. */
  readonly what: string;
  /** Why nobody is told; empty when all neighbours are. */
  readonly whyNot: string;
}

/** Everything that this node could tell, in order: podCIDRs, then addresses of Services. */
export function advertisedRoutes(
  { advertise }: BgpSettings,
  own: RoutedNode | undefined,
  services: readonly ServiceAddress[],
): readonly AdvertisedRoute[] {
  const pods = (own?.podCIDRs ?? []).map((network) => ({
    network,
    what: 'pods of this node',
    whyNot: advertise.has('podCIDRs') ? '' : 'podCIDRs are not in routing.advertise',
  }));
  return [...pods, ...services.map((address) => serviceRoute(address, advertise))];
}

function serviceRoute(
  { ip, kind, services, isServed, isLocal }: ServiceAddress,
  advertise: BgpSettings['advertise'],
): AdvertisedRoute {
  const network = hostCidr(ip);
  const what = services.join(', ');
  if (!advertise.has(kind))
    return { network, what, whyNot: `${kind} are not in routing.advertise` };
  if (isServed) return { network, what, whyNot: '' };
  const where = isLocal ? ' on this node, and its traffic policy is Local' : '';
  return { network, what, whyNot: `no endpoint is ready${where}` };
}

/** The Node object of this node; absent while there is none. */
export function ownNode({ nodes, nodeName }: RoutingFacts): RoutedNode | undefined {
  return nodes.find(({ name }) => name === nodeName);
}
