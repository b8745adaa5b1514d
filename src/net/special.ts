import { type IP, isIPv4, isLoopback } from './ip.ts';

/** What an address can be that is nobody's to serve on or to be led to. */
export type SpecialKind = 'unspecified' | 'loopback' | 'link-local' | 'multicast' | 'broadcast';

/**
 * What makes an address special, undefined for all others. The API server's validation
 * (ValidateNonSpecialIP) names the same kinds; multicast is all of it here, not of the link only.
 * Goes by the canonical text, as it is asked for every endpoint.
 */
export function specialKind(ip: IP): SpecialKind | undefined {
  if (isLoopback(ip)) return 'loopback';
  if (!isIPv4(ip)) {
    if (ip === '::') return 'unspecified';
    if (/^ff..:/.test(ip)) return 'multicast';
    return /^fe[89ab].:/.test(ip) ? 'link-local' : undefined;
  }
  if (ip.startsWith('0.')) return 'unspecified';
  if (ip.startsWith('169.254.')) return 'link-local';
  if (ip === '255.255.255.255') return 'broadcast';
  return /^2(2[4-9]|3\d)\./.test(ip) ? 'multicast' : undefined;
}
