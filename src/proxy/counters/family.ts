import type { IPFamily } from '../../net/ip.ts';
import type { NetlinkReply } from '../../netlink/message.ts';
import { readU32Bytes } from '../../nftables/bytes.ts';
import { readDeletedElements } from '../../nftables/deleted-elements.ts';
import type { NamedSet, ObservedElement } from '../../nftables/model.ts';
import { errorCode } from '../../util/errors.ts';
import { inTurns } from '../../util/turns.ts';
import { readAffinityId } from '../modes/nftables/affinity-rules.ts';
import { proxyTable } from '../modes/nftables/layout.ts';
import { type SetName, tableSets } from '../modes/nftables/sets.ts';
import { type NamedPort, PortNames } from './names.ts';
import {
  frontendOfSlot,
  kindOfSeries,
  protocolOfFrontend,
  type Reason,
  refusalReason,
  SET_ROLES,
  type Series,
  type SeriesKind,
  type SetRole,
  seriesKey,
  serviceOfSeries,
  targetOfAffine,
} from './series.ts';
import { type Count, CounterTotals } from './totals.ts';

/** Lists a set of the family's table; see listElements. */
export type ListSet = (
  family: IPFamily,
  set: NamedSet,
  onPart: (elements: readonly ObservedElement[]) => void,
) => Promise<boolean>;

/**
 * Pods come and go while their Service stays, so an endpoint without elements is forgotten: after
 * so many readings, as one that was broken off may have missed it.
 */
const MOST_MISSES = 5;

interface CountedSet {
  readonly name: SetName;
  readonly role: SetRole;
  readonly definition: NamedSet;
}

/** The counters of one family's table. */
export class FamilyCounters {
  readonly #family: IPFamily;
  readonly #hasEndpoints: boolean;
  readonly #list: ListSet;
  /** Those with names in front of those without, as they are read in this order. */
  readonly #sets: ReadonlyMap<string, CountedSet>;
  readonly #totals = new CounterTotals();
  readonly #names = new PortNames();
  /** The Services told of since the last commit, and whether they still exist. */
  readonly #told = new Map<string, boolean>();
  /** Services whose series may go once the last counts of their elements are in. */
  readonly #gone = new Set<string>();

  constructor(family: IPFamily, hasEndpoints: boolean, list: ListSet) {
    this.#family = family;
    this.#hasEndpoints = hasEndpoints;
    this.#list = list;
    this.#sets = countedSets(family, hasEndpoints);
  }

  /** Totals above 0 by series key. */
  get totals(): ReadonlyMap<string, number> {
    return this.#totals.totals;
  }

  programming(service: string, exists: boolean): void {
    this.#told.set(service, exists);
  }

  committed(isFull: boolean): void {
    if (isFull) {
      for (const series of this.totals.keys()) {
        const service = serviceOfSeries(series);
        if (!this.#told.has(service)) this.#gone.add(service);
      }
    }
    for (const [service, exists] of this.#told) {
      if (exists) this.#gone.delete(service);
      else this.#gone.add(service);
    }
    this.#told.clear();
  }

  /** Takes the last counts of elements that were deleted. */
  onRulesetMessage(message: NetlinkReply): void {
    const table = proxyTable(this.#family);
    const deleted = readDeletedElements(message, (family, name, set) =>
      family === table.family && name === table.name ? this.#sets.get(set)?.definition : undefined,
    );
    const set = deleted && this.#sets.get(deleted.set);
    if (deleted === undefined || set === undefined) return;
    for (const element of deleted.elements) {
      const count = this.#count(set, element);
      if (count !== undefined) this.#totals.retire(count);
    }
  }

  /** Reads all counters there are. */
  async read(): Promise<void> {
    const gone = new Set(this.#gone);
    this.#names.begin();
    this.#totals.begin();
    let isComplete: boolean;
    try {
      isComplete = await this.#readSets();
    } finally {
      this.#totals.end();
    }
    if (isComplete) {
      await inTurns(this.#names.complete(), () => {});
      await inTurns(this.#totals.prune(), () => {});
    }
    const mostMisses = isComplete ? 0 : MOST_MISSES;
    const isGone = (series: string, misses: number) =>
      gone.has(serviceOfSeries(series)) ||
      (kindOfSeries(series) === 'endpoint' && misses > mostMisses);
    await inTurns(this.#totals.forget(isGone), () => {});
    for (const service of gone) this.#gone.delete(service);
  }

  async #readSets(): Promise<boolean> {
    let isComplete = true;
    for (const set of this.#sets.values()) isComplete = (await this.#readSet(set)) && isComplete;
    return isComplete;
  }

  async #readSet(set: CountedSet): Promise<boolean> {
    try {
      return await this.#list(this.#family, set.definition, (elements) => {
        for (const element of elements) this.#observe(set, element);
      });
    } catch (thrown) {
      // Before the first sync, and while the table is made anew.
      if (errorCode(thrown) === 'ENOENT') return false;
      throw thrown;
    }
  }

  #observe(set: CountedSet, element: ObservedElement): void {
    const { key, data = '', comment } = element;
    if (this.#hasEndpoints && set.role === 'frontend' && comment !== undefined) {
      this.#names.addFrontend(key, comment, protocolOfFrontend(key));
    }
    if (set.role === 'affinityId') this.#names.addAffinityId(readAffinityId(data), key);
    const count = this.#count(set, element);
    if (count !== undefined) this.#totals.observe(count);
  }

  #count(set: CountedSet, element: ObservedElement): Count | undefined {
    const { key, data = '', counter } = element;
    const series = this.#seriesOf(set, element);
    if (counter === undefined || series === undefined) return undefined;
    const packets = Number(counter.packets);
    return { id: `${set.name} ${key}`, data, packets, series: seriesKey(series) };
  }

  #seriesOf({ name, role }: CountedSet, element: ObservedElement): Series | undefined {
    const { key, data = '', comment } = element;
    switch (role) {
      case 'frontend':
        return named({ kind: 'service', port: comment, bytes: key });
      case 'refusal':
        return named({ kind: 'refused', port: comment, bytes: key }, refusalReason(name, data));
      case 'affinityId':
        return undefined;
      case 'slot':
        return endpointSeries(this.#names.ofFrontend(frontendOfSlot(key)), data);
      case 'affine':
        return endpointSeries(this.#names.ofAffinityId(readU32Bytes(key, 0)), targetOfAffine(key));
    }
  }
}

/** Elements without a comment are not of our making. */
function named(
  series: { readonly kind: SeriesKind; readonly port: string | undefined; readonly bytes: string },
  reason?: Reason,
): Series | undefined {
  const { kind, port, bytes } = series;
  return port === undefined ? undefined : { kind, port, reason, bytes };
}

function endpointSeries(port: NamedPort | undefined, target: string): Series | undefined {
  if (port === undefined) return undefined;
  return { kind: 'endpoint', port: port.name, reason: undefined, bytes: port.protocol + target };
}

function countedSets(family: IPFamily, hasEndpoints: boolean): ReadonlyMap<string, CountedSet> {
  const options = { family, acceptsOnAllAddresses: true, countsEndpoints: hasEndpoints };
  const definitions = new Map(tableSets(options).map((set) => [set.name, set]));
  const sets = new Map<string, CountedSet>();
  for (const [name, role] of SET_ROLES) {
    const definition = definitions.get(name);
    const isForEndpoints = role !== 'frontend' && role !== 'refusal';
    if (definition === undefined || (isForEndpoints && !hasEndpoints)) continue;
    sets.set(name, { name, role, definition });
  }
  return sets;
}
