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
  /** Of TCP; bits as in its header: 2 SYN, 4 RST, 16 ACK. */
  readonly tcpFlags?: number;
  /** Of ICMP and ICMPv6. */
  readonly icmp?: { readonly type: number; readonly code: number };
}

const TCP = 6;
const ICMP: readonly number[] = [1, 58];
/** Where TCP has its flags. */
const FLAGS_AT = 13;

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
  const isIcmp = ICMP.includes(protocol);
  const hasPorts = !isIcmp && transport !== undefined && transport.length >= 4;
  const flags = protocol === TCP ? transport?.at(FLAGS_AT) : undefined;
  return {
    source,
    destination,
    protocol,
    sourcePort: hasPorts ? transport.readUInt16BE(0) : undefined,
    destinationPort: hasPorts ? transport.readUInt16BE(2) : undefined,
    ...(flags === undefined ? {} : { tcpFlags: flags }),
    ...(isIcmp && transport !== undefined && transport.length >= 2
      ? { icmp: { type: transport.readUInt8(0), code: transport.readUInt8(1) } }
      : {}),
  };
}
