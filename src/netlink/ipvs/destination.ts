/** Destinations on the wire (net/netfilter/ipvs/ip_vs_ctl.c, ip_vs_genl_parse_dest). */

import { type IPFamily, ipFamily } from '../../net/ip.ts';
import { type AttributeWriter, readAttributes } from '../attributes.ts';
import { GENL_HEADER_BYTES } from '../generic/family.ts';
import { AF_INET, AF_INET6 } from '../numbers.ts';
import { decodeAddress, encodeAddress } from './address.ts';
import { CMD_ATTR_DEST, DEST_ATTR, FORWARDING_MASK, FORWARDING_MASQUERADE } from './constants.ts';
import type { Destination, DestinationKey, ObservedDestination } from './types.ts';

const NO_THRESHOLD = 0;

/** Everything a new or changed destination has; it is reached by translation of addresses. */
export function writeDestination(command: AttributeWriter, destination: Destination): void {
  command.nested(CMD_ATTR_DEST, (encoded) => {
    writeKey(encoded, destination);
    encoded.u32(DEST_ATTR.forwarding, FORWARDING_MASQUERADE);
    encoded.u32(DEST_ATTR.weight, destination.weight);
    encoded.u32(DEST_ATTR.upperThreshold, NO_THRESHOLD);
    encoded.u32(DEST_ATTR.lowerThreshold, NO_THRESHOLD);
  });
}

/** What a request to delete a destination says of it. */
export function writeDestinationKey(command: AttributeWriter, destination: DestinationKey): void {
  command.nested(CMD_ATTR_DEST, (encoded) => writeKey(encoded, destination));
}

/**
 * Reads the payload of an IPVS_CMD_NEW_DEST; undefined when it has no address. Kernels before 3.18
 * do not tell the family: it is the server's, `serverFamily`.
 */
export function decodeDestination(
  payload: Buffer,
  serverFamily: IPFamily,
): ObservedDestination | undefined {
  const encoded = readAttributes(payload, GENL_HEADER_BYTES).get(CMD_ATTR_DEST);
  if (encoded === undefined) return undefined;
  const attributes = readAttributes(encoded);
  const number = (type: number) => attributes.get(type)?.readUInt32LE(0) ?? 0;
  const family = attributes.get(DEST_ATTR.family)?.readUInt16LE(0);
  const address = attributes.get(DEST_ATTR.address);
  const ip = address && decodeAddress(address, family ?? (serverFamily === 4 ? AF_INET : AF_INET6));
  if (ip === undefined) return undefined;
  return {
    ip,
    port: attributes.get(DEST_ATTR.port)?.readUInt16BE(0) ?? 0,
    weight: number(DEST_ATTR.weight),
    activeConnections: number(DEST_ATTR.activeConnections),
    inactiveConnections: number(DEST_ATTR.inactiveConnections),
    persistentConnections: number(DEST_ATTR.persistentConnections),
    isMasquerading: (number(DEST_ATTR.forwarding) & FORWARDING_MASK) === FORWARDING_MASQUERADE,
  };
}

function writeKey(encoded: AttributeWriter, { ip, port }: DestinationKey): void {
  encoded.bytes(DEST_ATTR.address, encodeAddress(ip));
  encoded.u16be(DEST_ATTR.port, port);
  encoded.u16(DEST_ATTR.family, ipFamily(ip) === 4 ? AF_INET : AF_INET6);
}
