/**
 * ipMasq as elements of table `inet weft-cni`: an address of a pod leads to the chain of its subnet.
 * A pod costs one element, never a rule; the structure is made by whoever needs it first.
 */
import { type Cidr, cidrFamily, parseCidr } from '../../net/cidr.ts';
import { type IP, type IPFamily, ipFamily } from '../../net/ip.ts';
import { ipBytes, readIPBytes } from '../../nftables/bytes.ts';
import { HOOK_PRIORITY } from '../../nftables/hook-priorities.ts';
import type { Chain, NamedSet, Rule } from '../../nftables/model.ts';
import { ip, ip6, meta } from '../../nftables/selectors.ts';
import { SharedTable } from '../../nftables/shared-table.ts';
import {
  masquerade,
  match,
  matchCidr,
  returnVerdict,
  verdictMap,
} from '../../nftables/statements.ts';
import { sha256 } from '../../util/sha256.ts';
import { exemptNetworks, type MasqueradeEntry } from '../masquerade-entry.ts';
import type { Nftables } from '../node.ts';

/** Verdict maps `pod address : goto <chain of the subnet>`, one per family. */
export const MASQUERADE_MAPS: Readonly<Record<IPFamily, NamedSet>> = {
  4: { name: 'masquerade-pods-ip', key: [ip.saddr], data: 'verdict' },
  6: { name: 'masquerade-pods-ip6', key: [ip6.saddr], data: 'verdict' },
};

const MULTICAST: Readonly<Record<IPFamily, Cidr>> = {
  4: parseCidr('224.0.0.0/4'),
  6: parseCidr('ff00::/8'),
};

/** uapi/linux/netfilter.h NFPROTO_IPV4 and NFPROTO_IPV6, one byte as `meta nfproto` holds it. */
const NFPROTO: Readonly<Record<IPFamily, string>> = { 4: '\x02', 6: '\x0a' };

const ENTRY_CHAIN_PREFIX = 'masquerade-';

const DESTINATION = { 4: ip.daddr, 6: ip6.daddr } as const;
const SOURCE = { 4: ip.saddr, 6: ip6.saddr } as const;

/** Looks a pod up once per connection, whatever the number of pods. */
const BASE_CHAIN: Chain = {
  name: 'postrouting',
  base: { type: 'nat', hook: 'postrouting', priority: HOOK_PRIORITY.sourceNat },
  rules: ([4, 6] as const).map((family) => ({
    statements: [
      match(meta.nfproto, '==', NFPROTO[family]),
      verdictMap([SOURCE[family]], MASQUERADE_MAPS[family].name),
    ],
  })),
};

export const MASQUERADE_TABLE = new SharedTable({
  table: { family: 'inet', name: 'weft-cni', comment: 'masquerade of pods' },
  sets: Object.values(MASQUERADE_MAPS),
  chains: [BASE_CHAIN],
});

/** Traffic inside the pods' networks and to multicast groups keeps the pod's address. */
function entryChain(entry: MasqueradeEntry): Chain {
  const family = cidrFamily(entry.subnet);
  const ofFamily = match(meta.nfproto, '==', NFPROTO[family]);
  const rules: readonly Rule[] = [
    ...exemptNetworks(entry).map((network) => {
      return {
        statements: [ofFamily, matchCidr(DESTINATION[family], '==', network), returnVerdict],
      };
    }),
    {
      statements: [ofFamily, matchCidr(DESTINATION[family], '!=', MULTICAST[family]), masquerade()],
    },
  ];
  return { name: entryChainName(entry), rules };
}

/**
 * `masquerade-10.22.0.0-16`: nft's grammar has no `:` in names, and `/` reads badly. Networks besides
 * the subnet add a digest: the chain of one name always has the same rules.
 */
export function entryChainName({ subnet, except = [] }: MasqueradeEntry): string {
  const name = `${ENTRY_CHAIN_PREFIX}${subnet.replaceAll(/[:/]/g, '-')}`;
  if (except.length === 0) return name;
  return `${name}-${sha256(except.join()).toString('hex').slice(0, 8)}`;
}

/** Whether a chain may be one that entries lead to. */
export function isEntryChain(name: string): boolean {
  return name.startsWith(ENTRY_CHAIN_PREFIX);
}

/** The chains that entries lead to, each once. */
export function entryChains(entries: readonly MasqueradeEntry[]): readonly Chain[] {
  const chains = entries.map(entryChain).map((chain) => [chain.name, chain] as const);
  return [...new Map(chains).values()];
}

/** Makes the entries live, all or none; an element that a former owner left is replaced. */
export function addMasquerade(
  nft: Nftables,
  entries: readonly MasqueradeEntry[],
  comment: string,
): void {
  const elements = entries.map((entry) => {
    const data = `goto ${entryChainName(entry)}`;
    return { set: setOf(entry.address), element: { key: ipBytes(entry.address), data, comment } };
  });
  MASQUERADE_TABLE.add(nft, `masquerade of ${comment}`, elements, entryChains(entries));
}

/**
 * Removes the elements of these addresses; what is not there is no error, and neither is a kernel
 * without nf_tables, which holds none.
 */
export function removeMasquerade(
  nft: Nftables,
  addresses: readonly IP[],
  areExpected: boolean,
): void {
  const elements = addresses.map((address) => {
    return { set: setOf(address), element: { key: ipBytes(address) } };
  });
  MASQUERADE_TABLE.remove(nft, elements, { areExpected });
}

/** Masqueraded addresses of one family with the chain they lead to and their attachment's label. */
export function masqueraded(
  nft: Nftables,
  family: IPFamily,
): readonly { readonly address: IP; readonly chain: string; readonly label: string }[] {
  return MASQUERADE_TABLE.elements(nft, MASQUERADE_MAPS[family]).map((element) => {
    const { key, data = '', comment = '' } = element;
    return {
      address: readIPBytes(key, 0, family),
      chain: data.replace(/^goto /, ''),
      label: comment,
    };
  });
}

function setOf(address: IP): NamedSet {
  return MASQUERADE_MAPS[ipFamily(address)];
}
