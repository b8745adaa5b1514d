/** What the feature folders see of ipset. */
import type { IPFamily } from '../net/ip.ts';
import type { IpSetEntry, IpSetHeader, IpSetSpec, IpSetType } from '../netlink/ipset/types.ts';

export type {
  IpSetEntry,
  IpSetHeader,
  IpSetProtocol,
  IpSetSpec,
  IpSetType,
} from '../netlink/ipset/types.ts';

/** The sets of one namespace, those of others among them. Promises are to be awaited one by one. */
export interface IpSets {
  /** Throws IoError that names the module and the cure when the kernel lacks this type of set. */
  requireType(type: IpSetType, family: IPFamily): void;
  sets(): readonly IpSetHeader[];
  /** Undefined when there is no set of that name. */
  set(name: string): IpSetHeader | undefined;
  /** Nothing happens when there is an equal one; IpSetError `EEXIST` when it is another kind. */
  create(spec: IpSetSpec): void;
  /** The entries of a set of a known type, read in parts with turns of the event loop between. */
  entries(name: string): Promise<readonly IpSetEntry[]>;
  /** Entries that are there already are no error; stops at the first that is refused. */
  add(name: string, entries: readonly IpSetEntry[]): Promise<void>;
  /** Entries that are not there are no error. */
  delete(name: string, entries: readonly IpSetEntry[]): Promise<void>;
  /** Exchanges the contents of two sets of one type and family at once, under rules that use them. */
  swap(name: string, other: string): void;
  /** `false` when it was gone already; IpSetError `IPSET_ERR_BUSY` while something refers to it. */
  destroy(name: string): boolean;
  close(): void;
}
