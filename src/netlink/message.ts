/** Netlink message headers and the kernel's answers (include/uapi/linux/netlink.h). */
import { align4, readAttributes, readString } from './attributes.ts';

export const NLMSG_ERROR = 2;
export const NLMSG_DONE = 3;

export const NLM_F_REQUEST = 0x1;
export const NLM_F_ACK = 0x4;
export const NLM_F_ECHO = 0x8;
export const NLM_F_DUMP_INTR = 0x10;
export const NLM_F_DUMP = 0x300;
export const NLM_F_REPLACE = 0x100;
export const NLM_F_EXCL = 0x200;
export const NLM_F_CREATE = 0x400;
export const NLM_F_APPEND = 0x800;

const NLM_F_CAPPED = 0x100;
const NLM_F_ACK_TLVS = 0x200;
const NLMSGERR_ATTR_MSG = 1;
const NLMSGERR_ATTR_OFFS = 2;

export const HEADER_BYTES = 16;

/** One message from the kernel; `payload` is what follows struct nlmsghdr. */
export interface NetlinkReply {
  readonly type: number;
  readonly flags: number;
  readonly sequence: number;
  readonly portId: number;
  readonly payload: Buffer;
}

/** What an NLMSG_ERROR or NLMSG_DONE says: errno 0 is an acknowledgement. */
export interface Acknowledgement {
  readonly errno: number;
  /** The kernel's own words (extended ACK), when it has any. */
  readonly extack: string | undefined;
  /** Byte offset into the request of the attribute it complains about. */
  readonly offset: number | undefined;
}

/** One complete request: header and payload, padded. */
export function encodeMessage(
  type: number,
  flags: number,
  sequence: number,
  payload: Uint8Array,
): Buffer {
  const length = HEADER_BYTES + payload.length;
  const message = Buffer.alloc(align4(length));
  writeHeader(message, 0, { length, type, flags, sequence });
  message.set(payload, HEADER_BYTES);
  return message;
}

/** Writes struct nlmsghdr at `at`; `length` counts the header, not the padding. */
export function writeHeader(
  buffer: Buffer,
  at: number,
  header: {
    readonly length: number;
    readonly type: number;
    readonly flags: number;
    readonly sequence: number;
  },
): void {
  buffer.writeUInt32LE(header.length, at);
  buffer.writeUInt16LE(header.type, at + 4);
  buffer.writeUInt16LE(header.flags, at + 6);
  buffer.writeUInt32LE(header.sequence, at + 8);
  buffer.writeUInt32LE(0, at + 12);
}

/** Splits one datagram into its messages. */
export function parseMessages(datagram: Buffer): NetlinkReply[] {
  const messages: NetlinkReply[] = [];
  let at = 0;
  while (at + HEADER_BYTES <= datagram.length) {
    const length = datagram.readUInt32LE(at);
    if (length < HEADER_BYTES || at + length > datagram.length) break;
    messages.push({
      type: datagram.readUInt16LE(at + 4),
      flags: datagram.readUInt16LE(at + 6),
      sequence: datagram.readUInt32LE(at + 8),
      portId: datagram.readUInt32LE(at + 12),
      payload: datagram.subarray(at + HEADER_BYTES, at + length),
    });
    at += align4(length);
  }
  return messages;
}

/** Reads struct nlmsgerr and the extended ACK behind it; also the result code inside NLMSG_DONE. */
export function parseErrorReply(reply: NetlinkReply): Acknowledgement {
  const errno = reply.payload.length >= 4 ? 0 - reply.payload.readInt32LE(0) : 0;
  if ((reply.flags & NLM_F_ACK_TLVS) === 0) return { errno, extack: undefined, offset: undefined };
  const attributes = readAttributes(reply.payload, attributesOffset(reply));
  const text = attributes.get(NLMSGERR_ATTR_MSG);
  const offset = attributes.get(NLMSGERR_ATTR_OFFS);
  return {
    errno,
    extack: text === undefined ? undefined : readString(text),
    offset: offset?.readUInt32LE(0),
  };
}

/** The failed request is echoed before the attributes: whole, unless the kernel capped it. */
function attributesOffset(reply: NetlinkReply): number {
  if (reply.type === NLMSG_DONE) return 4;
  const isCapped = (reply.flags & NLM_F_CAPPED) !== 0;
  const echoed = isCapped ? HEADER_BYTES : reply.payload.readUInt32LE(4);
  return 4 + align4(echoed);
}
