/** Rates, as expressions of their own and within the elements that a rule adds. */
import type { AttributeWriter } from '../netlink/attributes.ts';
import { EXPR, LIMIT } from './constants.ts';

/** A bucket of `burst` packets that fills up again at a rate. */
export interface Limit {
  readonly perSecond: number;
  readonly burst: number;
}

/** enum nft_limit_type */
const NFT_LIMIT_PKTS = 0;
/** Matches what is beyond the rate, not what is within. */
const NFT_LIMIT_F_INV = 1;

/** NFTA_EXPR_NAME and NFTA_EXPR_DATA of a limit. */
export function writeLimit(
  writer: AttributeWriter,
  { perSecond, burst }: Limit,
  isOver: boolean,
): AttributeWriter {
  return writer.string(EXPR.NAME, 'limit').nested(EXPR.DATA, (w) =>
    w
      .u64be(LIMIT.RATE, BigInt(perSecond))
      .u64be(LIMIT.UNIT, 1n)
      .u32be(LIMIT.BURST, burst)
      .u32be(LIMIT.TYPE, NFT_LIMIT_PKTS)
      .u32be(LIMIT.FLAGS, isOver ? NFT_LIMIT_F_INV : 0),
  );
}
