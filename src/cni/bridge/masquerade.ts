/**
 * ipMasq as elements of table `inet weft-cni`: an address of a pod leads to the chain of its subnet.
 * A pod costs one element, never a rule; the structure is made by whoever needs it first.
 */
import { type Cidr, cidrFamily, parseCidr } from '../../net/cidr.ts';
import { type IP, type IPFamily, ipFamily } from '../../net/ip.ts';
import { ipBytes, readIPBytes } from '../../nftables/bytes.ts';
import { hookPriority } from '../../nftables/hook-priorities.ts';
import type { Chain, Element, NamedSet, Rule, Table } from '../../nftables/model.ts';
import { ip, ip6, meta } from '../../nftables/selectors.ts';
import {
  masquerade,
  match,
  matchCidr,
  returnVerdict,
  verdictMap,
} from '../../nftables/statements.ts';
import { Transaction } from '../../nftables/transaction.ts';
import { BusyError } from '../../util/errors.ts';
import { sha256 } from '../../util/sha256.ts';
import { exemptNetworks, type MasqueradeEntry } from '../masquerade-entry.ts';
import type { Nftables } from '../node.ts';
import { codeOfFailure, elementsOf, removeElements } from './nft-elements.ts';

export const masqueradeTable: Table = {
  family: 'inet',
  name: 'weft-cni',
  comment: 'masquerade of pods',
};

/** Verdict maps `pod address : goto <chain of the subnet>`, one per family. */
export const masqueradeMaps: Readonly<Record<IPFamily, NamedSet>> = {
  4: { name: 'masquerade-pods-ip', key: [ip.saddr], data: 'verdict' },
  6: { name: 'masquerade-pods-ip6', key: [ip6.saddr], data: 'verdict' },
};

const multicast: Readonly<Record<IPFamily, Cidr>> = {
  4: parseCidr('224.0.0.0/4'),
  6: parseCidr('ff00::/8'),
};

/** uapi/linux/netfilter.h NFPROTO_IPV4 and NFPROTO_IPV6, one byte as `meta nfproto` holds it. */
const nfproto: Readonly<Record<IPFamily, string>> = { 4: '\x02', 6: '\x0a' };

const destination = { 4: ip.daddr, 6: ip6.daddr } as const;
const source = { 4: ip.saddr, 6: ip6.saddr } as const;

/** Bounds the race with others who create or delete the same table. */
const maxAttempts = 5;

/** Looks a pod up once per connection, whatever the number of pods. */
export const masqueradeBaseChain: Chain = {
  name: 'postrouting',
  base: { type: 'nat', hook: 'postrouting', priority: hookPriority.sourceNat },
  rules: ([4, 6] as const).map((family) => ({
    statements: [
      match(meta.nfproto, '==', nfproto[family]),
      verdictMap([source[family]], masqueradeMaps[family].name),
    ],
  })),
};

/** Traffic inside the pods' networks and to multicast groups keeps the pod's address. */
function entryChain(entry: MasqueradeEntry): Chain {
  const family = cidrFamily(entry.subnet);
  const ofFamily = match(meta.nfproto, '==', nfproto[family]);
  const rules: readonly Rule[] = [
    ...exemptNetworks(entry).map((network) => {
      return {
        statements: [ofFamily, matchCidr(destination[family], '==', network), returnVerdict],
      };
    }),
    {
      statements: [ofFamily, matchCidr(destination[family], '!=', multicast[family]), masquerade()],
    },
  ];
  return { name: entryChainName(entry), rules };
}

/**
 * `masquerade-10.22.0.0-16`: nft's grammar has no `:` in names, and `/` reads badly. Networks besides
 * the subnet add a digest: the chain of one name always has the same rules.
 */
export function entryChainName({ subnet, except = [] }: MasqueradeEntry): string {
  const name = `masquerade-${subnet.replaceAll(/[:/]/g, '-')}`;
  if (except.length === 0) return name;
  return `${name}-${sha256(except.join()).toString('hex').slice(0, 8)}`;
}

/** The chains that entries lead to, each once. */
export function entryChains(entries: readonly MasqueradeEntry[]): readonly Chain[] {
  const chains = entries.map(entryChain).map((chain) => [chain.name, chain] as const);
  return [...new Map(chains).values()];
}

/**
 * Makes the entries live, all or none. Usually one small batch; table and chain are created when
 * the kernel says ENOENT, and an element that leads elsewhere (left by a former owner) is replaced.
 */
export function addMasquerade(
  nft: Nftables,
  entries: readonly MasqueradeEntry[],
  comment: string,
): void {
  const elements = entries.map((entry) => elementOf(entry, comment));
  for (let attempt = 0; attempt < maxAttempts; attempt += 1) {
    const code = codeOfFailure(
      () => nft.commit(elementsTransaction(elements)),
      ['ENOENT', 'EEXIST'],
    );
    if (code === undefined) return;
    if (code === 'ENOENT') ensureStructure(nft, entries);
    else {
      removeMasquerade(
        nft,
        entries.map(({ address }) => address),
        true,
      );
    }
  }
  throw new BusyError(`masquerade of ${comment}: table ${masqueradeTable.name} keeps changing`);
}

/**
 * Removes the elements of these addresses; what is not there is no error, and neither is a kernel
 * without nf_tables, which holds none.
 */
export function removeMasquerade(
  nft: Nftables,
  addresses: readonly IP[],
  isExpected: boolean,
): void {
  const elements = addresses.map((address) => {
    return { set: masqueradeMaps[ipFamily(address)], key: ipBytes(address) };
  });
  removeElements(nft, masqueradeTable, elements, isExpected);
}

/** Masqueraded addresses of one family with the chain they lead to and their attachment's label. */
export function masqueraded(
  nft: Nftables,
  family: IPFamily,
): readonly { readonly address: IP; readonly chain: string; readonly label: string }[] {
  return elementsOf(nft, masqueradeTable, masqueradeMaps[family]).map((element) => {
    const { key, data = '', comment = '' } = element;
    return {
      address: readIPBytes(key, 0, family),
      chain: data.replace(/^goto /, ''),
      label: comment,
    };
  });
}

interface FamilyElement {
  readonly family: IPFamily;
  readonly element: Element;
}

function elementOf(entry: MasqueradeEntry, comment: string): FamilyElement {
  const { address } = entry;
  const data = `goto ${entryChainName(entry)}`;
  return { family: ipFamily(address), element: { key: ipBytes(address), data, comment } };
}

function elementsTransaction(elements: readonly FamilyElement[]): Transaction {
  const transaction = new Transaction(masqueradeTable);
  for (const { family, element } of elements) {
    transaction.addElements(masqueradeMaps[family], [element]);
  }
  return transaction;
}

/** Exclusive creation: of two creators one wins, and no rule appears twice. */
function ensureStructure(nft: Nftables, entries: readonly MasqueradeEntry[]): void {
  const structure = new Transaction(masqueradeTable);
  structure.addTable({ isExclusive: true });
  for (const map of Object.values(masqueradeMaps)) structure.addSet(map, { isExclusive: true });
  structure.addChain(masqueradeBaseChain, { isExclusive: true });
  codeOfFailure(() => nft.commit(structure), ['EEXIST']);
  for (const chain of entryChains(entries)) {
    const transaction = new Transaction(masqueradeTable);
    transaction.addChain(chain, { isExclusive: true });
    codeOfFailure(() => nft.commit(transaction), ['EEXIST', 'ENOENT']);
  }
}

/** Whether the table is there; elements alone come and go with pods. */
export function isMasqueradeReady(nft: Nftables): boolean {
  return nft.tables('inet').some(({ name }) => name === masqueradeTable.name);
}
