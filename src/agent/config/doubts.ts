import { type Cidr, cidrFamily } from '../../net/cidr.ts';
import { type IPFamily, ipFamily } from '../../net/ip.ts';
import type { ProxySettings } from './proxy-settings.ts';

const FAMILIES: readonly IPFamily[] = [4, 6];
const ANY_ADDRESS: readonly string[] = ['0.0.0.0', '::'];

/**
 * What in a valid configuration is probably not meant so (kube-proxy's checkBadConfig and
 * checkBadIPConfig); for the log. Whether both families are in use shows in networks of both.
 */
export function findDoubts(settings: ProxySettings): readonly string[] {
  const { bindAddress, clusterCIDRs, localDetection, nodePortAddresses } = settings;
  const nodePortCIDRs = nodePortAddresses.kind === 'cidrs' ? nodePortAddresses.cidrs : [];
  const known = new Set([
    ...familiesOf([...clusterCIDRs, ...nodePortCIDRs]),
    ...(bindAddress === undefined ? [] : [ipFamily(bindAddress)]),
  ]);
  const lacking = (cidrs: readonly Cidr[]) =>
    cidrs.length === 0 ? [] : [...known].filter((family) => !familiesOf(cidrs).has(family));
  return [
    ...(nodePortAddresses.kind === 'cidrs' && nodePortCIDRs.length === 0
      ? [
          'nodePortAddresses is not set: NodePorts are accepted on all local addresses; ' +
            '"primary" limits them to the node\'s own',
        ]
      : []),
    ...lacking(nodePortCIDRs).map(
      (family) =>
        `nodePortAddresses has no IPv${family} network: NodePorts are accepted on all local ` +
        `IPv${family} addresses`,
    ),
    ...lacking(clusterCIDRs).map(
      (family) =>
        `clusterCIDR has no IPv${family} network: IPv${family} traffic of pods cannot be told ` +
        'from other traffic',
    ),
    ...(localDetection === undefined
      ? [
          'detectLocalMode is ClusterCIDR and clusterCIDR is not set: traffic from outside of the ' +
            'cluster to a clusterIP is not masqueraded',
        ]
      : []),
    ...foreignExclusions(settings),
    ...foreignServers(settings),
  ];
}

/** Virtual servers to leave alone, and none of the family the node is configured to have. */
function foreignExclusions({ bindAddress, ipvs }: ProxySettings): readonly string[] {
  const families = familiesOf(ipvs.excludeCIDRs);
  if (bindAddress === undefined || families.size === 0) return [];
  const family = ipFamily(bindAddress);
  return families.has(family) ? [] : [`ipvs.excludeCIDRs has no IPv${family} network`];
}

/** Servers of another family than the address the node is configured to have. */
function foreignServers(settings: ProxySettings): readonly string[] {
  const { bindAddress } = settings;
  if (bindAddress === undefined) return [];
  return (['healthzBindAddress', 'metricsBindAddress'] as const).flatMap((key) => {
    const address = settings[key];
    if (address === undefined || ANY_ADDRESS.includes(address.host)) return [];
    if (ipFamily(address.host) === ipFamily(bindAddress)) return [];
    return [`${key} ${address.host} is of another family than bindAddress ${bindAddress}`];
  });
}

function familiesOf(cidrs: readonly Cidr[]): ReadonlySet<IPFamily> {
  return new Set(FAMILIES.filter((family) => cidrs.some((cidr) => cidrFamily(cidr) === family)));
}
