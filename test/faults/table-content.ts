/**
 * What the tables of a namespace come to for a packet, in a form in which two of them can be compared:
 * in which slot an endpoint is, and which chains nobody goes to, does not matter.
 */
import { TableApplier } from '../../src/nftables/applier.ts';
import { NftablesConnection } from '../../src/nftables/connection.ts';
import type { NamedSet, ObservedElement, TableDefinition } from '../../src/nftables/model.ts';
import { errorCode } from '../../src/util/errors.ts';
import type { TestNetns } from '../support/netns.ts';

/** Lines by the object they belong to, such as `ip weft-proxy map endpoints`. */
export type TableContent = ReadonlyMap<string, readonly string[]>;

/** An affinity number in front of other fields. */
const ID_BYTES = 4;

/** Without elements where the structure is not as defined; the difference says so then. */
export function readContent(
  netns: { readonly fd: number },
  definitions: readonly TableDefinition[],
): TableContent {
  const content = new Map<string, readonly string[]>();
  const connection = NftablesConnection.open({ netns });
  try {
    for (const definition of definitions) {
      const { family, name } = definition.table;
      const observed = new TableApplier(connection, definition).observe();
      content.set(`${family} ${name}`, [`as defined: ${observed.isAsDefined}`]);
      const ids = affinityNames(observed.elements);
      for (const set of definition.sets.filter(({ isDynamic }) => isDynamic !== true)) {
        const lines = describeElements(set, observed.elements.get(set.name) ?? [], ids);
        content.set(`${family} ${name} set ${set.name}`, lines);
      }
    }
  } finally {
    connection.close();
  }
  return content;
}

/** The lines of one set or map without numbers for affinity; none where there is no such set. */
export function readSet(
  netns: { readonly fd: number },
  { table, sets }: TableDefinition,
  name: string,
): readonly string[] {
  const set = sets.find((candidate) => candidate.name === name);
  if (set === undefined) throw new RangeError(`set ${name}: not in the definition`);
  const connection = NftablesConnection.open({ netns });
  try {
    return describeElements(set, connection.elements(table, set), new Map());
  } catch (thrown) {
    if (errorCode(thrown) === 'ENOENT') return [];
    throw thrown;
  } finally {
    connection.close();
  }
}

/** The rules of each chain as nft prints them, without elements. */
export function readRules(node: TestNetns, definitions: readonly TableDefinition[]): TableContent {
  const content = new Map<string, readonly string[]>();
  for (const { table } of definitions) {
    const words = ['-s', '-t', 'list', 'table', table.family, table.name];
    const { stdout } = node.attempt('nft', words);
    for (const [, chain, rules = ''] of stdout.matchAll(/^\tchain (\S+) \{\n(.*?)^\t\}/gms)) {
      content.set(`${table.family} ${table.name} chain ${chain}`, rules.trimEnd().split('\n'));
    }
  }
  return content;
}

/** One line per object that differs. Chains for numbers of endpoints may be left over in `actual`. */
export function differences(expected: TableContent, actual: TableContent): readonly string[] {
  const keys = new Set([...expected.keys(), ...actual.keys()]);
  return [...keys].flatMap((key) => {
    const [wanted, found] = [expected.get(key), actual.get(key)];
    if (wanted === undefined) return / chain [a-z]+\d+\S*$/.test(key) ? [] : [`${key}: additional`];
    if (found === undefined) return [`${key}: missing`];
    const missing = wanted.filter((line) => !found.includes(line));
    const additional = found.filter((line) => !wanted.includes(line));
    if (missing.length + additional.length === 0 && wanted.length === found.length) return [];
    const shown = [...missing.map((line) => `-${line}`), ...additional.map((line) => `+${line}`)];
    return [`${key}: ${wanted.length} / ${found.length}: ${shown.slice(0, 4).join(' ')}`];
  });
}

function describeElements(
  { name, key, data }: NamedSet,
  elements: readonly ObservedElement[],
  ids: ReadonlyMap<string, string>,
): readonly string[] {
  const hasSlots = key.at(-1)?.kind === 'numgen' && data !== undefined;
  if (!hasSlots) {
    return elements.map((element) => describeElement(name, element, ids)).sort();
  }
  const frontends = Map.groupBy(elements, (element) => element.key.slice(0, -4));
  return [...frontends]
    .map(([frontend, slots]) => {
      const targets = slots.map(({ data: target = '' }) => hex(target)).sort();
      return `${hex(frontend)} -> ${targets.join(' ')}`;
    })
    .sort();
}

function describeElement(
  set: string,
  { key, keyEnd, data = '', comment = '' }: ObservedElement,
  ids: ReadonlyMap<string, string>,
): string {
  const keyText = set.startsWith('affine-')
    ? `${ids.get(key.slice(0, ID_BYTES))} ${hex(key.slice(ID_BYTES))}`
    : hex(key);
  const dataText = set.startsWith('affinity-')
    ? ids.get(data.slice(ID_BYTES, 2 * ID_BYTES))
    : dataOf(data);
  return [keyText, keyEnd === undefined ? '' : hex(keyEnd), dataText, comment].join(' ');
}

/**
 * What the numbers stand for that Services have for their clients' affinity: which one a Service has
 * depends on which were free. The maps that give them have them in the second field.
 */
function affinityNames(
  elements: ReadonlyMap<string, readonly ObservedElement[]>,
): ReadonlyMap<string, string> {
  const names = new Map<string, string>();
  for (const set of ['affinity-ids', 'affinity-nodeport-ids']) {
    for (const { key, data = '' } of elements.get(set) ?? []) {
      const id = data.slice(ID_BYTES, 2 * ID_BYTES);
      const text = `<${set} ${hex(key)}>`;
      const known = names.get(id);
      if (known === undefined || text < known) names.set(id, text);
    }
  }
  return names;
}

/** Verdicts are text, everything else is register bytes. */
function dataOf(data: string): string {
  return /^[a-z]+( [\w-]+)?$/.test(data) ? data : hex(data);
}

function hex(bytes: string): string {
  return Buffer.from(bytes, 'latin1').toString('hex');
}
