/** Tables of ours, with what records say is in them, brought back after somebody changed them. */
import { cidrFamily } from '../../net/cidr.ts';
import { ifnameBytes, ipBytes, macBytes } from '../../nftables/bytes.ts';
import type { NftablesConnection } from '../../nftables/connection.ts';
import type { ObservedChain } from '../../nftables/decode.ts';
import type { Chain, Element, NamedSet, TableDefinition } from '../../nftables/model.ts';
import { Transaction } from '../../nftables/transaction.ts';
import { BusyError } from '../../util/errors.ts';
import {
  entryChainName,
  entryChains,
  masqueradeBaseChain,
  masqueradeMaps,
  masqueradeTable,
} from '../bridge/masquerade.ts';
import { codeOfFailure } from '../bridge/nft-elements.ts';
import { allowedSenders, guardedPorts, spoofChain, spoofTable } from '../bridge/spoof.ts';
import type { NodePlan } from './records.ts';

/** A table and the elements that must be there; more elements and regular chains may be. */
export interface WantedTable {
  readonly definition: TableDefinition;
  readonly elements: ReadonlyMap<NamedSet, readonly Element[]>;
}

const maxAttempts = 10;

export type Connection = Pick<
  NftablesConnection,
  'commit' | 'generation' | 'tables' | 'chains' | 'sets' | 'ruleCounts' | 'elements'
>;

/** The masquerading of these pods: none needs no table. */
export function masqueradeOf(plans: readonly NodePlan[]): WantedTable | undefined {
  const entries = plans.flatMap(({ masquerade, label }) =>
    masquerade.map((entry) => ({ ...entry, label })),
  );
  if (entries.length === 0) return undefined;
  const elementsOf = (family: 4 | 6): readonly Element[] =>
    entries
      .filter(({ subnet }) => cidrFamily(subnet) === family)
      .map((entry) => {
        const data = `goto ${entryChainName(entry)}`;
        return { key: ipBytes(entry.address), data, comment: entry.label };
      });
  return {
    definition: {
      table: masqueradeTable,
      sets: Object.values(masqueradeMaps),
      chains: [masqueradeBaseChain, ...entryChains(entries)],
    },
    elements: new Map(
      ([4, 6] as const).map((family) => [masqueradeMaps[family], elementsOf(family)]),
    ),
  };
}

/** The guards of ports with macspoofchk: none needs no table. */
export function guardsOf(plans: readonly NodePlan[]): WantedTable | undefined {
  const guards = plans.flatMap(({ host: { name, allowedMac }, label }) => {
    return allowedMac === undefined ? [] : [{ port: ifnameBytes(name), mac: allowedMac, label }];
  });
  if (guards.length === 0) return undefined;
  return {
    definition: {
      table: spoofTable,
      sets: [guardedPorts, allowedSenders],
      chains: [spoofChain],
    },
    elements: new Map([
      [guardedPorts, guards.map(({ port, label }) => ({ key: port, comment: label }))],
      [
        allowedSenders,
        guards.map(({ port, mac, label }) => ({ key: port + macBytes(mac), comment: label })),
      ],
    ]),
  };
}

/**
 * Makes the kernel's table hold what is wanted, in one transaction, and keeps whatever else is in
 * it. Gives what was wanted, undefined when nothing was to be done. A DEL of another process may take away an attachment that
 * `wanted` has just told of: what it tells and the table are looked at again whenever anything has
 * changed meanwhile. Throws BusyError when that does not end.
 */
export function healTable(
  connection: Connection,
  wanted: () => WantedTable | undefined,
): WantedTable | undefined {
  for (let attempt = 0; attempt < maxAttempts; attempt += 1) {
    const generation = connection.generation();
    const table = wanted();
    const transaction = table && missingParts(connection, table);
    if (transaction === undefined || transaction.operations.length === 0) return undefined;
    const commit = () => connection.commit(transaction, { generation });
    if (codeOfFailure(commit, ['ERESTART']) === undefined) return table;
  }
  throw new BusyError('the ruleset changes faster than it can be repaired');
}

function missingParts(connection: Connection, { definition, elements }: WantedTable): Transaction {
  const { table } = definition;
  const isThere = connection.tables(table.family).some(({ name }) => name === table.name);
  const observed = isThere ? observe(connection, { definition, elements }) : nothing;
  const transaction = new Transaction(table);
  if (!observed.hasSets) {
    transaction.addTable();
    for (const set of definition.sets) transaction.addSet(set);
  }
  restoreChains(transaction, definition.chains, observed);
  for (const [set, all] of elements) {
    const present = observed.elements.get(set);
    const wrong = all.filter(({ key, data }) => {
      return present?.has(key) === true && present.get(key) !== data;
    });
    const missing = all.filter(({ key, data }) => {
      return present?.has(key) !== true || present.get(key) !== data;
    });
    transaction.deleteElements(set, wrong).addElements(set, missing);
  }
  return transaction;
}

interface Observed {
  readonly hasSets: boolean;
  readonly chains: readonly ObservedChain[];
  readonly ruleCounts: ReadonlyMap<string, number>;
  readonly elements: ReadonlyMap<NamedSet, ReadonlyMap<string, string | undefined>>;
}

const nothing: Observed = {
  hasSets: false,
  chains: [],
  ruleCounts: new Map(),
  elements: new Map(),
};

function observe(connection: Connection, { definition, elements }: WantedTable): Observed {
  const { table, sets } = definition;
  const names = new Set(connection.sets(table).map(({ name }) => name));
  const present = [...elements.keys()].filter(({ name }) => names.has(name));
  return {
    hasSets: sets.every(({ name }) => names.has(name)),
    chains: connection.chains(table),
    ruleCounts: connection.ruleCounts(table),
    elements: new Map(
      present.map((set) => {
        const observed = connection.elements(table, set);
        return [set, new Map(observed.map(({ key, data }) => [key, data]))];
      }),
    ),
  };
}

/** Every chain is there before a rule or an element leads to it. */
function restoreChains(
  transaction: Transaction,
  chains: readonly Chain[],
  { chains: present, ruleCounts }: Observed,
): void {
  const names = new Set(present.map(({ name }) => name));
  const damaged = chains.filter(({ name, rules }) => {
    return !names.has(name) || (ruleCounts.get(name) ?? 0) !== rules.length;
  });
  for (const chain of damaged) transaction.addChain({ ...chain, rules: [] });
  for (const { name, rules } of damaged) {
    transaction.flushChain(name);
    for (const rule of rules) transaction.addRule(name, rule);
  }
}
