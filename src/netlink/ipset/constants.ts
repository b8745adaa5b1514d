/** Numbers of include/uapi/linux/netfilter/ipset/ip_set.h. */
import type { IpSetType } from './types.ts';

const NFNL_SUBSYS_IPSET = 6;

/** Message types. */
export const COMMAND = {
  protocol: (NFNL_SUBSYS_IPSET << 8) | 1,
  create: (NFNL_SUBSYS_IPSET << 8) | 2,
  destroy: (NFNL_SUBSYS_IPSET << 8) | 3,
  swap: (NFNL_SUBSYS_IPSET << 8) | 6,
  list: (NFNL_SUBSYS_IPSET << 8) | 7,
  add: (NFNL_SUBSYS_IPSET << 8) | 9,
  delete: (NFNL_SUBSYS_IPSET << 8) | 10,
  type: (NFNL_SUBSYS_IPSET << 8) | 13,
} as const;

/** The oldest protocol every kernel of this century's second decade and later speaks. */
export const PROTOCOL = 6;

/** struct nfgenmsg. */
export const NFGENMSG_BYTES = 4;
/** Set on values in network order; the kernel refuses them without. */
export const NLA_F_NET_BYTEORDER = 0x4000;

export const NFPROTO_UNSPEC = 0;
export const NFPROTO_IPV4 = 2;
export const NFPROTO_IPV6 = 10;

export const ATTR = {
  protocol: 1,
  setName: 2,
  typeName: 3,
  otherSetName: 3,
  revision: 4,
  family: 5,
  flags: 6,
  data: 7,
  entries: 8,
  line: 9,
  lowestRevision: 10,
} as const;

/** Within ATTR.data of a set or an entry. */
export const DATA_ATTR = {
  ip: 1,
  port: 4,
  lastPort: 5,
  protocol: 7,
  line: 9,
  hashSize: 18,
  maxElements: 19,
  ip2: 20,
  prefixLength2: 21,
  elements: 24,
  references: 25,
} as const;

export const ADDRESS_IPV4 = 1;
export const ADDRESS_IPV6 = 2;

/** IPSET_FLAG_LIST_HEADER: no entries. */
export const FLAG_LIST_HEADER = 1 << 2;

/**
 * The revision of each type that came with kernel 3.17 (skbinfo): nothing later is used here, and
 * an `ipset` program refuses to list sets of a revision it does not know.
 */
export const REVISION: Readonly<Record<IpSetType, number>> = {
  'hash:ip': 4,
  'hash:ip,port': 5,
  'hash:ip,port,ip': 5,
  'hash:ip,port,net': 7,
  'bitmap:port': 3,
};

/** Whether entries of that type can be read and written here. */
export function isIpSetType(type: string): type is IpSetType {
  return Object.hasOwn(REVISION, type);
}
