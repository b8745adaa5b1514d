import type { IPFamily } from '../../net/ip.ts';
import { u32Bytes } from '../../nftables/bytes.ts';
import type { ResolvedPort } from '../state.ts';
import type { ChangeBatch } from './change-batch.ts';
import {
  buildFragment,
  FRONTEND_SETS,
  type Fragment,
  type FrontendElements,
  type FrontendKind,
  type SharedElement,
  slotVerdict,
} from './fragment.ts';
import { isSlotChain, type SetName, slotChain, slotChainName } from './layout.ts';
import type { ObservedElements } from './observed.ts';

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

const SERVICE_SETS: readonly SetName[] = [
  'no-endpoint-services',
  'no-endpoint-nodeports',
  'service-ips',
  'service-nodeports',
  'cluster-ips',
  'masqueraded-nodeports',
  'hairpins',
  'endpoints',
  'nodeport-endpoints',
];

/**
 * Remembers what the table holds and turns the new state of a Service into the operations that get
 * it there. It counts every operation it gives as done: after a failed commit it is of no use, and
 * a new one starts from what the kernel then has.
 */
export class TableRenderer {
  readonly #family: IPFamily;
  readonly #fragments = new Map<string, ReadonlyMap<string, Fragment>>();
  readonly #shared = new Map<string, number>();
  /** Number of frontends that go to each slot chain in the kernel. */
  readonly #chains = new Map<string, number>();
  /** Slot chains whose rules are known to be right. */
  readonly #writtenChains = new Set<string>();
  #observed: ObservedElements | undefined;

  /** Starts from the elements and chains that are in the kernel. */
  constructor(family: IPFamily, observed: ObservedElements, chains: readonly string[]) {
    this.#family = family;
    this.#observed = observed;
    for (const name of chains) if (isSlotChain(name)) this.#chains.set(name, 0);
  }

  /** Gives the operations that bring one Service to `ports`; an empty list removes it. */
  render(service: string, ports: readonly ResolvedPort[], target: RenderTarget): void {
    const before = this.#fragments.get(service);
    const after = new Map<string, Fragment>();
    for (const resolved of ports) {
      const id = `${resolved.port.protocol} ${resolved.port.portName}`;
      after.set(id, this.#build(resolved, before?.get(id)));
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
  takeLeftovers(): readonly { readonly set: SetName; readonly key: string }[] {
    const leftovers = [...(this.#observed?.rest(SERVICE_SETS) ?? [])];
    this.#observed = undefined;
    return leftovers;
  }

  /** Slot chains that no frontend goes to. */
  unusedChains(): readonly string[] {
    return [...this.#chains].flatMap(([name, users]) => (users === 0 ? [name] : []));
  }

  /** Takes note that a slot chain is gone from the kernel. */
  forgetChain(name: string): void {
    this.#chains.delete(name);
    this.#writtenChains.delete(name);
  }

  #build(resolved: ResolvedPort, before: Fragment | undefined): Fragment {
    return buildFragment(resolved, (kind, key) => {
      const known = before?.frontends.find((frontend) => isSame(frontend, { kind, key }));
      return known?.slots ?? this.#observed?.peekSlots(FRONTEND_SETS[kind].slots, key) ?? [];
    });
  }

  #diffFrontends(
    before: ReadonlyMap<string, Fragment> | undefined,
    after: ReadonlyMap<string, Fragment>,
    target: RenderTarget,
  ): void {
    const gone = new Map<string, FrontendElements>();
    for (const { frontends } of before?.values() ?? []) {
      for (const frontend of frontends) gone.set(frontend.key, frontend);
    }
    for (const { frontends } of after.values()) {
      for (const frontend of frontends) {
        this.#diffFrontend(gone.get(frontend.key), frontend, target);
        gone.delete(frontend.key);
      }
    }
    for (const frontend of gone.values()) this.#removeFrontend(frontend, target);
  }

  #diffFrontend(
    before: FrontendElements | undefined,
    after: FrontendElements,
    { now, verdicts, later }: RenderTarget,
  ): void {
    const sets = FRONTEND_SETS[after.kind];
    const { key, slots } = after;
    const count = Math.max(slots.length, before?.slots.length ?? 0);
    for (let slot = 0; slot < count; slot++) {
      const data = slots[slot];
      const batch = data === undefined && slots.length > 0 ? later : now;
      this.#put(batch, sets.slots, key + u32Bytes(slot), before?.slots[slot], data);
    }
    const change = [before && slotVerdict(before), slotVerdict(after)] as const;
    this.#useChain(after.kind, slots.length, now);
    if (before !== undefined) this.#unuseChain(before);
    const comments = [before?.comment, after.comment] as const;
    this.#put(verdicts, sets.verdicts, key, ...change, comments);
    this.#put(verdicts, sets.refusals, key, before?.refusal, after.refusal, comments);
  }

  #removeFrontend(frontend: FrontendElements, { now }: RenderTarget): void {
    const { verdicts, refusals, slots } = FRONTEND_SETS[frontend.kind];
    this.#put(now, verdicts, frontend.key, slotVerdict(frontend), undefined);
    this.#put(now, refusals, frontend.key, frontend.refusal, undefined);
    frontend.slots.forEach((data, slot) => {
      this.#put(now, slots, frontend.key + u32Bytes(slot), data, undefined);
    });
    this.#unuseChain(frontend);
  }

  /** Brings one element from its known (or observed) data to `after`; undefined means absent. */
  #put(
    batch: ChangeBatch,
    set: SetName,
    key: string,
    before: string | undefined,
    after: string | undefined,
    [commentBefore, comment]: readonly [string | undefined, string | undefined] = [
      undefined,
      undefined,
    ],
  ): void {
    const observed = before === undefined ? this.#observed?.take(set, key) : undefined;
    const data = before ?? observed?.data;
    if (data === undefined && after === undefined) return;
    const knownComment = before === undefined ? observed?.comment : commentBefore;
    if (data === after && knownComment === comment) return;
    if (data !== undefined) batch.remove(set, key);
    if (after === undefined) return;
    batch.add(set, comment === undefined ? { key, data: after } : { key, data: after, comment });
  }

  #useChain(kind: FrontendKind, count: number, batch: ChangeBatch): void {
    if (count === 0) return;
    const name = slotChainName(kind, count);
    if (!this.#writtenChains.has(name)) batch.putChain(slotChain(this.#family, kind, count));
    this.#writtenChains.add(name);
    this.#chains.set(name, (this.#chains.get(name) ?? 0) + 1);
  }

  #unuseChain({ kind, slots }: FrontendElements): void {
    if (slots.length === 0) return;
    const name = slotChainName(kind, slots.length);
    this.#chains.set(name, (this.#chains.get(name) ?? 1) - 1);
  }

  #acquire({ set, key }: SharedElement, { now, verdicts }: RenderTarget): void {
    const id = `${set} ${key}`;
    const users = this.#shared.get(id) ?? 0;
    this.#shared.set(id, users + 1);
    if (users > 0) return;
    if (this.#observed?.take(set, key) !== undefined) return;
    // A clusterIP in the set before its verdicts are there would be refused.
    (set === 'cluster-ips' ? verdicts : now).add(set, { key });
  }

  #release({ set, key }: SharedElement, { now }: RenderTarget): void {
    const id = `${set} ${key}`;
    const users = this.#shared.get(id) ?? 0;
    if (users > 1) this.#shared.set(id, users - 1);
    else this.#shared.delete(id);
    if (users === 1) now.remove(set, key);
  }
}

function isSame(
  frontend: FrontendElements,
  other: { readonly kind: FrontendKind; readonly key: string },
): boolean {
  return frontend.key === other.key && frontend.kind === other.kind;
}
