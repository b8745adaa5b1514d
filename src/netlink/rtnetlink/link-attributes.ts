/** IFLA_* numbers (include/uapi/linux/if_link.h) and the header they follow. */

import rt from 'netlink/dist/rt/structs.js';
import { AttributeWriter } from '../attributes.ts';
import { AF_UNSPEC } from '../numbers.ts';

export const IFLA_ADDRESS = 1;
export const IFLA_IFNAME = 3;
export const IFLA_MTU = 4;
export const IFLA_MASTER = 10;
export const IFLA_PROTINFO = 12;
const IFLA_LINKINFO = 18;
export const IFLA_AF_SPEC = 26;
export const IFLA_GROUP = 27;
export const IFLA_NET_NS_FD = 28;
export const IFLA_EXT_MASK = 29;

const IFLA_INFO_KIND = 1;
const IFLA_INFO_DATA = 2;
const UP = { up: true } as const;

/** struct ifinfomsg, ready for attributes. `isUp` absent leaves that state alone. */
export function linkMessage(header: {
  readonly index?: number;
  readonly family?: number;
  readonly isUp?: boolean;
}): AttributeWriter {
  const { index = 0, family = AF_UNSPEC, isUp } = header;
  const flags = isUp === undefined ? {} : { flags: isUp ? UP : {}, change: UP };
  return new AttributeWriter().raw(rt.formatLink({ family, index, ...flags }));
}

/** IFLA_LINKINFO: what kind of link, and that kind's own attributes. */
export function writeLinkInfo(
  message: AttributeWriter,
  kind: string,
  writeData?: (data: AttributeWriter) => void,
): AttributeWriter {
  return message.nested(IFLA_LINKINFO, (info) => {
    info.string(IFLA_INFO_KIND, kind);
    if (writeData !== undefined) info.nested(IFLA_INFO_DATA, writeData);
  });
}
