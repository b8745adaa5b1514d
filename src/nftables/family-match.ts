import type { IPFamily } from '../net/ip.ts';
import { u8Bytes } from './bytes.ts';
import { meta } from './selectors.ts';
import { match, type Statement } from './statements.ts';

/** uapi/linux/netfilter.h NFPROTO_IPV4 and NFPROTO_IPV6 */
const NFPROTO: Readonly<Record<IPFamily, number>> = { 4: 2, 6: 10 };

/** Continues with packets of one family; for tables of both. */
export function isOfFamily(family: IPFamily): Statement {
  return match(meta.nfproto, '==', u8Bytes(NFPROTO[family]));
}
