/** Ethernet frames by which a node tells its neighbours where an address is now. */
import { type IP, ipFamily, ipToBytes, parseIP } from '../net/ip.ts';
import { type Mac, macToBytes, parseMac } from '../net/mac.ts';

const ETHERTYPE_ARP = 0x0806;
const ETHERTYPE_IPV6 = 0x86dd;
const BROADCAST = parseMac('ff:ff:ff:ff:ff:ff');
/** RFC 2464 section 7: the Ethernet address of ff02::1. */
const ALL_NODES_MAC = parseMac('33:33:00:00:00:01');
const ALL_NODES = parseIP('ff02::1');

const ARP_REQUEST = 1;
const NEXT_HEADER_ICMPV6 = 58;
const NEIGHBOUR_ADVERTISEMENT = 136;
const FLAG_OVERRIDE = 0x20;
const OPTION_TARGET_LINK_LAYER_ADDRESS = 2;
const HOP_LIMIT = 255;

/** The frame that makes neighbours take `mac` for `address`: gratuitous ARP or unsolicited NA. */
export function announcementFrame(address: IP, mac: Mac): Buffer {
  return ipFamily(address) === 4 ? gratuitousArp(address, mac) : unsolicitedNa(address, mac);
}

/**
 * An ARP request for the own address (RFC 5227 section 2.3): the form that every stack takes, and
 * that updates entries even where unsolicited replies are ignored.
 */
function gratuitousArp(address: IP, mac: Mac): Buffer {
  const arp = Buffer.alloc(28);
  arp.writeUInt16BE(1, 0);
  arp.writeUInt16BE(0x0800, 2);
  arp.writeUInt8(6, 4);
  arp.writeUInt8(4, 5);
  arp.writeUInt16BE(ARP_REQUEST, 6);
  arp.set(macToBytes(mac), 8);
  arp.set(ipToBytes(address), 14);
  arp.set(ipToBytes(address), 24);
  return ethernet(BROADCAST, mac, ETHERTYPE_ARP, arp);
}

/** A neighbour advertisement to all nodes, with the override flag (RFC 4861 sections 4.4, 7.2.6). */
function unsolicitedNa(address: IP, mac: Mac): Buffer {
  const icmp = Buffer.alloc(32);
  icmp.writeUInt8(NEIGHBOUR_ADVERTISEMENT, 0);
  icmp.writeUInt8(FLAG_OVERRIDE, 4);
  icmp.set(ipToBytes(address), 8);
  icmp.writeUInt8(OPTION_TARGET_LINK_LAYER_ADDRESS, 24);
  icmp.writeUInt8(1, 25);
  icmp.set(macToBytes(mac), 26);
  icmp.writeUInt16BE(icmpv6Checksum(address, ALL_NODES, icmp), 2);
  const ip = Buffer.alloc(40);
  ip.writeUInt8(6 << 4, 0);
  ip.writeUInt16BE(icmp.length, 4);
  ip.writeUInt8(NEXT_HEADER_ICMPV6, 6);
  ip.writeUInt8(HOP_LIMIT, 7);
  ip.set(ipToBytes(address), 8);
  ip.set(ipToBytes(ALL_NODES), 24);
  return ethernet(ALL_NODES_MAC, mac, ETHERTYPE_IPV6, Buffer.concat([ip, icmp]));
}

function ethernet(destination: Mac, source: Mac, type: number, payload: Buffer): Buffer {
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
