/** Commands of ipset (net/netfilter/ipset/ip_set_core.c) and the answer about types. */
import type { IPFamily } from '../../net/ip.ts';
import { AttributeWriter, readAttributes } from '../attributes.ts';
import {
  ATTR,
  DATA_ATTR,
  FLAG_LIST_HEADER,
  NFGENMSG_BYTES,
  NFPROTO_IPV4,
  NFPROTO_IPV6,
  NFPROTO_UNSPEC,
  NLA_F_NET_BYTEORDER,
  PROTOCOL,
} from './constants.ts';
import { writeEntry } from './entry.ts';
import type { IpSetEntry, IpSetSpec, IpSetType } from './types.ts';

const NFGENMSG_VERSION = 0;
/** Where in a refusal the refused request's attributes begin: behind the errno and two headers. */
const ECHOED_ATTRIBUTES = 4 + 16 + NFGENMSG_BYTES;

/** Asks which protocol the kernel speaks, the least there is to ask. */
export function encodeGetProtocol(): Buffer {
  return begin().finish();
}

/** Asks for the revisions of a type; the kernel loads its module if it has to. */
export function encodeGetType(type: IpSetType, family: IPFamily): Buffer {
  return begin()
    .string(ATTR.typeName, type)
    .u8(ATTR.family, type === 'bitmap:port' ? NFPROTO_UNSPEC : nfprotoOf(family))
    .finish();
}

/** The revisions in the answer to `encodeGetType`, both included. */
export function decodeRevisions(payload: Buffer): {
  readonly lowest: number;
  readonly highest: number;
} {
  const attributes = readAttributes(payload, NFGENMSG_BYTES);
  const highest = attributes.get(ATTR.revision)?.readUInt8(0) ?? 0;
  return { lowest: attributes.get(ATTR.lowestRevision)?.readUInt8(0) ?? highest, highest };
}

export function encodeCreate(spec: IpSetSpec, revision: number): Buffer {
  const message = named(spec.name).string(ATTR.typeName, spec.type).u8(ATTR.revision, revision);
  if (spec.type === 'bitmap:port') {
    message.u8(ATTR.family, NFPROTO_UNSPEC).nested(ATTR.data, (data) => {
      data.u16be(DATA_ATTR.port | NLA_F_NET_BYTEORDER, spec.firstPort);
      data.u16be(DATA_ATTR.lastPort | NLA_F_NET_BYTEORDER, spec.lastPort);
    });
  } else {
    message.u8(ATTR.family, nfprotoOf(spec.family)).nested(ATTR.data, (data) => {
      data.u32be(DATA_ATTR.hashSize | NLA_F_NET_BYTEORDER, spec.hashSize);
      data.u32be(DATA_ATTR.maxElements | NLA_F_NET_BYTEORDER, spec.maxElements);
    });
  }
  return message.finish();
}

/**
 * One message for an add or delete of many entries. Each has its number as a line, from 1 on, which
 * is how the kernel tells the one it refuses (`refusedLine`).
 */
export function encodeEntries(name: string, entries: readonly IpSetEntry[]): Buffer {
  const message = named(name);
  message.nested(ATTR.entries, (list) => {
    entries.forEach((entry, i) => {
      list.nested(ATTR.data, (data) => {
        writeEntry(data, entry);
        data.u32(DATA_ATTR.line, i + 1);
      });
    });
  });
  // In its refusal the kernel sends the request back, with the line of the refused entry here.
  return message.u32(ATTR.line, 0).finish();
}

/** The line of the entry an NLMSG_ERROR complains about; 0 when it is about the whole message. */
export function refusedLine(payload: Buffer): number {
  if (payload.length <= ECHOED_ATTRIBUTES) return 0;
  return readAttributes(payload, ECHOED_ATTRIBUTES).get(ATTR.line)?.readUInt32LE(0) ?? 0;
}

/**
 * For a destroy, or a dump of one set with its entries. The name must be there: without one the
 * kernel means all sets.
 */
export function encodeNamed(name: string): Buffer {
  return named(name).finish();
}

export function encodeSwap(name: string, other: string): Buffer {
  return named(name).string(ATTR.otherSetName, other).finish();
}

/** For a dump of headers: of one set, or of all. */
export function encodeListHeaders(name?: string): Buffer {
  const message = name === undefined ? begin() : named(name);
  return message.u32be(ATTR.flags | NLA_F_NET_BYTEORDER, FLAG_LIST_HEADER).finish();
}

function begin(): AttributeWriter {
  const header = Uint8Array.of(NFPROTO_IPV4, NFGENMSG_VERSION, 0, 0);
  return new AttributeWriter().raw(header).u8(ATTR.protocol, PROTOCOL);
}

function named(name: string): AttributeWriter {
  return begin().string(ATTR.setName, name);
}

function nfprotoOf(family: IPFamily): number {
  return family === 4 ? NFPROTO_IPV4 : NFPROTO_IPV6;
}
