import { ipSetErrnoName } from '../netlink/ipset/errors.ts';
import type { IpSetType } from '../netlink/ipset/types.ts';
import { NetlinkError } from '../netlink/socket.ts';
import { IoError, WeftError } from '../util/errors.ts';

/** A request about a set was refused; `code` is the errno's name or one of IPSET_ERR_*. */
export class IpSetError extends WeftError {
  readonly set: string;

  constructor(code: string, set: string, message: string, options?: ErrorOptions) {
    super(code, message, options);
    this.set = set;
  }
}

const CURES: Readonly<Record<string, string>> = {
  EEXIST: 'a set of this name has another type, family or size: rename or destroy that one',
  ENOENT: 'there is no set of this name',
  IPSET_ERR_PROTOCOL: 'the set holds entries of another kind or family',
  IPSET_ERR_BUSY: 'rules or sets use it: delete those first',
  IPSET_ERR_REFERENCED: 'rules or sets use it: delete those first',
  IPSET_ERR_EXIST_SETNAME2: 'there is no set of the second name',
  IPSET_ERR_TYPE_MISMATCH: 'the two sets are of different types or families',
  IPSET_ERR_HASH_FULL: 'it holds as many entries as it was made for: make it with more maxElements',
  IPSET_ERR_HASH_ELEM: 'the entry is empty',
  IPSET_ERR_INVALID_PROTO: 'a set with ports has no such protocol',
  IPSET_ERR_IPADDR_IPV4: 'the set holds addresses of the other family',
  IPSET_ERR_IPADDR_IPV6: 'the set holds addresses of the other family',
  IPSET_ERR_BITMAP_RANGE: 'the port is outside of the range it was made for',
};

/** What was refused, for messages. */
export interface Refused {
  readonly what: string;
  readonly set: string;
  /** Of the set, where known: some numbers mean one thing for hashes and another for bitmaps. */
  readonly type?: string;
}

/** An IpSetError for what the kernel refused; other errors as they are. */
export function asIpSetError(error: unknown, refused: Refused): unknown {
  if (!(error instanceof NetlinkError)) return error;
  return withCure(ipSetErrnoName(error.errno, refused.type), refused, { cause: error });
}

/** A set of that name is there and not what was asked for. */
export function setExists(refused: Refused): IpSetError {
  return withCure('EEXIST', refused);
}

function withCure(code: string, { what, set }: Refused, options?: ErrorOptions): IpSetError {
  const cure = CURES[code];
  const text = cure === undefined ? code : `${code}: ${cure}`;
  return new IpSetError(code, set, `${what}: ${text}`, options);
}

/** The kernel has no ipset at all. */
export function noIpSet(cause: unknown): IoError {
  return new IoError(
    'this kernel has no ipset: load it with "modprobe ip_set", ' +
      'or boot a kernel built with CONFIG_IP_SET',
    { cause },
  );
}

/** The kernel has ipset and not this type: `hash:ip,port` is module `ip_set_hash_ipport`. */
export function noIpSetType(type: IpSetType, cause: unknown): IoError {
  const module = `ip_set_${type.replace(':', '_').replaceAll(',', '')}`;
  return new IoError(
    `this kernel has no sets of type ${type}: load them with "modprobe ${module}", ` +
      `or boot a kernel built with CONFIG_${module.toUpperCase()}`,
    { cause },
  );
}
