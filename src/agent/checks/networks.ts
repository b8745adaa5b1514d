/** Whether what is configured of networks fits what is there. Pure. */
import { type Cidr, cidrFamily, containsCidr, containsIP } from '../../net/cidr.ts';
import { type IP, type IPFamily, ipFamily } from '../../net/ip.ts';
import type { Check } from './check.ts';

export interface NetworkFacts {
  /** What tells pods from others, for the proxy; empty where something else does. */
  readonly clusterCIDRs: readonly Cidr[];
  /** Of this node. */
  readonly podCIDRs: readonly Cidr[];
  readonly serviceCIDRs: readonly Cidr[];
  /** What differs inside of pods from what they were given, in sentences. */
  readonly differing: readonly string[];
  /** Of this node. */
  readonly pods: readonly { readonly name: string; readonly addresses: readonly IP[] }[];
}

const clusterCidr: Check<NetworkFacts> = {
  id: 'cluster-cidr',
  concernsTraffic: true,
  why: "what pods send to Services is masqueraded as if it came from outside: Services and policies see the node's address",
  judge: ({ clusterCIDRs, podCIDRs, pods }) => {
    if (clusterCIDRs.length === 0 || podCIDRs.length + pods.length === 0) return undefined;
    // A family that it says nothing of is none that it is wrong about.
    const ofFamilies = new Set(clusterCIDRs.map(cidrFamily));
    const outside = podCIDRs.filter(
      (cidr) =>
        ofFamilies.has(cidrFamily(cidr)) && !clusterCIDRs.some((each) => containsCidr(each, cidr)),
    );
    const pod = findOutside(pods, clusterCIDRs, ofFamilies);
    const all = clusterCIDRs.join(', ');
    if (outside.length === 0 && pod === undefined) {
      return { level: 'ok', seen: `clusterCIDR ${all} holds the pods of this node` };
    }
    const parts = [
      ...(outside.length === 0 ? [] : [`the podCIDR ${outside.join(', ')} of this node`]),
      ...(pod === undefined ? [] : [`${pod.address} of pod ${pod.name}`]),
    ];
    return {
      level: 'failing',
      seen: `clusterCIDR ${all} excludes ${parts.join(' and ')}`,
      cure: 'set proxy.clusterCIDR (--cluster-cidr) to the networks that all pods are of',
    };
  },
};

const serviceCidr: Check<NetworkFacts> = {
  id: 'service-cidr',
  concernsTraffic: true,
  why: 'an address that a pod and a Service may both have leads to the Service only',
  judge: ({ serviceCIDRs, podCIDRs }) => {
    if (serviceCIDRs.length === 0 || podCIDRs.length === 0) return undefined;
    for (const services of serviceCIDRs) {
      const shared = podCIDRs.find(
        (pods) => containsCidr(services, pods) || containsCidr(pods, services),
      );
      if (shared === undefined) continue;
      return {
        level: 'failing',
        seen: `the network ${services} of Services and the network ${shared} of pods overlap`,
        cure: 'give one of them another network: kube-apiserver --service-cluster-ip-range, or the podCIDRs',
      };
    }
    return { level: 'ok', seen: 'networks of Services and pods are apart' };
  },
};

const podInsides: Check<NetworkFacts> = {
  id: 'pod-insides',
  concernsTraffic: false,
  why: 'without its addresses and routes a pod reaches nobody; what is missing comes back, what is changed is its own business',
  judge: ({ differing, pods }) => {
    const [first] = differing;
    if (first === undefined) {
      if (pods.length === 0) return undefined;
      return { level: 'ok', seen: 'pods have the addresses and routes that they were given' };
    }
    const more = differing.length > 1 ? `, and ${differing.length - 1} more` : '';
    return {
      level: 'warning',
      seen: `${first}${more}`,
      cure: 'put it back inside of the pod, or have the pod made anew',
    };
  },
};

export const NETWORK_CHECKS: readonly Check<NetworkFacts>[] = [
  clusterCidr,
  serviceCidr,
  podInsides,
];

function findOutside(
  pods: NetworkFacts['pods'],
  cidrs: readonly Cidr[],
  families: ReadonlySet<IPFamily>,
): { readonly name: string; readonly address: IP } | undefined {
  for (const { name, addresses } of pods) {
    const address = addresses.find((ip) => {
      const isOfFamily = families.has(ipFamily(ip));
      return isOfFamily && !cidrs.some((cidr) => containsIP(cidr, ip));
    });
    if (address !== undefined) return { name, address };
  }
  return undefined;
}
