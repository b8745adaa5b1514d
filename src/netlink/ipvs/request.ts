/** Whole commands of the IPVS family, and answers that are no servers or destinations. */
import { formatHostPort } from '../../net/host-port.ts';
import { assertNever } from '../../util/errors.ts';
import { type AttributeWriter, readAttributes } from '../attributes.ts';
import { beginCommand, GENL_HEADER_BYTES } from '../generic/family.ts';
import {
  CMD_ATTR_SERVICE,
  CMD_ATTR_TIMEOUT_TCP,
  CMD_ATTR_TIMEOUT_TCP_FIN,
  CMD_ATTR_TIMEOUT_UDP,
  COMMAND,
  INFO_ATTR_VERSION,
  IPVS_VERSION,
} from './constants.ts';
import { writeDestination, writeDestinationKey } from './destination.ts';
import { writeServer } from './server.ts';
import { formatServerKey, writeServerKey } from './server-key.ts';
import type { IpvsChange, IpvsTimeouts, VirtualServerKey } from './types.ts';

const COMMAND_OF: Readonly<Record<IpvsChange['op'], number>> = {
  addServer: COMMAND.newService,
  setServer: COMMAND.setService,
  deleteServer: COMMAND.deleteService,
  addDestination: COMMAND.newDestination,
  setDestination: COMMAND.setDestination,
  deleteDestination: COMMAND.deleteDestination,
};

/** A change as one message. */
export function encodeChange(change: IpvsChange): Buffer {
  const command = begin(COMMAND_OF[change.op]);
  switch (change.op) {
    case 'addServer':
    case 'setServer':
      writeServer(command, change.server);
      return command.finish();
    case 'deleteServer':
      return named(command, change.key).finish();
    case 'addDestination':
    case 'setDestination':
      writeDestination(named(command, change.key), change.destination);
      return command.finish();
    case 'deleteDestination':
      writeDestinationKey(named(command, change.key), change.destination);
      return command.finish();
    default:
      return assertNever(change, 'IPVS change');
  }
}

/** What a change does, for messages: `add destination 10.0.0.9:8080 of TCP 172.30.0.1:80`. */
export function describeChange(change: IpvsChange): string {
  const verb = change.op.startsWith('add') ? 'add' : change.op.startsWith('set') ? 'set' : 'delete';
  if ('destination' in change) {
    const destination = formatHostPort(change.destination.ip, change.destination.port);
    return `${verb} destination ${destination} of ${formatServerKey(change.key)}`;
  }
  const key = 'server' in change ? change.server.key : change.key;
  return `${verb} virtual server ${formatServerKey(key)}`;
}

/** For a dump of all servers. */
export function encodeListServers(): Buffer {
  return begin(COMMAND.getService).finish();
}

/** For a dump of one server's destinations. */
export function encodeListDestinations(key: VirtualServerKey): Buffer {
  return named(begin(COMMAND.getDestination), key).finish();
}

export function encodeGetInfo(): Buffer {
  return begin(COMMAND.getInfo).finish();
}

/** `1.2.1`, from the answer to `encodeGetInfo`. */
export function decodeVersion(payload: Buffer): string {
  const version = readAttributes(payload, GENL_HEADER_BYTES).get(INFO_ATTR_VERSION);
  const code = version?.readUInt32LE(0) ?? 0;
  return `${(code >>> 16) & 0xff}.${(code >>> 8) & 0xff}.${code & 0xff}`;
}

export function encodeGetTimeouts(): Buffer {
  return begin(COMMAND.getConfig).finish();
}

export function decodeTimeouts(payload: Buffer): IpvsTimeouts {
  const attributes = readAttributes(payload, GENL_HEADER_BYTES);
  const seconds = (type: number) => attributes.get(type)?.readUInt32LE(0) ?? 0;
  return {
    tcpSeconds: seconds(CMD_ATTR_TIMEOUT_TCP),
    tcpFinSeconds: seconds(CMD_ATTR_TIMEOUT_TCP_FIN),
    udpSeconds: seconds(CMD_ATTR_TIMEOUT_UDP),
  };
}

/** The kernel takes 0 for "as it is". */
export function encodeSetTimeouts(timeouts: IpvsTimeouts): Buffer {
  return begin(COMMAND.setConfig)
    .u32(CMD_ATTR_TIMEOUT_TCP, timeouts.tcpSeconds)
    .u32(CMD_ATTR_TIMEOUT_TCP_FIN, timeouts.tcpFinSeconds)
    .u32(CMD_ATTR_TIMEOUT_UDP, timeouts.udpSeconds)
    .finish();
}

function begin(command: number): AttributeWriter {
  return beginCommand(command, IPVS_VERSION);
}

function named(command: AttributeWriter, key: VirtualServerKey): AttributeWriter {
  return command.nested(CMD_ATTR_SERVICE, (service) => writeServerKey(service, key));
}
