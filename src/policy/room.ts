/** Which policies are closed for what they come to on this node, and when they are looked at again. Pure. */
import { BUDGET, policyId } from './budget.ts';
import type { CompiledPolicy } from './compiled-policy.ts';
import { namespaceOf } from './facts.ts';
import { hasShare, type Overload } from './load.ts';

/** What there is of what makes policies large. */
export interface Extent {
  readonly pods: number;
  readonly sets: number;
  readonly classes: number;
  /** Of addresses and networks, by what the policies that are not closed tell apart. */
  readonly identities: number;
  /** Of roles and verdicts. */
  readonly elements: number;
}

interface Closing {
  readonly weight: number;
  readonly extent: Extent;
  /** What others make, once it is settled without it. */
  readonly others?: Extent;
}

/** Below this part of what there was, or of what there may be, it is worth another look. */
const NOTICEABLY_LESS = 3 / 4;

export class Room {
  readonly #closings = new Map<string, Closing>();

  /** By policyId. */
  closed(): ReadonlySet<string> {
    return new Set(this.#closings.keys());
  }

  /**
   * Closes those over their share, and where there are none the heaviest until there is room; gives whether it has
   * closed one. What is still too much is for the next time: others may weigh less without these. So nobody's
   * NetworkPolicy closes an administrator's policy that is about the same pods. `isEach`: where that would be none,
   * each that weighs anything.
   */
  close(overload: Overload, extent: Extent, isEach: boolean): boolean {
    const open = [...overload.weights].filter(([id]) => !this.#closings.has(id));
    const heavy = tooHeavy(open, overload);
    const closing = heavy.length === 0 && isEach ? open.filter(([, weight]) => weight > 0) : heavy;
    for (const [id, weight] of closing) this.#closings.set(id, { weight, extent });
    return closing.length > 0;
  }

  /** What is closed is so for now. */
  settled(others: Extent): void {
    for (const [id, closing] of this.#closings) {
      if (closing.others === undefined) this.#closings.set(id, { ...closing, others });
    }
  }

  /**
   * Looks at those again that have changed or are gone, or where there is less than there was. Whatever is in the
   * namespace of a change as well, as they may be about the same pods; no more than one share of it each time.
   * Gives whether there is one.
   */
  open(touched: readonly Pick<CompiledPolicy, 'tier' | 'key'>[], extent: Extent): boolean {
    const before = this.#closings.size;
    if (before === 0) return false;
    for (const policy of touched) this.#closings.delete(policyId(policy));
    const isForAll = touched.some(({ tier }) => tier !== 'NetworkPolicy');
    const namespaces = new Set(touched.map(({ key }) => `NetworkPolicy ${namespaceOf(key)}`));
    let sum = 0;
    const cheapest = [...this.#closings].sort(([, a], [, b]) => a.weight - b.weight);
    for (const [id, closing] of cheapest) {
      const isNear = isForAll || namespaces.has(namespaceOf(id));
      if (!isNear && !hasRoom(closing, extent)) continue;
      sum += closing.weight;
      if (sum > closing.weight && sum > BUDGET.share) break;
      this.#closings.delete(id);
    }
    return this.#closings.size < before;
  }
}

type Weighed = readonly [id: string, weight: number];

function tooHeavy(open: readonly Weighed[], { excess, factor }: Overload): readonly Weighed[] {
  const own = open.filter(([id]) => hasShare(id));
  // By what is there: what is still to come is somebody's alone, and nobody knows whose.
  const over = own.filter(([, weight]) => weight / factor > BUDGET.share);
  if (over.length > 0) return over;
  const sum = own.reduce((all, [, weight]) => all + weight, 0);
  const candidates = sum >= excess || own.length === open.length ? own : without(open, own);
  let left = excess;
  const heaviest = candidates.toSorted(([a, x], [b, y]) => y - x || (a < b ? -1 : 1));
  return heaviest.filter(([, weight]) => {
    const isTooMuch = left > 0;
    left -= weight;
    return isTooMuch;
  });
}

function without(all: readonly Weighed[], some: readonly Weighed[]): readonly Weighed[] {
  return all.filter((each) => !some.includes(each));
}

function hasRoom({ weight, extent: then, others }: Closing, now: Extent): boolean {
  return (
    now.pods < NOTICEABLY_LESS * then.pods ||
    now.sets < NOTICEABLY_LESS * (others?.sets ?? 0) ||
    now.classes < NOTICEABLY_LESS * then.classes ||
    now.identities < NOTICEABLY_LESS * (others?.identities ?? 0) ||
    (weight <= BUDGET.share && now.elements + weight < NOTICEABLY_LESS * BUDGET.total)
  );
}
