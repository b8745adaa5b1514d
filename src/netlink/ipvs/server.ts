/** Virtual servers on the wire (net/netfilter/ipvs/ip_vs_ctl.c, ip_vs_genl_parse_service). */
import type { IPFamily } from '../../net/ip.ts';
import { type AttributeWriter, readAttributes, readString } from '../attributes.ts';
import { GENL_HEADER_BYTES } from '../generic/family.ts';
import { CMD_ATTR_SERVICE, SERVICE_ATTR, SERVICE_FLAG } from './constants.ts';
import { readServerKey, serverFamily, writeServerKey } from './server-key.ts';
import type { VirtualServer } from './types.ts';

const FLAGS_BYTES = 8;
const ALL_FLAGS = 0xffffffff;
const IPV4_BITS = 32;
const IPV6_BITS = 128;

/** Everything a new or changed server has: the kernel insists on all of it. */
export function writeServer(command: AttributeWriter, server: VirtualServer): void {
  const { key, scheduler, persistenceSeconds, persistencePrefixLength } = server;
  command.nested(CMD_ATTR_SERVICE, (service) => {
    writeServerKey(service, key);
    service.string(SERVICE_ATTR.scheduler, scheduler);
    service.bytes(SERVICE_ATTR.flags, encodeFlags(server));
    service.u32(SERVICE_ATTR.timeout, persistenceSeconds);
    writeNetmask(service, serverFamily(key), persistencePrefixLength);
  });
}

/** Reads the payload of an IPVS_CMD_NEW_SERVICE; undefined for a server of an unknown kind. */
export function decodeServer(payload: Buffer): VirtualServer | undefined {
  const encoded = readAttributes(payload, GENL_HEADER_BYTES).get(CMD_ATTR_SERVICE);
  if (encoded === undefined) return undefined;
  const attributes = readAttributes(encoded);
  const key = readServerKey(attributes);
  if (key === undefined) return undefined;
  const flags = attributes.get(SERVICE_ATTR.flags)?.readUInt32LE(0) ?? 0;
  const scheduler = attributes.get(SERVICE_ATTR.scheduler);
  return {
    key,
    scheduler: scheduler === undefined ? '' : readString(scheduler),
    ...readPersistence(attributes, serverFamily(key), (flags & SERVICE_FLAG.persistent) !== 0),
    ...((flags & SERVICE_FLAG.fallback) === 0 ? {} : { fallback: true }),
    ...((flags & SERVICE_FLAG.hashesPort) === 0 ? {} : { hashesPort: true }),
    ...((flags & SERVICE_FLAG.onePacket) === 0 ? {} : { onePacket: true }),
  };
}

/** struct ip_vs_flags: the flags and which of them to change. */
function encodeFlags(server: VirtualServer): Uint8Array {
  const { persistenceSeconds, fallback, hashesPort, onePacket } = server;
  const flags =
    (persistenceSeconds === 0 ? 0 : SERVICE_FLAG.persistent) |
    (fallback ? SERVICE_FLAG.fallback : 0) |
    (hashesPort ? SERVICE_FLAG.hashesPort : 0) |
    (onePacket ? SERVICE_FLAG.onePacket : 0);
  const bytes = Buffer.alloc(FLAGS_BYTES);
  bytes.writeUInt32LE(flags, 0);
  bytes.writeUInt32LE(ALL_FLAGS, 4);
  return bytes;
}

/** A mask in network order for IPv4, a prefix length in host order for IPv6. */
function writeNetmask(service: AttributeWriter, family: IPFamily, length?: number): void {
  if (family === 6) {
    service.u32(SERVICE_ATTR.netmask, length ?? IPV6_BITS);
    return;
  }
  const hostBits = IPV4_BITS - (length ?? IPV4_BITS);
  service.u32be(SERVICE_ATTR.netmask, 2 ** IPV4_BITS - 2 ** hostBits);
}

function readPersistence(
  attributes: ReadonlyMap<number, Buffer>,
  family: IPFamily,
  isPersistent: boolean,
): Pick<VirtualServer, 'persistenceSeconds' | 'persistencePrefixLength'> {
  if (!isPersistent) return { persistenceSeconds: 0 };
  const persistenceSeconds = attributes.get(SERVICE_ATTR.timeout)?.readUInt32LE(0) ?? 0;
  const netmask = attributes.get(SERVICE_ATTR.netmask);
  const length = netmask && readPrefixLength(netmask, family);
  if (length === undefined) return { persistenceSeconds };
  return { persistenceSeconds, persistencePrefixLength: length };
}

/** Undefined for whole addresses. */
function readPrefixLength(netmask: Buffer, family: IPFamily): number | undefined {
  const length =
    family === 6 ? netmask.readUInt32LE(0) : Math.clz32(~netmask.readUInt32BE(0) >>> 0);
  return length === (family === 6 ? IPV6_BITS : IPV4_BITS) ? undefined : length;
}
