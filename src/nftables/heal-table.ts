/** A shared table with what must be in it, brought back after somebody changed it. */
import { succeedsUnless } from '../util/errno.ts';
import { BusyError } from '../util/errors.ts';
import { isSameBase, isSameSet } from './compare-objects.ts';
import type { NftablesConnection } from './connection.ts';
import { TABLE_FLAG } from './constants.ts';
import type { ObservedChain, ObservedSet } from './decode.ts';
import type { Element, NamedSet, TableDefinition } from './model.ts';
import { Transaction } from './transaction.ts';

/** A table, and elements that must be there; more elements may be. */
export interface WantedTable {
  readonly definition: TableDefinition;
  readonly elements: ReadonlyMap<NamedSet, readonly Element[]>;
  /** Names of chains that others of ours may have made besides; any other goes. */
  readonly isOwnChain: (name: string) => boolean;
}

export type HealingConnection = Pick<
  NftablesConnection,
  | 'commit'
  | 'generation'
  | 'tables'
  | 'chains'
  | 'sets'
  | 'damagedChains'
  | 'otherObjects'
  | 'elements'
>;

const MAX_ATTEMPTS = 10;

/**
 * Makes the kernel's table hold what is wanted, and no set or chain of anybody else. Elements of
 * others of ours are kept; where the table has other sets or hooks than it should and is made anew,
 * those that lead to no chain, or to one of the definition.
 * Gives what was wanted, undefined when nothing was to be done.
 *
 * A DEL of another process may take away what `wanted` has just told of: what it tells and the table
 * are looked at again whenever anything has changed meanwhile. Throws BusyError when that does not end.
 */
export function healTable(
  connection: HealingConnection,
  wanted: () => WantedTable | undefined,
): WantedTable | undefined {
  let isWoken = false;
  for (let attempt = 0; attempt < MAX_ATTEMPTS; attempt += 1) {
    const generation = connection.generation();
    const table = wanted();
    const step = table && nextStep(connection, table);
    if (step === undefined || step.transaction.operations.length === 0) {
      return isWoken ? table : undefined;
    }
    const commit = () => connection.commit(step.transaction, { generation });
    if (!succeedsUnless(['ERESTART'], commit)) continue;
    if (!step.isWaking) return table;
    isWoken = true;
  }
  throw new BusyError('the ruleset changes faster than it can be repaired');
}

/** How many elements and objects `healTable` would touch now. */
export function tableDifferences(
  connection: HealingConnection,
  wanted: WantedTable | undefined,
): number {
  return wanted === undefined ? 0 : nextStep(connection, wanted).transaction.size;
}

interface Step {
  readonly transaction: Transaction;
  /** It only puts the table back on its hooks. */
  readonly isWaking: boolean;
}

function nextStep(connection: HealingConnection, wanted: WantedTable): Step {
  const { table } = wanted.definition;
  const found = connection.tables(table.family).find(({ name }) => name === table.name);
  const transaction = new Transaction(table);
  if (found !== undefined && (found.flags & TABLE_FLAG.DORMANT) !== 0) {
    return { transaction: transaction.resetTableFlags(), isWaking: true };
  }
  if (found === undefined) make(transaction, wanted);
  else amend(transaction, wanted, connection);
  return { transaction, isWaking: false };
}

function make(transaction: Transaction, { definition, elements }: WantedTable): void {
  const { sets, chains } = definition;
  transaction.addTable();
  for (const set of sets) transaction.addSet(set);
  for (const chain of chains) transaction.addChain({ ...chain, rules: [] });
  for (const { name, rules } of chains) for (const rule of rules) transaction.addRule(name, rule);
  for (const [set, all] of elements) transaction.addElements(set, all);
}

function amend(transaction: Transaction, wanted: WantedTable, connection: HealingConnection): void {
  const { definition } = wanted;
  const { table } = definition;
  const [sets, chains] = [connection.sets(table), connection.chains(table)];
  if (isMisshapen(definition, sets, chains) || connection.otherObjects(table).length > 0) {
    make(transaction.deleteTable(), withKept(wanted, sets, connection));
    return;
  }
  const present = new Set(sets.map(({ name }) => name));
  for (const set of definition.sets) if (!present.has(set.name)) transaction.addSet(set);
  restoreChains(transaction, definition, connection);
  const own = new Set(definition.chains.map(({ name }) => name));
  const foreign = chains.map(({ name }) => name).filter((name) => !own.has(name));
  const foreignChains = new Set(foreign.filter((name) => !wanted.isOwnChain(name)));
  const content = new Map(
    definition.sets
      .filter(({ name }) => present.has(name))
      .map((set) => [set, connection.elements(table, set)] as const),
  );
  for (const [set, elements] of content) {
    const leading = elements.filter(({ data = '' }) => foreignChains.has(targetOf(data)));
    const strays = leading.filter(({ key }) => !isWanted(wanted, set, key));
    transaction.deleteElements(set, strays);
  }
  for (const [set, elements] of wanted.elements) {
    restoreElements(transaction, set, elements, content.get(set) ?? []);
  }
  removeForeign(transaction, definition, sets, foreignChains);
}

/** Besides what is wanted, elements of others of ours, from sets that are as they should be. */
function withKept(
  wanted: WantedTable,
  observed: readonly ObservedSet[],
  connection: HealingConnection,
): WantedTable {
  const { table, sets, chains } = wanted.definition;
  const names = new Set(chains.map(({ name }) => name));
  const isKept = ({ data }: Element) => data === undefined || names.has(targetOf(data));
  const elements = sets.map((set) => {
    const own = wanted.elements.get(set) ?? [];
    const isSound = observed.some((each) => each.name === set.name && isSameSet(set, each));
    const present = isSound ? connection.elements(table, set).filter(isKept) : [];
    const others = present.filter(({ key }) => !isWanted(wanted, set, key));
    return [set, [...own, ...others]] as const;
  });
  return { ...wanted, elements: new Map(elements) };
}

/** What cannot be amended in place: a set of other types, a chain on another hook. */
function isMisshapen(
  definition: TableDefinition,
  sets: readonly ObservedSet[],
  chains: readonly ObservedChain[],
): boolean {
  const bases = new Map(definition.chains.map(({ name, base }) => [name, base]));
  const defined = new Map(definition.sets.map((set) => [set.name, set]));
  return (
    chains.some(({ name, base }) => !isSameBase(bases.get(name), base)) ||
    sets.some((set) => {
      const known = defined.get(set.name);
      return known !== undefined && !isSameSet(known, set);
    })
  );
}

/** Every chain is there before a rule or an element leads to it. */
function restoreChains(
  transaction: Transaction,
  { table, chains }: TableDefinition,
  connection: HealingConnection,
): void {
  const damaged = connection.damagedChains(table, chains);
  for (const chain of damaged) transaction.addChain({ ...chain, rules: [] });
  for (const { name, rules } of damaged) {
    transaction.flushChain(name);
    for (const rule of rules) transaction.addRule(name, rule);
  }
}

function restoreElements(
  transaction: Transaction,
  set: NamedSet,
  wanted: readonly Element[],
  observed: readonly Element[],
): void {
  const present = new Map(observed.map(({ key, data }) => [key, data]));
  const lacking = wanted.filter(({ key, data }) => !present.has(key) || present.get(key) !== data);
  const wrong = lacking.filter(({ key }) => present.has(key));
  transaction.deleteElements(set, wrong).addElements(set, lacking);
}

/** Chains are emptied first: they may lead to each other and use the sets. */
function removeForeign(
  transaction: Transaction,
  { sets }: TableDefinition,
  observed: readonly ObservedSet[],
  chains: ReadonlySet<string>,
): void {
  const own = new Set(sets.map(({ name }) => name));
  for (const chain of chains) transaction.flushChain(chain);
  for (const { name } of observed) if (!own.has(name)) transaction.deleteSet(name);
  for (const chain of chains) transaction.deleteChain(chain);
}

function isWanted({ elements }: WantedTable, set: NamedSet, key: string): boolean {
  return elements.get(set)?.some((element) => element.key === key) ?? false;
}

/** Of `goto <chain>` and `jump <chain>`. */
function targetOf(verdict: string): string {
  return verdict.replace(/^(goto|jump) /, '');
}
