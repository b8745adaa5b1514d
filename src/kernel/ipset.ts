import type { IPFamily } from '../net/ip.ts';
import { dumpInParts } from '../netlink/dump-in-parts.ts';
import { COMMAND, isIpSetType, REVISION } from '../netlink/ipset/constants.ts';
import { decodeEntry, formatIpSetEntry } from '../netlink/ipset/entry.ts';
import { ERR_FIND_TYPE } from '../netlink/ipset/errors.ts';
import { decodeHeader, eachListedEntry } from '../netlink/ipset/listing.ts';
import {
  decodeRevisions,
  encodeCreate,
  encodeEntries,
  encodeGetProtocol,
  encodeGetType,
  encodeListHeaders,
  encodeNamed,
  encodeSwap,
  refusedLine,
} from '../netlink/ipset/request.ts';
import { NLM_F_EXCL } from '../netlink/message.ts';
import { NETLINK_NETFILTER } from '../netlink/numbers.ts';
import { NetlinkError, NetlinkSocket } from '../netlink/socket.ts';
import { errorCode } from '../util/errors.ts';
import { inParts } from '../util/turns.ts';
import {
  asIpSetError,
  IpSetError,
  noIpSet,
  noIpSetType,
  type Refused,
  setExists,
} from './ipset-error.ts';
import type { IpSetEntry, IpSetHeader, IpSetSpec, IpSets, IpSetType } from './ipset-types.ts';
import type { Netns } from './types.ts';

/** A message's list of entries has to stay below 64 KB, its length being a u16. */
const ENTRIES_PER_MESSAGE = 512;

/**
 * Opens the sets of `netns`, which has to stay open meanwhile, or of the namespace of this process.
 * Throws IoError when the kernel has no ipset.
 */
export function openIpSets(options: { readonly netns?: Netns } = {}): IpSets {
  const open = () => NetlinkSocket.open(NETLINK_NETFILTER, options);
  let socket: NetlinkSocket | undefined;
  try {
    socket = open();
    socket.request(COMMAND.protocol, 0, encodeGetProtocol(), 'ask for ipset');
    return new IpSetSocket(socket, open);
  } catch (error) {
    socket?.close();
    // EINVAL: nfnetlink has no such subsystem. EPROTONOSUPPORT: the kernel has no nfnetlink.
    const isMissing = ['EINVAL', 'EPROTONOSUPPORT'].includes(errorCode(error) ?? '');
    throw isMissing ? noIpSet(error) : error;
  }
}

class IpSetSocket implements IpSets {
  readonly #socket: NetlinkSocket;
  readonly #open: () => NetlinkSocket;

  constructor(socket: NetlinkSocket, open: () => NetlinkSocket) {
    this.#socket = socket;
    this.#open = open;
  }

  requireType(type: IpSetType, family: IPFamily): void {
    this.#revision(type, family);
  }

  sets(): readonly IpSetHeader[] {
    return this.#headers('list sets');
  }

  set(name: string): IpSetHeader | undefined {
    try {
      return this.#headers(`read set ${name}`, name)[0];
    } catch (error) {
      if (errorCode(error) === 'ENOENT') return undefined;
      throw error;
    }
  }

  create(spec: IpSetSpec): void {
    const { name, type } = spec;
    const revision = this.#revision(type, spec.type === 'bitmap:port' ? 4 : spec.family);
    const what = `create set ${name}`;
    this.#request(COMMAND.create, encodeCreate(spec, revision), { what, set: name });
    // The kernel also reports success when the set is there with the other family.
    const family = spec.type === 'bitmap:port' ? undefined : spec.family;
    if (this.set(name)?.family !== family) throw setExists({ what, set: name });
  }

  /** On a socket of its own, so that other requests may be made while the kernel lists. */
  async entries(name: string): Promise<readonly IpSetEntry[]> {
    const socket = this.#open();
    const entries: IpSetEntry[] = [];
    let type: IpSetType | undefined;
    const what = `list entries of set ${name}`;
    try {
      const request = { type: COMMAND.list, payload: encodeNamed(name), what };
      await dumpInParts(socket, request, (replies) => {
        for (const { payload } of replies) {
          type ??= entryTypeOf(decodeHeader(payload), name);
          entries.push(...readEntries(type, payload));
        }
      });
    } catch (error) {
      throw asIpSetError(error, { what, set: name });
    } finally {
      socket.close();
    }
    return entries;
  }

  async add(name: string, entries: readonly IpSetEntry[]): Promise<void> {
    await this.#change(COMMAND.add, 'add', name, entries);
  }

  async delete(name: string, entries: readonly IpSetEntry[]): Promise<void> {
    await this.#change(COMMAND.delete, 'delete', name, entries);
  }

  swap(name: string, other: string): void {
    const what = `swap sets ${name} and ${other}`;
    this.#request(COMMAND.swap, encodeSwap(name, other), { what, set: name });
  }

  destroy(name: string): boolean {
    try {
      const refused = { what: `destroy set ${name}`, set: name };
      this.#request(COMMAND.destroy, encodeNamed(name), refused, NLM_F_EXCL);
      return true;
    } catch (error) {
      if (errorCode(error) === 'ENOENT') return false;
      throw error;
    }
  }

  close(): void {
    this.#socket.close();
  }

  /** Without NLM_F_EXCL it is a success when there is nothing to do. */
  #request(command: number, payload: Buffer, refused: Refused, flags = 0): void {
    try {
      this.#socket.request(command, flags, payload, refused.what);
    } catch (error) {
      throw asIpSetError(error, refused);
    }
  }

  #headers(what: string, name?: string): readonly IpSetHeader[] {
    try {
      const replies = this.#socket.dump(COMMAND.list, encodeListHeaders(name), what);
      return replies.flatMap(({ payload }) => decodeHeader(payload) ?? []);
    } catch (error) {
      throw asIpSetError(error, { what, set: name ?? '' });
    }
  }

  #revision(type: IpSetType, family: IPFamily): number {
    try {
      const what = `ask for sets of type ${type}`;
      const [reply] = this.#socket.request(COMMAND.type, 0, encodeGetType(type, family), what);
      if (reply === undefined) return REVISION[type];
      const { lowest, highest } = decodeRevisions(reply.payload);
      return Math.min(Math.max(REVISION[type], lowest), highest);
    } catch (error) {
      const isMissing = error instanceof NetlinkError && error.errno === ERR_FIND_TYPE;
      throw isMissing ? noIpSetType(type, error) : error;
    }
  }

  async #change(
    command: number,
    verb: string,
    name: string,
    entries: readonly IpSetEntry[],
  ): Promise<void> {
    for await (const part of inParts(entries, ENTRIES_PER_MESSAGE)) {
      this.#changeSome(command, verb, name, part);
    }
  }

  #changeSome(command: number, verb: string, set: string, entries: readonly IpSetEntry[]): void {
    try {
      this.#socket.request(command, 0, encodeEntries(set, entries), `${verb} entries of ${set}`);
    } catch (error) {
      if (!(error instanceof NetlinkError)) throw error;
      const entry = entries[refusedLine(error.reply) - 1];
      if (entry === undefined)
        throw asIpSetError(error, { what: `${verb} entries of set ${set}`, set });
      const what = `${verb} ${formatIpSetEntry(entry)} of set ${set}`;
      throw asIpSetError(error, { what, set, type: entry.type });
    }
  }
}

/** Throws IpSetError when entries of that type of set cannot be read. */
function entryTypeOf(header: IpSetHeader | undefined, set: string): IpSetType {
  const type = header?.type ?? 'none';
  if (isIpSetType(type)) return type;
  const message = `list entries of set ${set}: its type is ${type}, which is none of those read here`;
  throw new IpSetError('IPSET_ERR_TYPE_MISMATCH', set, message);
}

function readEntries(type: IpSetType, payload: Buffer): IpSetEntry[] {
  return [...eachListedEntry(payload)].flatMap((data) => decodeEntry(type, data) ?? []);
}
