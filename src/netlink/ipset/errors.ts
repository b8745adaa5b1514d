/** The errnos that only ipset uses (enum ipset_errno and the type-specific ones behind it). */
import { errnoName } from '../errno.ts';

const FIRST_PRIVATE = 4096;

export const ERR_FIND_TYPE = 4098;

const NAMES: ReadonlyMap<number, string> = new Map([
  [4097, 'IPSET_ERR_PROTOCOL'],
  [ERR_FIND_TYPE, 'IPSET_ERR_FIND_TYPE'],
  [4099, 'IPSET_ERR_MAX_SETS'],
  [4100, 'IPSET_ERR_BUSY'],
  [4101, 'IPSET_ERR_EXIST_SETNAME2'],
  [4102, 'IPSET_ERR_TYPE_MISMATCH'],
  [4103, 'IPSET_ERR_EXIST'],
  [4104, 'IPSET_ERR_INVALID_CIDR'],
  [4105, 'IPSET_ERR_INVALID_NETMASK'],
  [4106, 'IPSET_ERR_INVALID_FAMILY'],
  [4107, 'IPSET_ERR_TIMEOUT'],
  [4108, 'IPSET_ERR_REFERENCED'],
  [4109, 'IPSET_ERR_IPADDR_IPV4'],
  [4110, 'IPSET_ERR_IPADDR_IPV6'],
]);

/** From 4352 on a number has one meaning in hashes and another in bitmaps. */
const HASH_NAMES: ReadonlyMap<number, string> = new Map([
  [4352, 'IPSET_ERR_HASH_FULL'],
  [4353, 'IPSET_ERR_HASH_ELEM'],
  [4354, 'IPSET_ERR_INVALID_PROTO'],
  [4355, 'IPSET_ERR_MISSING_PROTO'],
  [4356, 'IPSET_ERR_HASH_RANGE_UNSUPPORTED'],
  [4357, 'IPSET_ERR_HASH_RANGE'],
]);
const BITMAP_NAMES: ReadonlyMap<number, string> = new Map([
  [4352, 'IPSET_ERR_BITMAP_RANGE'],
  [4353, 'IPSET_ERR_BITMAP_RANGE_SIZE'],
]);

/** The name of a positive errno of a request about a set of `type`, if that is known. */
export function ipSetErrnoName(errno: number, type?: string): string {
  if (errno < FIRST_PRIVATE) return errnoName(errno);
  const special = type?.startsWith('bitmap:') ? BITMAP_NAMES : HASH_NAMES;
  return NAMES.get(errno) ?? special.get(errno) ?? `IPSET_ERR_${errno}`;
}
