import {
  bucketOf,
  isSameBucket,
  type RateLimit,
  readShaping,
  removeShaping,
  shapeEgress,
  shapeIngress,
} from '../../kernel/shaping.ts';
import type { Link, NodeRtnl, TokenBucket } from '../../kernel/types.ts';
import { toError } from '../../util/errors.ts';
import type { Attachment } from '../attachment.ts';
import { withRtnl } from '../node.ts';
import type { ChainMember, DelCall, GcCall, NetnsCall } from '../plugin.ts';
import type { Result } from '../protocol/result.ts';
import type { UndoList } from '../undo.ts';
import { parseBandwidthConfig } from './config.ts';
import { hasNoAlias, ifbAlias, ifbMac, ifbNames, ifbOwner, isIfbOf } from './ifb.ts';

/** Rate limits of pods with a veth, in the place and under the keys of the reference's bandwidth. */
export const bandwidth: ChainMember = {
  name: 'bandwidth',
  capability: 'bandwidth',
  isWanted: ({ config }) => Object.keys(parseBandwidthConfig(config)).length > 0,
  add: addLimits,
  del: (call) => {
    const [error] = removeIfbs([call]);
    if (error !== undefined) throw error;
  },
  delMany: removeIfbs,
  check: checkLimits,
  gc: removeInvalid,
};

function addLimits(call: NetnsCall, previous: Result, undo: UndoList): Result {
  const { request, node, attachment } = call;
  const { ingress, egress } = parseBandwidthConfig(request.config);
  return withRtnl(node.kernel, undefined, (rtnl) => {
    const hostEnd = findHostEnd(call, rtnl, previous);
    const name = chooseIfbName(rtnl, attachment);
    undo.push(() => withRtnl(node.kernel, undefined, (r) => removeShaping(r, hostEnd.index, name)));
    if (ingress === undefined) rtnl.deleteTokenBucket(hostEnd.index);
    else shapeIngress(rtnl, hostEnd.index, ingress);
    if (egress === undefined) {
      removeEgress(rtnl, hostEnd, name);
      return previous;
    }
    shapeEgress(rtnl, hostEnd, { name, mac: ifbMac(attachment) }, egress);
    const ifb = markIfb(rtnl, name, attachment);
    const added = { name, ...(ifb.mac === undefined ? {} : { mac: ifb.mac }) };
    return { ...previous, interfaces: [...previous.interfaces, added] };
  });
}

/**
 * Only ifbs: the node's end goes with its pair, and with it what shapes the pod's ingress. All with
 * one wait of the kernel; when that fails, each is tried alone.
 */
function removeIfbs(calls: readonly DelCall[]): readonly (Error | undefined)[] {
  const [first] = calls;
  if (first === undefined) return [];
  return withRtnl(first.node.kernel, undefined, (rtnl) => {
    const indexes = calls.map(({ attachment }) => ifbIndexes(rtnl, attachment));
    const all = indexes.flat();
    const error = all.length === 0 ? undefined : failureOf(() => rtnl.deleteLinks(all));
    if (error === undefined) return calls.map(() => undefined);
    return indexes.map((own) => failureOf(() => rtnl.deleteLinks(own)));
  });
}

function ifbIndexes(rtnl: NodeRtnl, attachment: Attachment): readonly number[] {
  return ifbNames(attachment).flatMap((name) => {
    const link = rtnl.link(name);
    return link !== undefined && isIfbOf(attachment, link) ? [link.index] : [];
  });
}

function failureOf(step: () => void): Error | undefined {
  try {
    step();
    return undefined;
  } catch (thrown) {
    return toError(thrown);
  }
}

function checkLimits(call: NetnsCall, previous: Result): void {
  const { request, node, attachment } = call;
  const { ingress, egress } = parseBandwidthConfig(request.config);
  if (ingress === undefined && egress === undefined) return;
  withRtnl(node.kernel, undefined, (rtnl) => {
    const hostEnd = findHostEnd(call, rtnl, previous);
    requireLimit(rtnl.tokenBucket(hostEnd.index), ingress, `ingress of "${hostEnd.name}"`);
    if (egress === undefined) return;
    const ifb = findIfb(rtnl, attachment);
    if (ifb === undefined) throw new Error(`missing ifb of "${hostEnd.name}" for its egress limit`);
    // The reference redirects with a filter of another kind, and its own CHECK ignores it.
    const present = hasNoAlias(ifb)
      ? rtnl.tokenBucket(ifb.index)
      : readShaping(rtnl, hostEnd.index, ifb.name).egress;
    requireLimit(present, egress, `egress of "${hostEnd.name}" through "${ifb.name}"`);
  });
}

function removeInvalid({ request, node, isValid }: GcCall): void {
  withRtnl(node.kernel, undefined, (rtnl) => {
    const stale = rtnl.links().filter((link) => {
      const owner = ifbOwner(link);
      return owner?.network === request.network && !isValid(owner);
    });
    if (stale.length > 0) rtnl.deleteLinks(stale.map(({ index }) => index));
  });
}

/** Which of the links in the result is the other end of the pod's interface. */
function findHostEnd(
  { node, attachment, netns }: NetnsCall,
  rtnl: NodeRtnl,
  previous: Result,
): Link {
  if (previous.interfaces.length === 0) throw new Error('no interfaces provided');
  const { ifName } = attachment;
  const peerIndex = withRtnl(node.kernel, netns, (pod) => pod.link(ifName)?.peerIndex);
  if (peerIndex === undefined) throw new Error(`container interface ${ifName} has no veth peer`);
  const link = rtnl.linkByIndex(peerIndex);
  if (link === undefined) throw new Error(`veth peer with index ${peerIndex} is not in host ns`);
  const isTold = previous.interfaces.some((told) => {
    return (told.sandbox ?? '') === '' && told.name === link.name;
  });
  if (!isTold) throw new Error('no veth peer of container interface found in host ns');
  return link;
}

function chooseIfbName(rtnl: NodeRtnl, attachment: Attachment): string {
  const [preferred, other] = ifbNames(attachment);
  const present = rtnl.link(preferred);
  return present === undefined || isIfbOf(attachment, present) ? preferred : other;
}

function findIfb(rtnl: NodeRtnl, attachment: Attachment): Link | undefined {
  const link = rtnl.link(chooseIfbName(rtnl, attachment));
  return link !== undefined && isIfbOf(attachment, link) ? link : undefined;
}

function markIfb(rtnl: NodeRtnl, name: string, attachment: Attachment): Link {
  const link = rtnl.link(name);
  if (link === undefined) throw new Error(`ifb "${name}" vanished`);
  const alias = ifbAlias(attachment);
  if (link.alias !== alias) rtnl.changeLink(link.index, { alias });
  return link;
}

/** A repeated ADD may ask for less than the one before. */
function removeEgress(rtnl: NodeRtnl, hostEnd: Link, name: string): void {
  const ifb = rtnl.link(name);
  if (ifb?.kind !== 'ifb') return;
  rtnl.deleteIngressRedirect(hostEnd.index);
  rtnl.deleteLink(ifb.index);
}

function requireLimit(
  present: TokenBucket | undefined,
  limit: RateLimit | undefined,
  what: string,
): void {
  if (limit === undefined) return;
  if (present === undefined) throw new Error(`${what} is not limited`);
  if (isSameBucket(present, bucketOf(limit)) || isSameBucket(present, referenceBucket(limit))) {
    return;
  }
  const rate = present.rate * 8;
  throw new Error(`${what} is limited to ${rate} bits per second, not as configured`);
}

/** The reference takes a burst nobody chose at its word. */
function referenceBucket({ rateBits, burstBits }: RateLimit): TokenBucket {
  const burst = Math.floor(burstBits / 8);
  const rate = Math.floor(rateBits / 8);
  return { rate, burst, limit: Math.floor(rate * 0.025) + burst };
}
