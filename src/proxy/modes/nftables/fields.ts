import type { IPFamily } from '../../../net/ip.ts';
import { numgenRandom } from '../../../nftables/generators.ts';
import { ct, ip, ip6, meta, type Selector, th } from '../../../nftables/selectors.ts';

/** Larger than any count of slots; describes the slot field of a key, whatever draws the slot. */
const SLOT_LIMIT = 65_536;

export const PORT_KEY: readonly Selector[] = [meta.l4proto, th.dport];
export const SLOT: Selector = numgenRandom(SLOT_LIMIT);
/** Nothing loads it from a packet; nft prints a number in host order best when it takes it for one. */
export const AFFINITY_ID: Selector = meta.mark;

/** The fields of one family's packets that rules and sets of the table speak of. */
interface FamilyFields {
  readonly saddr: Selector;
  readonly daddr: Selector;
  /** Where the connection was sent before DNAT. */
  readonly originalDaddr: Selector;
  /** A frontend with an address. */
  readonly addressKey: readonly Selector[];
  /** An endpoint. */
  readonly target: readonly Selector[];
}

export function fieldsOf(family: IPFamily): FamilyFields {
  const { saddr, daddr } = family === 4 ? ip : ip6;
  return {
    saddr,
    daddr,
    originalDaddr: family === 4 ? ct.originalDaddr4 : ct.originalDaddr6,
    addressKey: [daddr, ...PORT_KEY],
    target: [daddr, th.dport],
  };
}
