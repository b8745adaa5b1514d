/** Packets that met a `log group` statement (net/netfilter/nfnetlink_log.c). */
import { readAttributes, readString } from '../attributes.ts';
import { type PacketHeaders, readPacketHeaders } from '../packet-headers.ts';
import {
  NFGENMSG_BYTES,
  NFULA_IFINDEX_INDEV,
  NFULA_IFINDEX_OUTDEV,
  NFULA_PAYLOAD,
  NFULA_PREFIX,
  NFULA_SEQ,
} from './constants.ts';

export interface LoggedPacket {
  readonly group: number;
  /** That of the statement; '' without one. */
  readonly prefix: string;
  /** Undefined when the packet begins with no whole IP header. */
  readonly headers: PacketHeaders | undefined;
  /** ifindex */
  readonly inLink: number | undefined;
  readonly outLink: number | undefined;
  /** Counts the packets of the group since it was bound; what is missing was lost. */
  readonly sequence: number | undefined;
}

/** Reads the payload of NFULNL_MSG_PACKET; undefined for what is shorter than its header. */
export function decodeLoggedPacket(payload: Buffer): LoggedPacket | undefined {
  if (payload.length < NFGENMSG_BYTES) return undefined;
  const attributes = readAttributes(payload, NFGENMSG_BYTES);
  const u32 = (type: number) => {
    const value = attributes.get(type);
    return value !== undefined && value.length >= 4 ? value.readUInt32BE(0) : undefined;
  };
  const prefix = attributes.get(NFULA_PREFIX);
  const bytes = attributes.get(NFULA_PAYLOAD);
  return {
    group: payload.readUInt16BE(2),
    prefix: prefix === undefined ? '' : readString(prefix),
    headers: bytes && readPacketHeaders(bytes),
    inLink: u32(NFULA_IFINDEX_INDEV),
    outLink: u32(NFULA_IFINDEX_OUTDEV),
    sequence: u32(NFULA_SEQ),
  };
}
