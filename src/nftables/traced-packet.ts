import { type IP, ipFromBytes } from '../net/ip.ts';

const IPV4_BYTES = 20;
const IPV6_BYTES = 40;

/** Addresses and ports of a packet at one hook. */
export interface TracedPacket {
  readonly source: IP;
  readonly destination: IP;
  /** IP protocol number. */
  readonly protocol: number;
  /** Undefined for protocols without ports, and for fragments behind the first. */
  readonly sourcePort: number | undefined;
  readonly destinationPort: number | undefined;
}

/**
 * Reads the headers a trace event carries; undefined without an IP header. An IPv6 packet with
 * extension headers has the number of the first of them as its protocol.
 */
export function readTracedPacket(
  network: Buffer | undefined,
  transport: Buffer | undefined,
): TracedPacket | undefined {
  if (network === undefined) return undefined;
  const addresses = readAddresses(network);
  if (addresses === undefined) return undefined;
  const hasPorts = transport !== undefined && transport.length >= 4;
  return {
    ...addresses,
    sourcePort: hasPorts ? transport.readUInt16BE(0) : undefined,
    destinationPort: hasPorts ? transport.readUInt16BE(2) : undefined,
  };
}

function readAddresses(header: Buffer) {
  const version = (header[0] ?? 0) >> 4;
  if (version === 4 && header.length >= IPV4_BYTES) {
    return {
      source: ipFromBytes(header.subarray(12, 16)),
      destination: ipFromBytes(header.subarray(16, 20)),
      protocol: header.readUInt8(9),
    };
  }
  if (version === 6 && header.length >= IPV6_BYTES) {
    return {
      source: ipFromBytes(header.subarray(8, 24)),
      destination: ipFromBytes(header.subarray(24, 40)),
      protocol: header.readUInt8(6),
    };
  }
  return undefined;
}
