/** What policies come to by whom they tell apart: the same rules make few elements here and many there. Pure. */
import { BUDGET, policyId } from './budget.ts';
import type { Outcome, Role, RolePart } from './role.ts';

/** What is more than there may be, in elements, and how much of all that is there each policy makes, by policyId. */
export interface Overload {
  readonly excess: number;
  /** Of what is there already, so much is reckoned with. */
  readonly factor: number;
  readonly weights: ReadonlyMap<string, number>;
}

/** A role, and how often it is given to somebody for whom a policy tells him from others, by policyId. */
export interface UsedParts {
  readonly tellers: ReadonlyMap<string, number>;
  readonly parts: readonly RolePart[];
}

/** Undefined where so many elements are not too many, of nobody. `factor`: so many times that is still to come. */
export function overloadOf(
  weights: ReadonlyMap<string, number>,
  elements: number,
  factor: number,
): Overload | undefined {
  const expected = new Map(Array.from(weights, ([id, weight]) => [id, weight * factor]));
  const isOver = [...expected].some(([id, weight]) => hasShare(id) && weight > BUDGET.share);
  const excess = elements * factor - BUDGET.total;
  return isOver || excess > 0 ? { excess, factor, weights: expected } : undefined;
}

/** An administrator's policy, which is about everybody, may weigh whatever there is room for. */
export function hasShare(id: string): boolean {
  return id.startsWith('NetworkPolicy ');
}

/**
 * By policyId: elements of roles, and of verdicts. `elements` are all of the verdicts that ports make: more than
 * there are exceptions where these are cut, in which all take part who name ports.
 */
export function weightsOf(
  roles: Iterable<UsedParts>,
  elements: number,
): ReadonlyMap<string, number> {
  const weights = new Map<string, number>();
  const ranges = new Map<string, Set<number>>();
  const add = (id: string, by: number) => weights.set(id, (weights.get(id) ?? 0) + by);
  let exceptionCount = 0;
  for (const { tellers, parts } of roles) {
    for (const [id, uses] of tellers) add(id, uses);
    for (const { rest, exceptions } of parts) {
      exceptionCount += exceptions.length;
      for (const [outcome, own] of Map.groupBy(exceptions, (each) => each.outcome)) {
        const owners = ownersOf(outcome, rest);
        for (const id of owners) {
          const known = ranges.get(id) ?? new Set();
          ranges.set(id, known);
          for (const { first, last } of own) known.add((first << PORT_BITS) | last);
        }
        // Ports of whoever says the same to all are there again for those who tell apart.
        const isTold = owners.some((id) => tellers.has(id));
        for (const id of isTold ? owners : tellers.keys()) add(id, own.length);
      }
    }
  }
  const cuts = elements - exceptionCount;
  const allRanges = [...ranges.values()].reduce((sum, { size }) => sum + size, 0);
  if (cuts > 0) for (const [id, { size }] of ranges) add(id, (cuts * size) / allRanges);
  return weights;
}

const PORT_BITS = 16;

/** Of whose policies a role differs from the one that it would be otherwise; all that say something of it where that is none. */
export function tellersOf(role: Role, base: Role | undefined): ReadonlySet<string> {
  const told = new Set<Outcome>();
  for (const [i, segments] of role.segments.entries()) {
    const others = base?.segments[i] ?? [];
    let at = 0;
    for (const { last, outcome } of segments) {
      if (base === undefined) told.add(outcome);
      for (let end = -1; end < last; ) {
        const other = others[at] ?? { last, outcome };
        if (other.outcome.text !== outcome.text) told.add(firstOf(outcome, other.outcome));
        end = other.last;
        if (end <= last) at++;
      }
    }
  }
  return new Set([...told].flatMap(idsOf));
}

const TIERS = ['Admin', 'NetworkPolicy', 'Baseline', undefined] as const;

/** Who passes on to a later tier is of the tier whose others do not. */
function firstOf(one: Outcome, other: Outcome): Outcome {
  return TIERS.indexOf(other.tier) < TIERS.indexOf(one.tier) ? other : one;
}

/** Of ports that nobody but all together decide about, whoever decides about the others. */
function ownersOf(outcome: Outcome, rest: Outcome): readonly string[] {
  const ids = idsOf(outcome);
  return ids.length === 1 || rest.policies.length !== 1 ? ids : idsOf(rest);
}

function idsOf({ tier, policies }: Outcome): readonly string[] {
  return tier === undefined ? [] : policies.map((key) => policyId({ tier, key }));
}

/** Counts for each role who tells apart those who have it. */
export class Tellers {
  readonly #uses = new Map<string, Map<string, number>>();
  /** By the texts of a role and of what would be otherwise. */
  readonly #known = new Map<string, Map<string | undefined, ReadonlySet<string>>>();

  of(role: Role): ReadonlyMap<string, number> {
    return this.#uses.get(role.text) ?? new Map();
  }

  add(role: Role, base: Role | undefined, uses: number): void {
    const known = this.#known.get(role.text) ?? new Map<string | undefined, ReadonlySet<string>>();
    this.#known.set(role.text, known);
    const tellers = known.get(base?.text) ?? tellersOf(role, base);
    known.set(base?.text, tellers);
    const sums = this.#uses.get(role.text) ?? new Map<string, number>();
    this.#uses.set(role.text, sums);
    for (const id of tellers) sums.set(id, (sums.get(id) ?? 0) + uses);
  }
}
