/** What the kernel lists of sets (net/netfilter/ipset/ip_set_core.c, ip_set_dump_do). */
import type { IPFamily } from '../../net/ip.ts';
import { eachAttribute, readAttributes, readString } from '../attributes.ts';
import { ATTR, DATA_ATTR, NFGENMSG_BYTES, NFPROTO_IPV4, NFPROTO_IPV6 } from './constants.ts';
import type { IpSetHeader } from './types.ts';

const FAMILIES: ReadonlyMap<number, IPFamily> = new Map([
  [NFPROTO_IPV4, 4],
  [NFPROTO_IPV6, 6],
]);

/** The header of a set; undefined in the second and later messages of one set. */
export function decodeHeader(payload: Buffer): IpSetHeader | undefined {
  const attributes = readAttributes(payload, NFGENMSG_BYTES);
  const name = attributes.get(ATTR.setName);
  const type = attributes.get(ATTR.typeName);
  const encoded = attributes.get(ATTR.data);
  if (name === undefined || type === undefined || encoded === undefined) return undefined;
  const data = readAttributes(encoded);
  return {
    name: readString(name),
    type: readString(type),
    revision: attributes.get(ATTR.revision)?.readUInt8(0) ?? 0,
    family: FAMILIES.get(attributes.get(ATTR.family)?.readUInt8(0) ?? 0),
    maxElements: data.get(DATA_ATTR.maxElements)?.readUInt32BE(0),
    hashSize: data.get(DATA_ATTR.hashSize)?.readUInt32BE(0),
    firstPort: data.get(DATA_ATTR.port)?.readUInt16BE(0),
    lastPort: data.get(DATA_ATTR.lastPort)?.readUInt16BE(0),
    references: data.get(DATA_ATTR.references)?.readUInt32BE(0) ?? 0,
    elements: data.get(DATA_ATTR.elements)?.readUInt32BE(0) ?? 0,
  };
}

/** The encoded entries of one message, for `decodeEntry`. */
export function* eachListedEntry(payload: Buffer): Generator<Buffer> {
  const entries = readAttributes(payload, NFGENMSG_BYTES).get(ATTR.entries);
  if (entries === undefined) return;
  for (const { type, value } of eachAttribute(entries)) if (type === ATTR.data) yield value;
}
