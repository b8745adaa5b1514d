/** Whether the owner of a host port lives: a DEL may have been lost with its pod. */
import { hostVethName } from '../attachment.ts';
import type { HostPortRecord } from '../host-ports.ts';
import { findNetnses, isNetnsGone, netnsIdAt, readUsedAddresses } from '../machine.ts';
import { type CniNode, withRtnl } from '../node.ts';

/**
 * True only with proof that nothing can answer there any more. Of a pod whose interface we made: its
 * namespace is not at its path, and the node's end of the pair is gone, which the kernel deletes with
 * the namespace. Of another plugin's: the path, in a directory that can be seen, leads elsewhere, and
 * no namespace that can be seen has its addresses.
 */
export function isOwnerGone(node: CniNode, owner: HostPortRecord): boolean {
  const { attachment, pods } = owner;
  const record = node.records?.read(attachment);
  if (record?.plan !== undefined) {
    if (netnsIdAt(record.netns.path) === record.netns.id) return false;
    const port = hostVethName(attachment);
    return withRtnl(node.kernel, undefined, (rtnl) => rtnl.link(port) === undefined);
  }
  const netns = record?.netns ?? owner.netns;
  if (netns === undefined || !isNetnsGone(netns)) return false;
  const used = readUsedAddresses(node.kernel, findNetnses().values());
  return !pods.some(({ address }) => used.has(address));
}
