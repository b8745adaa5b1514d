/** What names a virtual server, in messages and in text. */

import { formatHostPort } from '../../net/host-port.ts';
import { type IPFamily, ipFamily } from '../../net/ip.ts';
import type { AttributeWriter } from '../attributes.ts';
import { AF_INET, AF_INET6 } from '../numbers.ts';
import { decodeAddress, encodeAddress } from './address.ts';
import { PROTOCOL_NUMBER, SERVICE_ATTR } from './constants.ts';
import type { IpvsProtocol, VirtualServerKey } from './types.ts';

const PROTOCOLS: ReadonlyMap<number, IpvsProtocol> = new Map([
  [PROTOCOL_NUMBER.tcp, 'tcp'],
  [PROTOCOL_NUMBER.udp, 'udp'],
  [PROTOCOL_NUMBER.sctp, 'sctp'],
]);

/** The attributes by which the kernel finds a server. */
export function writeServerKey(service: AttributeWriter, key: VirtualServerKey): void {
  service.u16(SERVICE_ATTR.family, serverFamily(key) === 4 ? AF_INET : AF_INET6);
  if (key.kind === 'mark') {
    service.u32(SERVICE_ATTR.mark, key.mark);
    return;
  }
  service.u16(SERVICE_ATTR.protocol, PROTOCOL_NUMBER[key.protocol]);
  service.bytes(SERVICE_ATTR.address, encodeAddress(key.ip));
  service.u16be(SERVICE_ATTR.port, key.port);
}

/** Undefined when the attributes name nothing this agent knows. */
export function readServerKey(
  attributes: ReadonlyMap<number, Buffer>,
): VirtualServerKey | undefined {
  const family = attributes.get(SERVICE_ATTR.family)?.readUInt16LE(0);
  const mark = attributes.get(SERVICE_ATTR.mark)?.readUInt32LE(0);
  if (family !== AF_INET && family !== AF_INET6) return undefined;
  if (mark !== undefined) return { kind: 'mark', mark, family: family === AF_INET ? 4 : 6 };
  const address = attributes.get(SERVICE_ATTR.address);
  const ip = address && decodeAddress(address, family);
  const protocol = PROTOCOLS.get(attributes.get(SERVICE_ATTR.protocol)?.readUInt16LE(0) ?? 0);
  const port = attributes.get(SERVICE_ATTR.port)?.readUInt16BE(0);
  if (ip === undefined || protocol === undefined || port === undefined) return undefined;
  return { kind: 'address', ip, protocol, port };
}

export function serverFamily(key: VirtualServerKey): IPFamily {
  return key.kind === 'mark' ? key.family : ipFamily(key.ip);
}

/** As `ipvsadm -Ln` begins a server: `TCP 10.0.0.1:80`, `UDP [fd00::1]:53`, `FWM 7`, `FWM 7 IPv6`. */
export function formatServerKey(key: VirtualServerKey): string {
  if (key.kind === 'mark') return key.family === 4 ? `FWM ${key.mark}` : `FWM ${key.mark} IPv6`;
  return `${key.protocol.toUpperCase()} ${formatHostPort(key.ip, key.port)}`;
}
