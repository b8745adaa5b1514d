/** Numbers of include/uapi/linux/ip_vs.h. */
import type { IpvsProtocol } from './types.ts';

export const IPVS_FAMILY = 'IPVS';
export const IPVS_VERSION = 1;

export const COMMAND = {
  newService: 1,
  setService: 2,
  deleteService: 3,
  getService: 4,
  newDestination: 5,
  setDestination: 6,
  deleteDestination: 7,
  getDestination: 8,
  setConfig: 12,
  getConfig: 13,
  getInfo: 15,
} as const;

export const CMD_ATTR_SERVICE = 1;
export const CMD_ATTR_DEST = 2;
export const CMD_ATTR_TIMEOUT_TCP = 4;
export const CMD_ATTR_TIMEOUT_TCP_FIN = 5;
export const CMD_ATTR_TIMEOUT_UDP = 6;

export const INFO_ATTR_VERSION = 1;

export const SERVICE_ATTR = {
  family: 1,
  protocol: 2,
  address: 3,
  port: 4,
  mark: 5,
  scheduler: 6,
  flags: 7,
  timeout: 8,
  netmask: 9,
} as const;

export const DEST_ATTR = {
  address: 1,
  port: 2,
  forwarding: 3,
  weight: 4,
  upperThreshold: 5,
  lowerThreshold: 6,
  activeConnections: 7,
  inactiveConnections: 8,
  persistentConnections: 9,
  family: 11,
} as const;

/** IP_VS_SVC_F_*; the schedulers `sh` and `mh` give the first two SCHED flags one meaning. */
export const SERVICE_FLAG = {
  persistent: 0x01,
  onePacket: 0x04,
  fallback: 0x08,
  hashesPort: 0x10,
} as const;

/** IP_VS_CONN_F_FWD_MASK and IP_VS_CONN_F_MASQ. */
export const FORWARDING_MASK = 0x7;
export const FORWARDING_MASQUERADE = 0;

export const PROTOCOL_NUMBER: Readonly<Record<IpvsProtocol, number>> = {
  tcp: 6,
  udp: 17,
  sctp: 132,
};
