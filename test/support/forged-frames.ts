/** Ethernet frames as somebody may send them who has a raw socket, byte by byte. */
import { netnses } from '../../src/kernel/netns.ts';
import { openRtnl } from '../../src/kernel/rtnl.ts';
import { ipFamily, ipToBytes, parseIP } from '../../src/net/ip.ts';
import { macToBytes, parseMac } from '../../src/net/mac.ts';
import { wire } from '../../src/netlink/wire.ts';
import type { TestNetns } from './netns.ts';

export const ICMPV6 = 58;
const UDP = 17;
const ETHERTYPE = { 4: 0x0800, 6: 0x86dd, arp: 0x0806 } as const;

/** Who a frame says it is from and for. */
export interface Envelope {
  readonly from: string;
  readonly to: string;
  /** Of tags before what is carried: protocol and VLAN. */
  readonly tags?: readonly (readonly [number, number])[];
}

interface Payload {
  readonly protocol: number;
  readonly body: Buffer;
  readonly hopLimit?: number;
}

/** An IP packet with any payload; ICMPv6 has the hop limit of the link unless told otherwise. */
export function ipFrame(
  envelope: Envelope,
  { source, destination }: { readonly source: string; readonly destination: string },
  { protocol, body, hopLimit = protocol === ICMPV6 ? 255 : 64 }: Payload,
): Buffer {
  const [from, to] = [parseIP(source), parseIP(destination)].map(ipToBytes);
  if (from === undefined || to === undefined) throw new Error('no addresses');
  const family = ipFamily(parseIP(source));
  if (family === 6) {
    const header = Buffer.alloc(40);
    header.writeUInt8(6 << 4, 0);
    header.writeUInt16BE(body.length, 4);
    header.writeUInt8(protocol, 6);
    header.writeUInt8(hopLimit, 7);
    header.set(from, 8);
    header.set(to, 24);
    return ethernet(envelope, ETHERTYPE[6], Buffer.concat([header, body]));
  }
  const header = Buffer.alloc(20);
  header.writeUInt8(0x45, 0);
  header.writeUInt16BE(header.length + body.length, 2);
  header.writeUInt8(64, 8);
  header.writeUInt8(protocol, 9);
  header.set(from, 12);
  header.set(to, 16);
  header.writeUInt16BE(checksum(header), 10);
  return ethernet(envelope, ETHERTYPE[4], Buffer.concat([header, body]));
}

/** An empty datagram, without a checksum in IPv4. */
export function udpFrame(
  envelope: Envelope,
  addresses: { readonly source: string; readonly destination: string },
  port: number,
): Buffer {
  const body = Buffer.alloc(8);
  body.writeUInt16BE(40_000, 0);
  body.writeUInt16BE(port, 2);
  body.writeUInt16BE(body.length, 4);
  if (ipFamily(parseIP(addresses.source)) === 6) {
    body.writeUInt16BE(pseudoChecksum(addresses, UDP, body) || 0xffff, 6);
  }
  return ipFrame(envelope, addresses, { protocol: UDP, body });
}

/** With its checksum, whatever the body is. */
export function icmpv6Frame(
  envelope: Envelope,
  addresses: { readonly source: string; readonly destination: string },
  type: number,
  body: Buffer,
): Buffer {
  const message = Buffer.concat([Buffer.from([type, 0, 0, 0]), body]);
  message.writeUInt16BE(pseudoChecksum(addresses, ICMPV6, message), 2);
  return ipFrame(envelope, addresses, { protocol: ICMPV6, body: message });
}

/** Body of a neighbour solicitation or advertisement, without options. */
export function targetBody(target: string): Buffer {
  return Buffer.concat([Buffer.from([0x20, 0, 0, 0]), ipToBytes(parseIP(target))]);
}

/** ARP: 1 asks, 2 answers. */
export function arpFrame(
  envelope: Envelope,
  operation: 1 | 2,
  sender: { readonly mac: string; readonly ip: string },
  target: string,
): Buffer {
  const body = Buffer.alloc(28);
  body.writeUInt16BE(1, 0);
  body.writeUInt16BE(ETHERTYPE[4], 2);
  body.writeUInt8(6, 4);
  body.writeUInt8(4, 5);
  body.writeUInt16BE(operation, 6);
  body.set(macToBytes(parseMac(sender.mac)), 8);
  body.set(ipToBytes(parseIP(sender.ip)), 14);
  body.set(ipToBytes(parseIP(target)), 24);
  return ethernet(envelope, ETHERTYPE.arp, body);
}

/** What is carried may be anything. */
export function ethernet({ from, to, tags = [] }: Envelope, type: number, body: Buffer): Buffer {
  const between = tags.flat();
  const words = Buffer.alloc(2 * (between.length + 1));
  for (const [at, word] of [...between, type].entries()) words.writeUInt16BE(word, 2 * at);
  return Buffer.concat([macToBytes(parseMac(to)), macToBytes(parseMac(from)), words, body]);
}

/** Out of the first link of the namespace that is not its loopback. */
export function sendFrames({ path }: TestNetns, frames: readonly Buffer[]): void {
  const netns = netnses.open(path);
  const rtnl = openRtnl(netns);
  try {
    const link = rtnl.links().find(({ name, isUp }) => name !== 'lo' && isUp);
    if (link === undefined) throw new Error('no link');
    const indexes = frames.map(() => link.index);
    const failed = [...wire.sendFrames(netns.fd, indexes, [...frames])].filter(
      (code) => code !== 0,
    );
    if (failed.length > 0) throw new Error(`not sent: ${failed.join()}`);
  } finally {
    rtnl.close();
    netns.close();
  }
}

function pseudoChecksum(
  { source, destination }: { readonly source: string; readonly destination: string },
  protocol: number,
  message: Buffer,
): number {
  const trailer = Buffer.alloc(8);
  trailer.writeUInt32BE(message.length, 0);
  trailer.writeUInt8(protocol, 7);
  const addresses = [source, destination].map((ip) => ipToBytes(parseIP(ip)));
  return checksum(Buffer.concat([...addresses, trailer, message]));
}

/** RFC 1071. */
function checksum(bytes: Buffer): number {
  const even = bytes.length % 2 === 0 ? bytes : Buffer.concat([bytes, Buffer.alloc(1)]);
  let sum = 0;
  for (let at = 0; at < even.length; at += 2) sum += even.readUInt16BE(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}
