import type { Advertisement } from '../../kube/advertisements.ts';
import { objectKey } from '../../kube/resources.ts';
import type { Advertised } from '../settings.ts';

export interface TellingSettings {
  readonly announceOnLinks: boolean;
  readonly advertise: ReadonlySet<Advertised>;
}

const POOLS = 'all load balancer addresses are told alike, of whatever pool they are';

/** What weft does instead of what a key of MetalLB's asks for. */
const INSTEAD: Readonly<Record<Advertisement['of'], Readonly<Record<string, string>>>> = {
  L2Advertisement: {
    ipAddressPools: POOLS,
    ipAddressPoolSelectors: POOLS,
    nodeSelectors: 'set routing.announcers to the labels of the nodes that may answer',
    interfaces:
      'an address is answered for on the link whose network has it, else on that of the default route',
  },
  BGPAdvertisement: {
    ipAddressPools: POOLS,
    ipAddressPoolSelectors: POOLS,
    nodeSelectors: 'set nodes of each of routing.peers: who talks to it tells it the addresses',
    peers: 'all of routing.peers are told',
    communities: 'set routing.communities, or communities of one of routing.peers',
    localPref: 'no preference is told',
    aggregationLength: 'each address is told by itself',
    aggregationLengthV6: 'each address is told by itself',
  },
};

/** Why addresses are told otherwise than an advertisement of MetalLB's says, in words with what to set. */
export function advertisementProblems(
  advertisement: Advertisement,
  { announceOnLinks, advertise }: TellingSettings,
): readonly string[] {
  const { of, keys } = advertisement;
  const name = `${of} ${objectKey(advertisement)}`;
  const isOff = of === 'L2Advertisement' ? !announceOnLinks : !advertise.has('loadBalancerIPs');
  const cure =
    of === 'L2Advertisement'
      ? 'routing.announceOnLinks: true'
      : 'routing.advertise: [loadBalancerIPs], and its BGPPeers as routing.peers';
  if (isOff) return [`${name} has no effect: set ${cure}`];
  return keys.map((key) => {
    const known = INSTEAD[of];
    const instead = Object.hasOwn(known, key) ? known[key] : 'weft does not know it';
    return `${name}: ${key} is not read: ${instead}`;
  });
}
