/** What `weft bgp --address` tells: who hears of an address from this node, and why nobody does. Pure. */
import { containsIP, prefixLength, tryParseCidr } from '../../net/cidr.ts';
import type { IP } from '../../net/ip.ts';
import type { RoutingStatus } from '../status/routing-status.ts';

export interface AddressAnswer {
  readonly isTold: boolean;
  /** In sentences, the cure with it. */
  readonly text: string;
}

const UNKNOWN = [
  'it is of no pod of this node, and no Service has it here. For a Service',
  'status.loadBalancer.ingress must name it (kubectl get services -A), its rules must be in the kernel',
  '(weft explain --to ADDRESS:PORT), and a clusterIP is known here with routing.advertise: [clusterIPs] only',
].join(' ');

/** By the most specific network that has the address. */
export function answerAddress({ sessions, routes }: RoutingStatus, ip: IP): AddressAnswer {
  if (sessions.length === 0) {
    return notTold(ip, 'this node talks BGP to nobody: set routing.topology or routing.peers');
  }
  const [route] = routes
    .flatMap((each) => {
      const network = tryParseCidr(each.network);
      return network !== undefined && containsIP(network, ip) ? [{ ...each, network }] : [];
    })
    .toSorted((a, b) => prefixLength(b.network) - prefixLength(a.network));
  if (route === undefined) return notTold(ip, UNKNOWN);
  const { network, what, whyNot } = route;
  if (whyNot !== '') return notTold(`${network} (${what})`, whyNot);
  const hearing = sessions.filter(
    ({ state, address }) => state === 'Established' && isOneFamily(address, network),
  );
  const names = hearing.map(({ name, address }) => `${name} (${address})`);
  return { isTold: true, text: `${network} (${what}) is told to ${names.join(', ')}` };
}

function notTold(what: string, why: string): AddressAnswer {
  return { isTold: false, text: `${what} is not told: ${why}` };
}

function isOneFamily(a: string, b: string): boolean {
  return a.includes(':') === b.includes(':');
}
