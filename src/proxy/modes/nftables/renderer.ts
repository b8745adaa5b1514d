import type { IPFamily } from '../../../net/ip.ts';
import { u32Bytes } from '../../../nftables/bytes.ts';
import type { Chain, Element } from '../../../nftables/model.ts';
import type { ResolvedPort } from '../../state.ts';
import { AffinityIds } from './affinity-ids.ts';
import { readAffinityId } from './affinity-rules.ts';
import type { ChangeBatch } from './change-batch.ts';
import {
  affinityIdSet,
  chainOf,
  frontendElements,
  keyedSets,
  type PlacedElement,
} from './elements.ts';
import {
  buildFragment,
  type Fragment,
  type FrontendState,
  type SharedElement,
} from './fragment.ts';
import { elementIdentity, type ObservedElements } from './observed.ts';
import { SERVICE_SETS, type SetName } from './sets.ts';
import { SharedElements } from './shared-elements.ts';
import { SlotChainUsers } from './slot-chain-users.ts';
import { type Scope, slotSet } from './slot-chains.ts';

/** Where the operations of one render call go; to be committed in this order. */
export interface RenderTarget {
  readonly now: ChangeBatch;
  /**
   * What leads to the slots. For a change of a running table the same batch as `now`; where many
   * Services are programmed at once, one for many of them: the kernel validates the whole verdict
   * map for every transaction that adds to it.
   */
  readonly verdicts: ChangeBatch;
  /**
   * Slots beyond a lowered count. A packet that read the verdict before the commit may still draw
   * such a slot after it, as the two lookups are not one.
   */
  readonly later: ChangeBatch;
}

const SCOPES: readonly Scope[] = ['everybody', 'outside'];

/**
 * Remembers what the table holds and turns the new state of a Service into the operations that get
 * it there. It counts every operation it gives as done: after a failed commit it is of no use, and
 * a new one starts from what the kernel then has.
 */
export class TableRenderer {
  readonly family: IPFamily;
  readonly #fragments = new Map<string, ReadonlyMap<string, Fragment>>();
  readonly #shared = new SharedElements();
  readonly #chains: SlotChainUsers;
  readonly #affinityIds: AffinityIds;
  #observed: ObservedElements | undefined;

  /** Starts from the elements and chains that are in the kernel. */
  constructor(family: IPFamily, observed: ObservedElements, chains: readonly string[]) {
    this.family = family;
    this.#observed = observed;
    this.#affinityIds = new AffinityIds(observedIds(observed));
    this.#chains = new SlotChainUsers(family, chains);
  }

  /** Gives the operations that bring one Service to `ports`; an empty list removes it. */
  render(service: string, ports: readonly ResolvedPort[], target: RenderTarget): void {
    const before = this.#fragments.get(service);
    const after = new Map<string, Fragment>();
    for (const resolved of ports) {
      const id = portId(resolved);
      after.set(id, this.#build(`${service} ${id}`, resolved, before?.get(id)));
    }
    for (const [id, fragment] of before ?? []) {
      if (!after.has(id) && hasAffinity(fragment)) this.#affinityIds.release(`${service} ${id}`);
    }
    this.#diffFrontends(before, after, target);
    for (const { shared } of after.values()) for (const item of shared) this.#acquire(item, target);
    for (const { shared } of before?.values() ?? []) {
      for (const item of shared) this.#release(item, target);
    }
    if (after.size === 0) this.#fragments.delete(service);
    else this.#fragments.set(service, after);
  }

  /**
   * The elements that belong to no Service, once every Service has been rendered; verdicts before
   * the slots they lead to. From here on the kernel holds what was rendered and nothing else.
   */
  takeLeftovers(): readonly (readonly [SetName, Element])[] {
    const leftovers = [...(this.#observed?.rest(SERVICE_SETS) ?? [])];
    this.#observed = undefined;
    return leftovers;
  }

  /** What was rendered for a Service, by `portId`. */
  fragmentsOf(service: string): ReadonlyMap<string, Fragment> | undefined {
    return this.#fragments.get(service);
  }

  /** What was rendered for all of them. */
  *allFragments(): Iterable<Fragment> {
    for (const fragments of this.#fragments.values()) yield* fragments.values();
  }

  /** The slot chains whose rules were written. */
  slotChains(): readonly Chain[] {
    return this.#chains.written();
  }

  /** Slot chains that no frontend goes to. */
  unusedChains(): readonly string[] {
    return this.#chains.unused();
  }

  /** Takes note that a slot chain is gone from the kernel. */
  forgetChain(name: string): void {
    this.#chains.forget(name);
  }

  #build(owner: string, resolved: ResolvedPort, before: Fragment | undefined): Fragment {
    const observed = this.#observed;
    const fragment = buildFragment(resolved, {
      slots: (kind, scope, key) => {
        const known = before?.frontends.find((state) => state.key === key && state.kind === kind);
        if (known !== undefined) return known[scope]?.slots ?? [];
        return observed?.peekSlots(slotSet(kind, scope), key) ?? [];
      },
      affinityId: (frontends) => {
        const remembered = frontends.flatMap(({ kind, key }) => {
          const data = observed?.peek(affinityIdSet(kind), key)?.data;
          return data === undefined ? [] : [readAffinityId(data)];
        });
        return this.#affinityIds.idOf(owner, remembered);
      },
    });
    if (hasAffinity(before) && !hasAffinity(fragment)) this.#affinityIds.release(owner);
    return fragment;
  }

  #diffFrontends(
    before: ReadonlyMap<string, Fragment> | undefined,
    after: ReadonlyMap<string, Fragment>,
    target: RenderTarget,
  ): void {
    const gone = new Map<string, FrontendState>();
    for (const { frontends } of before?.values() ?? []) {
      for (const frontend of frontends) gone.set(frontend.key, frontend);
    }
    for (const { frontends } of after.values()) {
      for (const frontend of frontends) {
        this.#diffFrontend(gone.get(frontend.key), frontend, target);
        gone.delete(frontend.key);
      }
    }
    const { now, later } = target;
    for (const frontend of gone.values()) {
      this.#diffFrontend(frontend, undefined, { now, verdicts: now, later });
    }
  }

  #diffFrontend(
    before: FrontendState | undefined,
    after: FrontendState | undefined,
    target: RenderTarget,
  ): void {
    for (const scope of SCOPES) {
      this.#diffSlots(before, after, scope, target);
      const [left, entered] = [before && chainOf(before, scope), after && chainOf(after, scope)];
      if (entered !== undefined) this.#chains.add(entered, target.now);
      if (left !== undefined) this.#chains.remove(left);
    }
    const known =
      before === undefined ? this.#observedElements(after) : frontendElements(this.family, before);
    const wanted = after === undefined ? [] : frontendElements(this.family, after);
    this.#diffElements(known, wanted, target.verdicts);
  }

  /** What the kernel has of a frontend that is rendered for the first time. */
  #observedElements(frontend: FrontendState | undefined): readonly PlacedElement[] {
    if (this.#observed === undefined || frontend === undefined) return [];
    const { kind, key } = frontend;
    const placed: PlacedElement[] = [];
    for (const set of keyedSets(kind)) {
      const element = this.#observed.take(set, { key });
      if (element !== undefined) placed.push({ set, element });
    }
    if (kind === 'nodePort') return placed;
    // Those not wanted go with what comes: the kernel refuses ranges that overlap.
    for (const element of this.#observed.takeSourceRanges(key)) {
      placed.push({ set: 'source-ranges', element });
    }
    return placed;
  }

  #diffSlots(
    before: FrontendState | undefined,
    after: FrontendState | undefined,
    scope: Scope,
    { now, later }: RenderTarget,
  ): void {
    const frontend = after ?? before;
    if (frontend === undefined) return;
    const had = before?.[scope]?.slots ?? [];
    const slots = after?.[scope]?.slots ?? [];
    const set = slotSet(frontend.kind, scope);
    for (let slot = 0; slot < Math.max(had.length, slots.length); slot++) {
      const key = frontend.key + u32Bytes(slot);
      const [old, data] = [had[slot], slots[slot]];
      const batch = data === undefined && slots.length > 0 ? later : now;
      this.#put(
        batch,
        set,
        old === undefined ? undefined : { key, data: old },
        data === undefined ? undefined : { key, data },
      );
    }
  }

  #diffElements(
    before: readonly PlacedElement[],
    after: readonly PlacedElement[],
    batch: ChangeBatch,
  ): void {
    const gone = new Map(before.map((placed) => [placedIdentity(placed), placed]));
    for (const placed of after) {
      const id = gone.size === 0 ? '' : placedIdentity(placed);
      this.#put(batch, placed.set, gone.get(id)?.element, placed.element);
      gone.delete(id);
    }
    for (const { set, element } of gone.values()) this.#put(batch, set, element, undefined);
  }

  /** Brings one element from what it is (undefined: from what was observed) to `after`. */
  #put(
    batch: ChangeBatch,
    set: SetName,
    before: Element | undefined,
    after: Element | undefined,
  ): void {
    const known = before ?? (after && this.#observed?.take(set, after));
    if (known?.data === after?.data && known?.comment === after?.comment && known && after) return;
    if (known !== undefined) batch.remove(set, known);
    if (after !== undefined) batch.add(set, after);
  }

  #acquire(item: SharedElement, { now, verdicts }: RenderTarget): void {
    const { set, key } = item;
    if (!this.#shared.add(item) || this.#observed?.take(set, { key }) !== undefined) return;
    // A clusterIP in the set before its verdicts are there would be refused.
    (set === 'cluster-ips' ? verdicts : now).add(set, { key });
  }

  #release(item: SharedElement, { now }: RenderTarget): void {
    if (this.#shared.remove(item)) now.remove(item.set, { key: item.key });
  }
}

/** What tells the ports of a Service apart. */
export function portId({ port }: ResolvedPort): string {
  return `${port.protocol} ${port.portName}`;
}

function hasAffinity(fragment: Fragment | undefined): boolean {
  return fragment?.frontends.some(({ affinityId }) => affinityId !== undefined) ?? false;
}

function placedIdentity({ set, element }: PlacedElement): string {
  return `${set} ${elementIdentity(element)}`;
}

function* observedIds(observed: ObservedElements): Iterable<number> {
  for (const kind of ['address', 'nodePort'] as const) {
    for (const { data } of observed.values(affinityIdSet(kind))) {
      if (data !== undefined) yield readAffinityId(data);
    }
  }
}
