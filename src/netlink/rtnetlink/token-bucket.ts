/** Options of the tbf qdisc (struct tc_tbf_qopt, include/uapi/linux/pkt_sched.h). */
import { AttributeWriter, readAttributes } from '../attributes.ts';

const TCA_TBF_PARMS = 1;
const TCA_TBF_RATE64 = 4;
const TCA_TBF_BURST = 6;
const QOPT_BYTES = 36;
const LIMIT_AT = 24;
const BUFFER_AT = 28;
const TC_LINKLAYER_ETHERNET = 1;
const MAX_U32 = 0xffffffff;
/** The kernel's packet scheduler ticks (PSCHED_SHIFT). */
const TICK_NS = 64n;
const SECOND_NS = 1_000_000_000n;

export interface TokenBucket {
  /** Bytes per second. */
  readonly rate: number;
  /** Bytes that may leave at once; below 2^32. */
  readonly burst: number;
  /** Bytes that may wait; what exceeds them is dropped. Below 2^32. */
  readonly limit: number;
}

/** TCA_OPTIONS of a tbf. */
export function encodeTokenBucket(bucket: TokenBucket): Buffer {
  const rate = BigInt(bucket.rate);
  const ticks = (BigInt(bucket.burst) * SECOND_NS) / rate / TICK_NS;
  const parameters = Buffer.alloc(QOPT_BYTES);
  parameters.writeUInt8(TC_LINKLAYER_ETHERNET, 1);
  parameters.writeUInt32LE(Math.min(bucket.rate, MAX_U32), 8);
  parameters.writeUInt32LE(bucket.limit, LIMIT_AT);
  parameters.writeUInt32LE(Number(ticks > MAX_U32 ? MAX_U32 : ticks), BUFFER_AT);
  const options = new AttributeWriter().bytes(TCA_TBF_PARMS, parameters);
  if (bucket.rate > MAX_U32) options.bytes(TCA_TBF_RATE64, hostU64(rate));
  return options.u32(TCA_TBF_BURST, bucket.burst).finish();
}

/**
 * Reads TCA_OPTIONS of a tbf; undefined when they are none. The kernel keeps the burst as time, so
 * `burst` comes back rounded by less than 64 ns worth of bytes and one.
 */
export function decodeTokenBucket(options: Buffer): TokenBucket | undefined {
  const attributes = readAttributes(options);
  const parameters = attributes.get(TCA_TBF_PARMS);
  if (parameters === undefined || parameters.length < QOPT_BYTES) return undefined;
  const wide = attributes.get(TCA_TBF_RATE64)?.readBigUInt64LE(0);
  const rate = wide ?? BigInt(parameters.readUInt32LE(8));
  const ticks = BigInt(parameters.readUInt32LE(BUFFER_AT));
  return {
    rate: Number(rate),
    burst: Number((ticks * TICK_NS * rate + SECOND_NS / 2n) / SECOND_NS),
    limit: parameters.readUInt32LE(LIMIT_AT),
  };
}

function hostU64(value: bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64LE(value);
  return bytes;
}
