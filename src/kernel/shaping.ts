/**
 * Rate limits of a pod, as the reference `bandwidth` plugin places them: a tbf on the node's end of
 * the veth for what the pod receives, and one on an ifb, which everything the pod sends is
 * redirected through.
 */
import type { IfbSpec, Link, NodeRtnl, TokenBucket } from './types.ts';

export interface RateLimit {
  /** Bits per second, 8 or more. */
  readonly rateBits: number;
  /** Bits that may pass at once; `UNSET_BURST_BITS` and more means that nobody chose one. */
  readonly burstBits: number;
}

export interface Shaping {
  /** Towards the pod. */
  readonly ingress: TokenBucket | undefined;
  /** From the pod. */
  readonly egress: TokenBucket | undefined;
}

/** What kubelet (MaxInt32) and containerd (MaxUint32) fill in, for there is no annotation for it. */
const UNSET_BURST_BITS = 0x7fffffff;

const MAX_U32 = 0xffffffff;
const QUEUE_SECONDS = 0.025;
/** For a burst nobody chose: enough for one full segmentation offload packet at any rate. */
const DEFAULT_BURST_SECONDS = 0.1;
const MIN_DEFAULT_BURST_BYTES = 128 * 1024;

/**
 * The bucket for a limit: at most 25 ms wait in the queue on top of the burst. A burst nobody chose
 * becomes 100 ms worth of the rate: the default that runtimes fill in would let half a gigabyte pass.
 */
export function bucketOf({ rateBits, burstBits }: RateLimit): TokenBucket {
  const rate = Math.max(1, Math.floor(rateBits / 8));
  const burst = Math.max(
    1,
    burstBits >= UNSET_BURST_BITS ? defaultBurst(rate) : burstBytes(burstBits),
  );
  return { rate, burst, limit: Math.min(Math.floor(rate * QUEUE_SECONDS) + burst, MAX_U32) };
}

/** Whether a bucket read back is the one written; the kernel rounds the burst, the limit holds it. */
export function isSameBucket(a: TokenBucket, b: TokenBucket): boolean {
  return a.rate === b.rate && a.limit === b.limit;
}

/** Limits what the pod behind `hostEnd` (an ifindex) receives. */
export function shapeIngress(rtnl: NodeRtnl, hostEnd: number, limit: RateLimit): void {
  rtnl.setTokenBucket(hostEnd, bucketOf(limit));
}

/** Limits what the pod behind `hostEnd` sends; makes the ifb unless it is there. */
export function shapeEgress(
  rtnl: NodeRtnl,
  hostEnd: Link,
  ifb: Omit<IfbSpec, 'mtu'>,
  limit: RateLimit,
): void {
  rtnl.createIfb({ ...ifb, mtu: hostEnd.mtu });
  const link = rtnl.link(ifb.name);
  if (link?.kind !== 'ifb') throw new Error(`"${ifb.name}" already exists but is not an ifb`);
  rtnl.setTokenBucket(link.index, bucketOf(limit));
  if (!link.isUp) rtnl.changeLink(link.index, { isUp: true });
  rtnl.redirectIngress(hostEnd.index, link.index);
}

/** What limits the pod now; egress counts only while packets really go through the ifb. */
export function readShaping(rtnl: NodeRtnl, hostEnd: number, ifbName: string): Shaping {
  const ifb = rtnl.link(ifbName);
  const isRedirected =
    ifb?.kind === 'ifb' && ifb.isUp && rtnl.ingressRedirect(hostEnd) === ifb.index;
  return {
    ingress: rtnl.tokenBucket(hostEnd),
    egress: isRedirected ? rtnl.tokenBucket(ifb.index) : undefined,
  };
}

/** Takes both limits away; what is not there, links included, is no error. */
export function removeShaping(rtnl: NodeRtnl, hostEnd: number, ifbName: string): void {
  rtnl.deleteIngressRedirect(hostEnd);
  rtnl.deleteTokenBucket(hostEnd);
  const ifb = rtnl.link(ifbName);
  if (ifb?.kind === 'ifb') rtnl.deleteLink(ifb.index);
}

function burstBytes(burstBits: number): number {
  return Math.floor(burstBits / 8);
}

function defaultBurst(rate: number): number {
  const burst = Math.floor(rate * DEFAULT_BURST_SECONDS);
  return Math.min(Math.max(burst, MIN_DEFAULT_BURST_BYTES), MAX_U32);
}
