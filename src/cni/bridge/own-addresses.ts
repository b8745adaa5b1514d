/**
 * Duplicate address detection of a pod whose addresses the node answers for: its question for an address of
 * its own would be answered by the proxy, and the address be taken for a duplicate. Such questions are
 * dropped before the node reads them; those of other pods are answered, and so detect what is one.
 */
import { type IP, ipFamily } from '../../net/ip.ts';
import type { Mac } from '../../net/mac.ts';
import { ipBytes, macBytes, readIPBytes, u8Bytes } from '../../nftables/bytes.ts';
import { HOOK_PRIORITY } from '../../nftables/hook-priorities.ts';
import type { Chain, NamedSet } from '../../nftables/model.ts';
import { ether, icmpv6, ip6, meta } from '../../nftables/selectors.ts';
import { type PlacedElement, SharedTable } from '../../nftables/shared-table.ts';
import { drop, lookup, match } from '../../nftables/statements.ts';
import type { Nftables } from '../node.ts';
import type { SameNodePlan } from '../node-plan.ts';

const ICMPV6 = 58;
const NEIGHBOUR_SOLICITATION = 135;
const MAC_BYTES = 8;

/** `hardware address . address`, both of a pod. nft 1.0.6 has no name for the field of a solicitation. */
export const OWN_ADDRESSES: NamedSet = { name: 'own-addresses', key: [ether.saddr, ip6.daddr] };

const INPUT_CHAIN: Chain = {
  name: 'input',
  base: { type: 'filter', hook: 'input', priority: HOOK_PRIORITY.filter },
  rules: [
    {
      statements: [
        match(meta.l4proto, '==', u8Bytes(ICMPV6)),
        match(icmpv6.type, '==', u8Bytes(NEIGHBOUR_SOLICITATION)),
        lookup([ether.saddr, icmpv6.target], OWN_ADDRESSES.name),
        drop,
      ],
    },
  ],
};

export const OWN_ADDRESSES_TABLE = new SharedTable({
  table: { family: 'ip6', name: 'weft-own-addresses', comment: 'questions of pods for their own' },
  sets: [OWN_ADDRESSES],
  chains: [INPUT_CHAIN],
});

/** Leaves the pod's own questions for its addresses without an answer. */
export function ignoreOwnQuestions(nft: Nftables, plan: SameNodePlan, comment: string): void {
  const elements = plan.proxied.map((address): PlacedElement => {
    return { set: OWN_ADDRESSES, element: { key: ownAddressKey(plan.mac, address), comment } };
  });
  OWN_ADDRESSES_TABLE.add(nft, `own addresses of ${comment}`, elements);
}

/** Whatever hardware address they were for; addresses that are not there are no error. */
export function forgetOwnQuestions(nft: Nftables, addresses: readonly IP[]): void {
  const gone = new Set(addresses.filter((address) => ipFamily(address) === 6));
  if (gone.size === 0 || !OWN_ADDRESSES_TABLE.isThere(nft)) return;
  const elements = OWN_ADDRESSES_TABLE.elements(nft, OWN_ADDRESSES)
    .filter(({ key }) => gone.has(readIPBytes(key, MAC_BYTES, 6)))
    .map(({ key }) => ({ set: OWN_ADDRESSES, element: { key } }));
  OWN_ADDRESSES_TABLE.remove(nft, elements, { areExpected: true });
}

export function ownAddressKey(mac: Mac, address: IP): string {
  return macBytes(mac) + ipBytes(address);
}
