/** Generic netlink: the header of its messages and the numbers of its families. */

import { errorCode } from '../../util/errors.ts';
import { AttributeWriter, readAttributes } from '../attributes.ts';
import type { NetlinkSocket } from '../socket.ts';

/** struct genlmsghdr (include/uapi/linux/genetlink.h). */
export const GENL_HEADER_BYTES = 4;

const GENL_ID_CTRL = 16;
const CTRL_CMD_GETFAMILY = 3;
const CTRL_ATTR_FAMILY_ID = 1;
const CTRL_ATTR_FAMILY_NAME = 2;
const CTRL_VERSION = 1;

/** Begins a message of a family: the command, to be followed by its attributes. */
export function beginCommand(command: number, version: number): AttributeWriter {
  return new AttributeWriter().raw(Uint8Array.of(command, version, 0, 0));
}

/**
 * The message type of a family by its name (`IPVS`); undefined when the kernel has none, after it
 * tried to load the module.
 */
export function findFamily(
  socket: Pick<NetlinkSocket, 'request'>,
  name: string,
): number | undefined {
  const request = beginCommand(CTRL_CMD_GETFAMILY, CTRL_VERSION).string(
    CTRL_ATTR_FAMILY_NAME,
    name,
  );
  try {
    const [reply] = socket.request(GENL_ID_CTRL, 0, request.finish(), `find family ${name}`);
    const attributes = reply && readAttributes(reply.payload, GENL_HEADER_BYTES);
    return attributes?.get(CTRL_ATTR_FAMILY_ID)?.readUInt16LE(0);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}
