import type { IptablesVariant } from '../../../iptables/command.ts';

/** What iptables-save prints, by variant; a variant that is not installed is missing. */
export type Listings = ReadonlyMap<IptablesVariant, string>;

const KUBELET_CHAIN = /^:KUBE-(?:IPTABLES-HINT|KUBELET-CANARY) /m;
const PROXY_CHAIN = /^:KUBE-(?:PROXY-CANARY|SERVICES) /m;

/**
 * Which variant the node uses, decided as the Kubernetes images do (iptables-wrappers): the one with
 * the kubelet's chains, then the one with a Service proxy's, then the one with more rules, then nft.
 * Rules in the other one work too, but in an order that nobody sees. Undefined: none is installed.
 */
export function chooseVariant(listings: Listings): IptablesVariant | undefined {
  for (const sign of [KUBELET_CHAIN, PROXY_CHAIN]) {
    for (const variant of ['nft', 'legacy'] as const) {
      if (sign.test(listings.get(variant) ?? '')) return variant;
    }
  }
  const [nft, legacy] = [listings.get('nft'), listings.get('legacy')];
  if (nft === undefined) return legacy === undefined ? undefined : 'legacy';
  return legacy !== undefined && countRules(legacy) > countRules(nft) ? 'legacy' : 'nft';
}

function countRules(listing: string): number {
  return listing.split('\n').filter((line) => line.startsWith('-A ')).length;
}
