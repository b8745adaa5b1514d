/** RTM_*ADDR messages (include/uapi/linux/if_addr.h). */

import rt from 'netlink/dist/rt/structs.js';
import { cidrOf, lastAddress } from '../../net/cidr.ts';
import { type IP, ipFamily, ipFromBytes, ipToBytes } from '../../net/ip.ts';
import { addressFamily } from '../numbers.ts';
import { encodeWith } from './codec.ts';

export const RTM_NEWADDR = 20;
export const RTM_DELADDR = 21;
export const RTM_GETADDR = 22;

/** rtnetlink scope numbers (enum rt_scope_t). */
const SCOPES = { global: 0, site: 200, link: 253, host: 254 } as const;

/** struct ifa_cacheinfo: valid for ever, preferred never. */
const NEVER_PREFERRED = { ifaPrefered: 0, ifaValid: 0xffffffff, cstamp: 0, tstamp: 0 };

export type AddressScope = keyof typeof SCOPES;

export interface LinkAddress {
  readonly address: IP;
  readonly prefixLength: number;
  /** What the kernel knows; undefined on a request lets the address decide. */
  readonly scope?: AddressScope;
  /** IPv6 only. On a request: do not use the address before duplicate address detection is done. */
  readonly isTentative?: boolean;
  /** Duplicate address detection found another owner; only the kernel says so. */
  readonly isDuplicate?: boolean;
  /** Metric of the route to its network (IFA_RT_PRIORITY, Linux 4.18). */
  readonly metric?: number;
  /** IPv6 only, on a request: never choose it as a source (a preferred lifetime of 0). */
  readonly isDeprecated?: boolean;
}

/** Reads the payload of an RTM_NEWADDR; `link` is the ifindex. */
export function decodeAddress(payload: Buffer): LinkAddress & { readonly link: number } {
  const { data, attrs } = rt.parseAddressMessage(payload);
  // On point-to-point links IFA_ADDRESS is the peer and IFA_LOCAL the own address.
  const bytes = attrs.local ?? attrs.address ?? Buffer.alloc(4);
  const { tentative, dadfailed } = data.flags ?? {};
  return {
    link: data.index ?? 0,
    address: ipFromBytes(bytes),
    prefixLength: data.prefixlen ?? 0,
    scope: scopeName(data.scope ?? 0),
    ...(tentative === true ? { isTentative: true } : {}),
    ...(dadfailed === true ? { isDuplicate: true } : {}),
    ...(attrs.rtPriority === undefined ? {} : { metric: attrs.rtPriority }),
  };
}

/**
 * For RTM_NEWADDR and RTM_DELADDR. Unless `isTentative` asks for it there is no second of tentative
 * state (IFA_F_NODAD).
 */
export function encodeAddress(link: number, address: LinkAddress): Buffer {
  const bytes = Buffer.from(ipToBytes(address.address));
  const family = ipFamily(address.address);
  return encodeWith(rt.formatAddressMessage, {
    kind: 'address',
    data: {
      family: addressFamily(family),
      prefixlen: address.prefixLength,
      index: link,
      scope: SCOPES[address.scope ?? 'global'],
      flags: family === 6 && address.isTentative !== true ? { nodad: true } : {},
    },
    attrs: {
      ...{ local: bytes, address: bytes },
      ...broadcastOf(address),
      ...(address.metric === undefined ? {} : { rtPriority: address.metric }),
      ...(address.isDeprecated === true ? { cacheInfo: NEVER_PREFERRED } : {}),
    },
  });
}

/** Of IPv4, as the reference plugins' library sets it; a prefix of one or two addresses has none. */
function broadcastOf({ address, prefixLength }: LinkAddress): { readonly broadcast?: Buffer } {
  if (ipFamily(address) === 6 || prefixLength > 30) return {};
  return { broadcast: Buffer.from(ipToBytes(lastAddress(cidrOf(address, prefixLength)))) };
}

/** For an RTM_GETADDR dump; `link` 0 asks for all links. */
export function encodeAddressFilter(link: number): Buffer {
  return rt.formatAddress({ index: link });
}

function scopeName(scope: number): AddressScope {
  if (scope === SCOPES.host) return 'host';
  if (scope === SCOPES.link) return 'link';
  return scope === SCOPES.site ? 'site' : 'global';
}
