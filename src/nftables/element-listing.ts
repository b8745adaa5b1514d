import { dumpInParts } from '../netlink/dump-in-parts.ts';
import { NETLINK_NETFILTER } from '../netlink/numbers.ts';
import { NetlinkSocket } from '../netlink/socket.ts';
import { MSG, NFNL_SUBSYS_NFTABLES } from './constants.ts';
import { ElementReader } from './decode-elements.ts';
import { encodeSetName } from './encode-objects.ts';
import type { NamedSet, ObservedElement, Table } from './model.ts';
import { tableText } from './text.ts';

/**
 * Lists the elements of a set, with their counters, for sets of any size: in parts, and with the
 * kernel's own work on another thread. Not for sets with ranges of one field, whose two ends may
 * come in different parts. Gives false when the ruleset changed meanwhile, so that some elements may
 * be missing or come twice. Throws ENOENT when there is no such set.
 */
export async function listElements(
  options: { readonly netns?: { readonly fd: number } },
  table: Table,
  set: NamedSet,
  onPart: (elements: readonly ObservedElement[]) => void,
): Promise<boolean> {
  const socket = NetlinkSocket.open(NETLINK_NETFILTER, options);
  const request = {
    type: (NFNL_SUBSYS_NFTABLES << 8) | MSG.GETSETELEM,
    payload: encodeSetName(table, set.name),
    what: `elements of set ${set.name} of table ${tableText(table)}`,
  };
  try {
    return await dumpInParts(socket, request, (replies) => {
      const reader = new ElementReader(set);
      for (const { payload } of replies) reader.read(payload);
      onPart(reader.finish());
    });
  } finally {
    socket.close();
  }
}
