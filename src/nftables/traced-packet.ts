import type { IP } from '../net/ip.ts';
import { readPacketHeaders } from '../netlink/packet-headers.ts';

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
  const headers = network && readPacketHeaders(network);
  if (headers === undefined) return undefined;
  const { source, destination, protocol } = headers;
  const hasPorts = transport !== undefined && transport.length >= 4;
  return {
    source,
    destination,
    protocol,
    sourcePort: hasPorts ? transport.readUInt16BE(0) : undefined,
    destinationPort: hasPorts ? transport.readUInt16BE(2) : undefined,
  };
}
