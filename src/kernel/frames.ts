/** Ethernet frames by which neighbours ask where an address is, and a node tells. */
import { type IP, ipFamily, ipFromBytes, ipToBytes, isUnspecified, parseIP } from '../net/ip.ts';
import { type Mac, macFromBytes, macToBytes, parseMac } from '../net/mac.ts';

const ETHERTYPE_ARP = 0x0806;
const ETHERTYPE_IPV6 = 0x86dd;
const BROADCAST = parseMac('ff:ff:ff:ff:ff:ff');
/** RFC 2464 section 7: the Ethernet address of ff02::1. */
const ALL_NODES_MAC = parseMac('33:33:00:00:00:01');
const ALL_NODES = parseIP('ff02::1');

const ARP_REQUEST = 1;
const ARP_REPLY = 2;
const NEXT_HEADER_ICMPV6 = 58;
const NEIGHBOUR_ADVERTISEMENT = 136;
const NEIGHBOUR_SOLICITATION = 135;
const FLAG_OVERRIDE = 0x20;
const FLAG_SOLICITED = 0x40;
const OPTION_TARGET_LINK_LAYER_ADDRESS = 2;
const HOP_LIMIT = 255;

/** The frame that makes neighbours take `mac` for `address`: gratuitous ARP or unsolicited NA. */
export function announcementFrame(address: IP, mac: Mac): Buffer {
  return ipFamily(address) === 4 ? gratuitousArp(address, mac) : unsolicitedNa(address, mac);
}

/** Somebody asks which hardware address an address has. */
export interface NeighbourQuestion {
  readonly address: IP;
  /** Who asks; undefined for one who only looks whether the address is free (RFC 5227, RFC 4862). */
  readonly asker: IP | undefined;
  readonly askerMac: Mac;
}

/** Reads an ARP request or a neighbour solicitation; undefined for any other frame. */
export function parseQuestion(frame: Uint8Array): NeighbourQuestion | undefined {
  const bytes = Buffer.from(frame.buffer, frame.byteOffset, frame.byteLength);
  if (bytes.length < 14) return undefined;
  const askerMac = macFromBytes(bytes.subarray(6, 12));
  const type = bytes.readUInt16BE(12);
  if (type === ETHERTYPE_ARP && bytes.length >= 42) return parseArp(bytes.subarray(14), askerMac);
  if (type !== ETHERTYPE_IPV6 || bytes.length < 78) return undefined;
  const isSolicitation = bytes[20] === NEXT_HEADER_ICMPV6 && bytes[54] === NEIGHBOUR_SOLICITATION;
  // What a router has forwarded is no neighbour's (RFC 4861 section 7.1.1).
  if (!isSolicitation || bytes[21] !== HOP_LIMIT) return undefined;
  const asker = ipFromBytes(bytes.subarray(22, 38));
  const address = ipFromBytes(bytes.subarray(62, 78));
  return { address, asker: isUnspecified(asker) ? undefined : asker, askerMac };
}

function parseArp(arp: Buffer, askerMac: Mac): NeighbourQuestion | undefined {
  const isRequest = arp.readUInt16BE(6) === ARP_REQUEST && arp.readUInt16BE(2) === 0x0800;
  if (!isRequest) return undefined;
  const asker = ipFromBytes(arp.subarray(14, 18));
  const address = ipFromBytes(arp.subarray(24, 28));
  return { address, asker: isUnspecified(asker) ? undefined : asker, askerMac };
}

/** The answer: `mac` has that address. */
export function answerFrame({ address, asker, askerMac }: NeighbourQuestion, mac: Mac): Buffer {
  if (ipFamily(address) === 6) return solicitedNa(address, asker, askerMac, mac);
  const arp = arpPacket(ARP_REPLY, { ip: address, mac });
  arp.set(macToBytes(askerMac), 18);
  if (asker !== undefined) arp.set(ipToBytes(asker), 24);
  return ethernet(askerMac, mac, ETHERTYPE_ARP, arp);
}

/** The group that solicitations for an address go to (RFC 4291 section 2.7.1). */
export function solicitedNodeGroup(address: IP): IP {
  const bytes = ipToBytes(parseIP('ff02::1:ff00:0'));
  bytes.set(ipToBytes(address).subarray(13), 13);
  return ipFromBytes(bytes);
}

/** Its Ethernet address (RFC 2464 section 7). */
export function solicitedNodeMac(address: IP): Mac {
  const [high, middle, low] = ipToBytes(address).subarray(13);
  return macFromBytes(Uint8Array.of(0x33, 0x33, 0xff, high ?? 0, middle ?? 0, low ?? 0));
}

/**
 * An ARP request for the own address (RFC 5227 section 2.3): the form that every stack takes, and
 * that updates entries even where unsolicited replies are ignored.
 */
function gratuitousArp(address: IP, mac: Mac): Buffer {
  const arp = arpPacket(ARP_REQUEST, { ip: address, mac });
  arp.set(ipToBytes(address), 24);
  return ethernet(BROADCAST, mac, ETHERTYPE_ARP, arp);
}

/** With the sender's part filled in (RFC 826). */
function arpPacket(operation: number, sender: { readonly ip: IP; readonly mac: Mac }): Buffer {
  const arp = Buffer.alloc(28);
  arp.writeUInt16BE(1, 0);
  arp.writeUInt16BE(0x0800, 2);
  arp.writeUInt8(6, 4);
  arp.writeUInt8(4, 5);
  arp.writeUInt16BE(operation, 6);
  arp.set(macToBytes(sender.mac), 8);
  arp.set(ipToBytes(sender.ip), 14);
  return arp;
}

/** A neighbour advertisement to all nodes, with the override flag (RFC 4861 sections 4.4, 7.2.6). */
function unsolicitedNa(address: IP, mac: Mac): Buffer {
  return advertisement(address, mac, { to: ALL_NODES, toMac: ALL_NODES_MAC, flags: FLAG_OVERRIDE });
}

/** To who asked, or where only the address is looked for to everybody (RFC 4861 section 7.2.4). */
function solicitedNa(address: IP, asker: IP | undefined, askerMac: Mac, mac: Mac): Buffer {
  if (asker === undefined) return unsolicitedNa(address, mac);
  const flags = FLAG_OVERRIDE | FLAG_SOLICITED;
  return advertisement(address, mac, { to: asker, toMac: askerMac, flags });
}

function advertisement(
  address: IP,
  mac: Mac,
  { to, toMac, flags }: { readonly to: IP; readonly toMac: Mac; readonly flags: number },
): Buffer {
  const icmp = Buffer.alloc(32);
  icmp.writeUInt8(NEIGHBOUR_ADVERTISEMENT, 0);
  icmp.writeUInt8(flags, 4);
  icmp.set(ipToBytes(address), 8);
  icmp.writeUInt8(OPTION_TARGET_LINK_LAYER_ADDRESS, 24);
  icmp.writeUInt8(1, 25);
  icmp.set(macToBytes(mac), 26);
  icmp.writeUInt16BE(icmpv6Checksum(address, to, icmp), 2);
  const ip = Buffer.alloc(40);
  ip.writeUInt8(6 << 4, 0);
  ip.writeUInt16BE(icmp.length, 4);
  ip.writeUInt8(NEXT_HEADER_ICMPV6, 6);
  ip.writeUInt8(HOP_LIMIT, 7);
  ip.set(ipToBytes(address), 8);
  ip.set(ipToBytes(to), 24);
  return ethernet(toMac, mac, ETHERTYPE_IPV6, Buffer.concat([ip, icmp]));
}

/** A whole frame. */
export function ethernet(destination: Mac, source: Mac, type: number, payload: Buffer): Buffer {
  const header = Buffer.alloc(14);
  header.set(macToBytes(destination), 0);
  header.set(macToBytes(source), 6);
  header.writeUInt16BE(type, 12);
  return Buffer.concat([header, payload]);
}

/** One's complement sum over the pseudo-header and the message (RFC 8200 section 8.1). */
function icmpv6Checksum(source: IP, destination: IP, message: Buffer): number {
  const trailer = Buffer.alloc(8);
  trailer.writeUInt32BE(message.length, 0);
  trailer.writeUInt8(NEXT_HEADER_ICMPV6, 7);
  return checksum([ipToBytes(source), ipToBytes(destination), trailer, message]);
}

/** The Internet checksum (RFC 1071) of parts with an even number of bytes each but the last. */
export function checksum(parts: readonly Uint8Array[]): number {
  const summed = Buffer.concat(parts);
  let sum = 0;
  for (let at = 0; at + 1 < summed.length; at += 2) sum += summed.readUInt16BE(at);
  if (summed.length % 2 === 1) sum += (summed.at(-1) ?? 0) << 8;
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}
