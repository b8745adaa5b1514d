/** Which networks the table speaks of, and how they become elements. */
import { type Cidr, cidrFamily, containsCidr, parseCidr, prefixLength } from '../../net/cidr.ts';
import type { IPFamily } from '../../net/ip.ts';
import { networkBytes } from '../../nftables/bytes.ts';
import type { Element } from '../../nftables/model.ts';
import type { FabricTableFacts } from './facts.ts';

/** For which IPv6 pods the node's address stands outside of the cluster. */
export type MasqueradeIPv6 = 'ula' | 'all' | 'none';

/** Destinations that nobody is masqueraded for: groups, and the link's own (RFC 5771, 3927, 4291). */
export const ALWAYS_DIRECT: readonly Cidr[] = [
  '224.0.0.0/4',
  '169.254.0.0/16',
  'ff00::/8',
  'fe80::/10',
].map(parseCidr);

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
 * Elements of a set of ranges for the networks of a family, in order. Networks inside another one are left
 * out, as such a set would refuse them (EEXIST); two networks overlap in no other way.
 */
export function rangesOf(cidrs: readonly Cidr[], family: IPFamily): readonly Element[] {
  const ranges = cidrs.filter((cidr) => cidrFamily(cidr) === family).map(rangeOf);
  const kept: Element[] = [];
  let end = '';
  for (const [first, last] of ranges.toSorted(compareRanges)) {
    if (last <= end) continue;
    end = last;
    kept.push(first === last ? { key: first } : { key: first, keyEnd: last });
  }
  return kept;
}

type Range = readonly [first: string, last: string];

/** In network order, so that they compare as the addresses do. */
function rangeOf(cidr: Cidr): Range {
  const first = networkBytes(cidr);
  const length = prefixLength(cidr);
  const at = length >>> 3;
  if (at === first.length) return [first, first];
  const byte = String.fromCharCode(first.charCodeAt(at) | (0xff >>> (length & 7)));
  return [first, first.slice(0, at) + byte + '\xff'.repeat(first.length - at - 1)];
}

/** By first address, the larger network first. */
function compareRanges([a, aEnd]: Range, [b, bEnd]: Range): number {
  if (a !== b) return a < b ? -1 : 1;
  return Number(aEnd < bEnd) - Number(aEnd > bEnd);
}
