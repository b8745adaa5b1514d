/** Sets and their entries as values (include/uapi/linux/netfilter/ipset/ip_set.h). */
import type { Cidr } from '../../net/cidr.ts';
import type { IP, IPFamily } from '../../net/ip.ts';

/** A number for what sets of others may hold besides. */
export type IpSetProtocol = 'tcp' | 'udp' | 'sctp' | number;

interface AddressAndPort {
  readonly ip: IP;
  readonly protocol: IpSetProtocol;
  readonly port: number;
}

/** An entry of a set, tagged by the type of its set. */
export type IpSetEntry =
  | { readonly type: 'hash:ip'; readonly ip: IP }
  | ({ readonly type: 'hash:ip,port' } & AddressAndPort)
  | ({ readonly type: 'hash:ip,port,ip'; readonly ip2: IP } & AddressAndPort)
  | ({ readonly type: 'hash:ip,port,net'; readonly net: Cidr } & AddressAndPort)
  | { readonly type: 'bitmap:port'; readonly port: number };

export type IpSetType = IpSetEntry['type'];

/** A set to make: a hash of one family with its bounds, or one bit for each port of a range. */
export type IpSetSpec =
  | {
      readonly name: string;
      readonly type: Exclude<IpSetType, 'bitmap:port'>;
      readonly family: IPFamily;
      /** Entries beyond are refused (IPSET_ERR_HASH_FULL). */
      readonly maxElements: number;
      /** To begin with; the kernel makes it a power of two and lets it grow. */
      readonly hashSize: number;
    }
  | {
      readonly name: string;
      readonly type: 'bitmap:port';
      readonly firstPort: number;
      readonly lastPort: number;
    };

/** What the kernel says of a set of any type. */
export interface IpSetHeader {
  readonly name: string;
  /** As `ipset list` prints it, also of types that IpSetType does not know. */
  readonly type: string;
  readonly revision: number;
  /** Undefined for sets that are of no family. */
  readonly family: IPFamily | undefined;
  readonly maxElements: number | undefined;
  readonly hashSize: number | undefined;
  readonly firstPort: number | undefined;
  readonly lastPort: number | undefined;
  /** Rules and sets that use it: it cannot be destroyed before there are none. */
  readonly references: number;
  readonly elements: number;
}
