/** Entries of sets, on the wire and as text (net/netfilter/ipset/ip_set_hash_*.c). */
import { type Cidr, cidrOf, networkAddress, prefixLength } from '../../net/cidr.ts';
import { type IP, ipFamily, ipFromBytes, ipToBytes } from '../../net/ip.ts';
import { assertNever } from '../../util/errors.ts';
import { type AttributeWriter, readAttributes } from '../attributes.ts';
import { ADDRESS_IPV4, ADDRESS_IPV6, DATA_ATTR, NLA_F_NET_BYTEORDER } from './constants.ts';
import type { IpSetEntry, IpSetProtocol, IpSetType } from './types.ts';

const PROTOCOL_NUMBER = { tcp: 6, udp: 17, sctp: 132 } as const;
const PROTOCOLS: ReadonlyMap<number, IpSetProtocol> = new Map([
  [PROTOCOL_NUMBER.tcp, 'tcp'],
  [PROTOCOL_NUMBER.udp, 'udp'],
  [PROTOCOL_NUMBER.sctp, 'sctp'],
]);

/** The attributes of one entry, for an add or delete. */
export function writeEntry(data: AttributeWriter, entry: IpSetEntry): void {
  switch (entry.type) {
    case 'bitmap:port':
      writePort(data, entry.port);
      return;
    case 'hash:ip':
      writeAddress(data, DATA_ATTR.ip, entry.ip);
      return;
    case 'hash:ip,port':
      writeAddressAndPort(data, entry);
      return;
    case 'hash:ip,port,ip':
      writeAddressAndPort(data, entry);
      writeAddress(data, DATA_ATTR.ip2, entry.ip2);
      return;
    case 'hash:ip,port,net':
      writeAddressAndPort(data, entry);
      writeAddress(data, DATA_ATTR.ip2, networkAddress(entry.net));
      data.u8(DATA_ATTR.prefixLength2, prefixLength(entry.net));
      return;
    default:
      assertNever(entry, 'entry of a set');
  }
}

/** Reads one listed entry of a set of `type`; undefined when parts of it are missing. */
export function decodeEntry(type: IpSetType, data: Buffer): IpSetEntry | undefined {
  const attributes = readAttributes(data);
  const port = attributes.get(DATA_ATTR.port)?.readUInt16BE(0);
  if (type === 'bitmap:port') return port === undefined ? undefined : { type, port };
  const ip = readAddress(attributes.get(DATA_ATTR.ip));
  if (ip === undefined) return undefined;
  if (type === 'hash:ip') return { type, ip };
  const number = attributes.get(DATA_ATTR.protocol)?.readUInt8(0);
  if (port === undefined || number === undefined) return undefined;
  const protocol = PROTOCOLS.get(number) ?? number;
  if (type === 'hash:ip,port') return { type, ip, protocol, port };
  const ip2 = readAddress(attributes.get(DATA_ATTR.ip2));
  if (ip2 === undefined) return undefined;
  if (type === 'hash:ip,port,ip') return { type, ip, protocol, port, ip2 };
  const net = netOf(ip2, attributes.get(DATA_ATTR.prefixLength2));
  return { type, ip, protocol, port, net };
}

/** As `ipset list` prints it: `10.0.0.1,tcp:80,10.0.0.0/24`; equal entries have equal text. */
export function formatIpSetEntry(entry: IpSetEntry): string {
  if (entry.type === 'bitmap:port') return String(entry.port);
  if (entry.type === 'hash:ip') return entry.ip;
  const start = `${entry.ip},${entry.protocol}:${entry.port}`;
  if (entry.type === 'hash:ip,port') return start;
  if (entry.type === 'hash:ip,port,ip') return `${start},${entry.ip2}`;
  return `${start},${formatNet(entry.net)}`;
}

function writeAddressAndPort(
  data: AttributeWriter,
  entry: { readonly ip: IP; readonly protocol: IpSetProtocol; readonly port: number },
): void {
  const { ip, protocol, port } = entry;
  writeAddress(data, DATA_ATTR.ip, ip);
  data.u8(DATA_ATTR.protocol, typeof protocol === 'number' ? protocol : PROTOCOL_NUMBER[protocol]);
  writePort(data, port);
}

function writePort(data: AttributeWriter, port: number): void {
  data.u16be(DATA_ATTR.port | NLA_F_NET_BYTEORDER, port);
}

function writeAddress(data: AttributeWriter, type: number, ip: IP): void {
  const kind = ipFamily(ip) === 4 ? ADDRESS_IPV4 : ADDRESS_IPV6;
  data.nested(type, (address) => address.bytes(kind | NLA_F_NET_BYTEORDER, ipToBytes(ip)));
}

function readAddress(encoded: Buffer | undefined): IP | undefined {
  if (encoded === undefined) return undefined;
  const attributes = readAttributes(encoded);
  const bytes = attributes.get(ADDRESS_IPV4) ?? attributes.get(ADDRESS_IPV6);
  return bytes && ipFromBytes(bytes);
}

/** Entries of a single address come without a length from some kernels. */
function netOf(ip: IP, length: Buffer | undefined): Cidr {
  return cidrOf(ip, length?.readUInt8(0) ?? (ipFamily(ip) === 4 ? 32 : 128));
}

/** `ipset` leaves out the length of single addresses. */
function formatNet(net: Cidr): string {
  const ip = networkAddress(net);
  return prefixLength(net) === (ipFamily(ip) === 4 ? 32 : 128) ? ip : net;
}
