import { NO_TABLE, type ObservedTable, type TableChange } from '../../../nftables/applier.ts';
import type { Chain, Element, NamedSet } from '../../../nftables/model.ts';
import { elementText, fieldsText, tableText } from '../../../nftables/text.ts';
import { frontendKey } from '../../claims.ts';
import { type ProxySnapshot, resolveSnapshot } from '../../snapshot.ts';
import type { ResolvedPort } from '../../state.ts';
import { tableDefinition } from './layout.ts';
import { elementIdentity } from './observed.ts';
import type { OpenTable } from './table.ts';
import { TableSession } from './table-session.ts';

/** One thing that is not as it should be. */
export interface Difference {
  /** Missing, too much, or there with something else. */
  readonly sign: '+' | '-' | '~';
  /** A set's name, `chain`, or `table`. */
  readonly place: string;
  /** `172.30.0.1 . tcp . 80 . 0`, the chain's name, or `flags`. */
  readonly key: string;
  /** What it is, and what it should be. */
  readonly found: string | undefined;
  readonly wanted: string | undefined;
  /** The ServicePort it belongs to, where that can be told. */
  readonly servicePort: string | undefined;
  /**
   * On its way to the kernel, or a change by somebody else. While something is on its way, what
   * belongs to no one Service counts to it.
   */
  readonly cause: 'pending' | 'drift';
}

export interface TableDifference {
  /** `ip weft-proxy` */
  readonly table: string;
  /** With another make the table serves on until the whole of it is replaced. */
  readonly state: 'missing' | 'otherMake' | 'asDefined';
  readonly differences: readonly Difference[];
}

export interface KernelView {
  readonly openTable: OpenTable;
  /** Whether a chain of the table has exactly these rules. */
  readonly hasRules: (chain: Chain) => boolean;
}

/**
 * What the proxy of one family would change now, found by rendering its state against the table in
 * the kernel with nothing written.
 */
export async function diffTable(
  snapshot: ProxySnapshot,
  kernel: KernelView,
): Promise<TableDifference> {
  const definition = tableDefinition(snapshot.settings.layout);
  const { open, observed, changes } = recordingTable(kernel.openTable);
  const resolved = resolveSnapshot(snapshot);
  const session = TableSession.open(open, snapshot.settings);
  try {
    const groups = Array.from(resolved.keys(), (key) => [key]);
    await session.program(snapshot.settings, groups, (key) => resolved.get(key) ?? []);
  } finally {
    session.close();
  }
  const found = observed();
  const table = tableText(definition.table);
  if (!found.isHooked) return { table, state: 'missing', differences: [] };
  if (!found.isAsDefined) return { table, state: 'otherMake', differences: [] };
  const sets = new Map(definition.sets.map((set) => [set.name, set]));
  const owners = new Owners([...resolved.values()].flat(), found, sets, snapshot.pending);
  const chains = [...definition.chains, ...changes.flatMap((change) => change.chains ?? [])];
  return {
    table,
    state: 'asDefined',
    differences: [
      ...tableDifferences(found, session.foreignChains),
      ...chainDifferences(chains, found, kernel, owners),
      ...elementDifferences(changes, found, sets, owners),
    ],
  };
}

/** A table that is read and never written. */
function recordingTable(openTable: OpenTable) {
  let found = NO_TABLE;
  const changes: TableChange[] = [];
  const open: OpenTable = (definition) => {
    const table = openTable(definition);
    return {
      ...table,
      observe: () => {
        found = table.observe();
        return found;
      },
      wake: () => {},
      apply: (change) => void changes.push(change),
      replace: (content) => void changes.push(content),
      prepare: (content) => void changes.push(content),
      hook: () => {},
    };
  };
  return { open, changes, observed: () => found };
}

/** What nothing of ours explains. */
function tableDifferences(
  { isDormant }: ObservedTable,
  foreignChains: readonly string[],
): readonly Difference[] {
  const drift = { servicePort: undefined, cause: 'drift' } as const;
  const flags = { place: 'table', key: 'flags', found: 'dormant', wanted: 'none' } as const;
  return [
    ...(isDormant ? [{ sign: '~', ...flags, ...drift } as const] : []),
    ...foreignChains.map(
      (key) =>
        ({
          sign: '-',
          place: 'chain',
          key,
          found: undefined,
          wanted: undefined,
          ...drift,
        }) as const,
    ),
  ];
}

function chainDifferences(
  chains: readonly Chain[],
  found: ObservedTable,
  { hasRules }: KernelView,
  owners: Owners,
): readonly Difference[] {
  const known = new Set(found.chains.map(({ name }) => name));
  const unequal = new Map(chains.map((chain) => [chain.name, chain]));
  for (const chain of unequal.values()) if (hasRules(chain)) unequal.delete(chain.name);
  return Array.from(unequal.keys(), (key): Difference => {
    const isThere = known.has(key);
    return {
      sign: isThere ? '~' : '+',
      place: 'chain',
      key,
      found: isThere ? 'other rules' : undefined,
      wanted: undefined,
      servicePort: undefined,
      cause: isThere ? 'drift' : owners.causeOf(undefined),
    };
  });
}

function elementDifferences(
  changes: readonly TableChange[],
  found: ObservedTable,
  sets: ReadonlyMap<string, NamedSet>,
  owners: Owners,
): readonly Difference[] {
  const elements = changes.flatMap((change) => change.elements);
  return [...Map.groupBy(elements, ({ set }) => set)].flatMap(([name, parts]) => {
    const set = sets.get(name);
    if (set === undefined) return [];
    const before = new Map(
      found.elements.get(name)?.map((element) => [elementIdentity(element), element]),
    );
    const wanted = new Map<string, Element | undefined>();
    for (const { remove } of parts) {
      for (const element of remove) wanted.set(elementIdentity(element), undefined);
    }
    for (const { add } of parts) {
      for (const element of add) wanted.set(elementIdentity(element), element);
    }
    return Array.from(wanted, ([identity, element]) =>
      elementDifference(set, before.get(identity), element, owners),
    ).flatMap((difference) => difference ?? []);
  });
}

function elementDifference(
  set: NamedSet,
  before: Element | undefined,
  after: Element | undefined,
  owners: Owners,
): Difference | undefined {
  const either = after ?? before;
  if (either === undefined) return undefined;
  const key = elementText(set, either);
  return {
    sign: before === undefined ? '+' : after === undefined ? '-' : '~',
    place: set.name,
    key,
    found: before && dataText(set, before),
    wanted: after && dataText(set, after),
    ...owners.of(key, either),
  };
}

function dataText({ data: type }: NamedSet, { data }: Element): string | undefined {
  if (data === undefined || type === undefined) return undefined;
  return type === 'verdict' ? data : fieldsText(type, data);
}

/** Which ServicePort an element belongs to: by the model, else by what its comment says. */
class Owners {
  readonly #names = new Map<string, string>();
  readonly #pending: ReadonlySet<string>;

  constructor(
    ports: readonly ResolvedPort[],
    found: ObservedTable,
    sets: ReadonlyMap<string, NamedSet>,
    pending: ReadonlySet<string>,
  ) {
    this.#pending = pending;
    for (const [name, elements] of found.elements) {
      const set = sets.get(name);
      for (const element of elements) {
        if (set === undefined || element.comment === undefined) continue;
        this.#names.set(frontendOf(elementText(set, element)), element.comment);
      }
    }
    for (const { port, frontends } of ports) {
      for (const { frontend } of frontends) this.#names.set(frontendKey(frontend), port.name);
      this.#names.set(port.clusterIP, port.name);
    }
  }

  causeOf(servicePort: string | undefined): Difference['cause'] {
    const service = servicePort?.replace(/:.*$/, '');
    const isPending = service === undefined ? this.#pending.size > 0 : this.#pending.has(service);
    return isPending ? 'pending' : 'drift';
  }

  of(key: string, element: Element): Pick<Difference, 'servicePort' | 'cause'> {
    const servicePort = element.comment ?? this.#names.get(frontendOf(key));
    return { servicePort, cause: this.causeOf(servicePort) };
  }
}

/** `172.30.0.1 . tcp . 80 . 2` belongs to `172.30.0.1 tcp 80`, and `tcp . 30080 . 0` to `tcp 30080`. */
function frontendOf(key: string): string {
  const fields = key.split(/ \. |-/);
  const isNodePort = /^(?:tcp|udp|sctp)$/.test(fields[0] ?? '');
  return fields.slice(0, isNodePort ? 2 : 3).join(' ');
}
