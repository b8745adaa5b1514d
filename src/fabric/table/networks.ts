/** Which networks the table speaks of, and how they become elements. */
import { type Cidr, cidrFamily, containsCidr, parseCidr, prefixLength } from '../../net/cidr.ts';
import type { IPFamily } from '../../net/ip.ts';
import { networkBytes } from '../../nftables/bytes.ts';
import type { Element } from '../../nftables/model.ts';
import type { FabricTableFacts } from './facts.ts';

/** For which IPv6 pods the node's address stands outside of the cluster. */
export type MasqueradeIPv6 = 'ula' | 'all' | 'none';

/**
 * Destinations that nobody is masqueraded for: groups, and what no router passes on (RFC 5771, RFC
 * 4291). IPv4's link-local network is not among them: a cloud answers nodes at 169.254.169.254, not pods.
 */
export const ALWAYS_DIRECT: readonly Cidr[] = ['224.0.0.0/4', 'ff00::/8', 'fe80::/10'].map(
  parseCidr,
);

/** RFC 4193: no router outside knows the way back. */
const UNIQUE_LOCAL = parseCidr('fc00::/7');

/**
 * Families whose pods are masqueraded: IPv4 always, as the networks of pods are private ones; IPv6 as
 * configured, with `ula` only when a network of these pods is unique local. Global addresses find
 * their way back.
 */
export function masqueradedFamilies(
  podCIDRs: readonly Cidr[],
  ipv6: MasqueradeIPv6,
): readonly IPFamily[] {
  const isMasqueraded = (cidr: Cidr) =>
    cidrFamily(cidr) === 4 ||
    ipv6 === 'all' ||
    (ipv6 === 'ula' && containsCidr(UNIQUE_LOCAL, cidr));
  return [...new Set(podCIDRs.filter(isMasqueraded).map(cidrFamily))].toSorted();
}

/** The pods' networks that the table masquerades. */
export function masqueradedNetworks({ podCIDRs, masquerade }: FabricTableFacts): readonly Cidr[] {
  if (masquerade === undefined) return [];
  return podCIDRs.filter((cidr) => masquerade.families.includes(cidrFamily(cidr)));
}

/**
 * The same keys without ranges that are inside another one, which a set would refuse (EEXIST); in order.
 * Two networks overlap in no other way.
 */
export function outermost(elements: readonly Element[]): readonly Element[] {
  const kept: Element[] = [];
  let end = '';
  for (const element of elements.toSorted(compareRanges)) {
    const { key, keyEnd = key } = element;
    if (keyEnd <= end) continue;
    end = keyEnd;
    kept.push(element);
  }
  return kept;
}

/** The element of a set of ranges for a network: in network order, so that elements compare as addresses do. */
export function rangeOf(cidr: Cidr): Element {
  const key = networkBytes(cidr);
  const length = prefixLength(cidr);
  const at = length >>> 3;
  if (at === key.length) return { key };
  const byte = String.fromCharCode(key.charCodeAt(at) | (0xff >>> (length & 7)));
  return { key, keyEnd: key.slice(0, at) + byte + '\xff'.repeat(key.length - at - 1) };
}

/** By first address, the larger network first. */
function compareRanges(a: Element, b: Element): number {
  if (a.key !== b.key) return a.key < b.key ? -1 : 1;
  const [aEnd, bEnd] = [a.keyEnd ?? a.key, b.keyEnd ?? b.key];
  return Number(aEnd < bEnd) - Number(aEnd > bEnd);
}
