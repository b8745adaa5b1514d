/** SCTP packets as bytes, for kernels that track and translate SCTP but have no sockets for it. */
import { ipToBytes, parseIP } from '../../src/net/ip.ts';

const HEADER_BYTES = 20;
const PROTOCOL_SCTP = 132;
/** RFC 3720 B.4, reflected. */
const CRC32C_POLYNOMIAL = 0x82f63b78;

/** An IPv4 packet with the INIT that begins an association (RFC 9260 3.3.2). */
export function sctpInit(source: string, destination: string, port: number): Buffer {
  const common = Buffer.alloc(12);
  common.writeUInt16BE(40_000, 0);
  common.writeUInt16BE(port, 2);
  const chunk = Buffer.from('010000140000000100010000000a000a00000001', 'hex');
  const segment = Buffer.concat([common, chunk]);
  segment.writeUInt32LE(crc32c(segment), 8);
  const header = Buffer.alloc(HEADER_BYTES);
  header[0] = 0x45;
  header.writeUInt16BE(HEADER_BYTES + segment.length, 2);
  header[8] = 64;
  header[9] = PROTOCOL_SCTP;
  header.set(ipToBytes(parseIP(source)), 12);
  header.set(ipToBytes(parseIP(destination)), 16);
  header.writeUInt16BE(internetChecksum(header), 10);
  return Buffer.concat([header, segment]);
}

function crc32c(bytes: Buffer): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit += 1) {
      crc = (crc >>> 1) ^ ((crc & 1) === 0 ? 0 : CRC32C_POLYNOMIAL);
    }
  }
  return ~crc >>> 0;
}

function internetChecksum(bytes: Buffer): number {
  let sum = 0;
  for (let at = 0; at < bytes.length; at += 2) sum += bytes.readUInt16BE(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}
