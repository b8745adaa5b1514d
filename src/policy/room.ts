/** Which policies are closed for what they come to on this node, and when they are looked at again. Pure. */
import { BUDGET, policyId } from './budget.ts';
import type { CompiledPolicy } from './compiled-policy.ts';
import { namespaceOf } from './facts.ts';
import type { Overload } from './load.ts';

/** What there is of what makes policies large. */
export interface Extent {
  readonly sets: number;
  readonly classes: number;
  /** Of roles and verdicts. */
  readonly elements: number;
}

interface Closing {
  readonly weight: number;
  readonly extent: Extent;
}

/** Below this part of what there was, or of what there may be, it is worth another look. */
const NOTICEABLY_LESS = 3 / 4;

export class Room {
  readonly #closings = new Map<string, Closing>();

  /** By policyId. */
  closed(): ReadonlySet<string> {
    return new Set(this.#closings.keys());
  }

  /** Closes those over their share, and of others the heaviest until there is room; gives whether there was one to close. */
  close({ weights, excess }: Overload, extent: Extent): boolean {
    const open = [...weights].filter(([id]) => !this.#closings.has(id));
    let left = excess;
    for (const [id, weight] of open.sort(([a, x], [b, y]) => y - x || (a < b ? -1 : 1))) {
      if (left <= 0 && weight <= BUDGET.share) break;
      this.#closings.set(id, { weight, extent });
      left -= weight;
    }
    return open.length > 0;
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

function hasRoom({ weight, extent: then }: Closing, now: Extent): boolean {
  return (
    now.sets < NOTICEABLY_LESS * then.sets ||
    now.classes < NOTICEABLY_LESS * then.classes ||
    (weight <= BUDGET.share && now.elements + weight < NOTICEABLY_LESS * BUDGET.total)
  );
}
