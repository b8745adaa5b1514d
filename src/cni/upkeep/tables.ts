/** Tables of ours, with what records say is in them, brought back after somebody changed them. */
import { cidrFamily } from '../../net/cidr.ts';
import type { IP } from '../../net/ip.ts';
import { ipBytes } from '../../nftables/bytes.ts';
import type { WantedTable } from '../../nftables/heal-table.ts';
import type { Element } from '../../nftables/model.ts';
import {
  entryChainName,
  entryChains,
  isEntryChain,
  MASQUERADE_MAPS,
  MASQUERADE_TABLE,
} from '../bridge/masquerade.ts';
import { OWN_ADDRESSES, OWN_ADDRESSES_TABLE, ownAddressKey } from '../bridge/own-addresses.ts';
import { guardElements, SPOOF_TABLE } from '../bridge/spoof.ts';
import { ownEntries } from '../masquerade-entry.ts';
import type { NodePlan } from '../node-plan.ts';

/** The masquerading of these pods, of those that nobody else masquerades: none needs no table. */
export function masqueradeOf(
  plans: readonly NodePlan[],
  isElsewhere?: (address: IP) => boolean,
): WantedTable | undefined {
  const entries = plans.flatMap(({ masquerade, label }) =>
    ownEntries(masquerade, isElsewhere).map((entry) => ({ ...entry, label })),
  );
  if (entries.length === 0) return undefined;
  const elementsOf = (family: 4 | 6): readonly Element[] =>
    entries
      .filter(({ subnet }) => cidrFamily(subnet) === family)
      .map((entry) => {
        const data = `goto ${entryChainName(entry)}`;
        return { key: ipBytes(entry.address), data, comment: entry.label };
      });
  const { definition } = MASQUERADE_TABLE;
  return {
    definition: { ...definition, chains: [...definition.chains, ...entryChains(entries)] },
    isOwnChain: isEntryChain,
    elements: new Map(
      ([4, 6] as const).map((family) => [MASQUERADE_MAPS[family], elementsOf(family)]),
    ),
  };
}

/** The guards of ports: none needs no table. */
export function guardsOf(plans: readonly NodePlan[]): WantedTable | undefined {
  const placed = plans.flatMap(({ host, label }) => guardElements(host, label));
  if (placed.length === 0) return undefined;
  const bySet = Map.groupBy(placed, ({ set }) => set);
  return {
    definition: SPOOF_TABLE.definition,
    isOwnChain: () => false,
    elements: new Map([...bySet].map(([set, all]) => [set, all.map(({ element }) => element)])),
  };
}

/** What pods ask for of their own, where the node answers for them: none needs no table. */
export function ownAddressesOf(plans: readonly NodePlan[]): WantedTable | undefined {
  const elements = plans.flatMap(({ sameNode, label }) => {
    if (sameNode === undefined) return [];
    const { mac, proxied } = sameNode;
    return proxied.map((address) => ({ key: ownAddressKey(mac, address), comment: label }));
  });
  if (elements.length === 0) return undefined;
  const { definition } = OWN_ADDRESSES_TABLE;
  return {
    definition,
    isOwnChain: () => false,
    elements: new Map([[OWN_ADDRESSES, elements]]),
  };
}
