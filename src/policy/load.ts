/** What policies come to by whom they tell apart: the same rules make few elements here and many there. Pure. */
import { BUDGET, policyId } from './budget.ts';
import type { Outcome, RolePart } from './role.ts';

/** What is more than there may be, in elements, and how much of all that is there each policy makes, by policyId. */
export interface Overload {
  readonly excess: number;
  readonly weights: ReadonlyMap<string, number>;
}

/** A role, and how often it is given to somebody. */
export interface UsedParts {
  readonly uses: number;
  readonly parts: readonly RolePart[];
}

/** Undefined where so many elements are not too many, of nobody. `factor`: so many times that is still to come. */
export function overloadOf(
  weights: ReadonlyMap<string, number>,
  elements: number,
  factor: number,
): Overload | undefined {
  const expected = new Map(Array.from(weights, ([id, weight]) => [id, weight * factor]));
  const isOver = [...expected.values()].some((weight) => weight > BUDGET.share);
  const excess = elements * factor - BUDGET.total;
  return isOver || excess > 0 ? { excess, weights: expected } : undefined;
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
  for (const { uses, parts } of roles) {
    const owners = new Set<string>();
    for (const { rest, exceptions } of parts) {
      for (const id of idsOf(rest)) owners.add(id);
      exceptionCount += exceptions.length;
      for (const [outcome, own] of Map.groupBy(exceptions, (each) => each.outcome)) {
        for (const id of ownersOf(outcome, rest)) {
          owners.add(id);
          add(id, own.length);
          const known = ranges.get(id) ?? new Set();
          ranges.set(id, known);
          for (const { first, last } of own) known.add((first << PORT_BITS) | last);
        }
      }
    }
    for (const id of owners) add(id, uses);
  }
  const cuts = elements - exceptionCount;
  const allRanges = [...ranges.values()].reduce((sum, { size }) => sum + size, 0);
  if (cuts > 0) for (const [id, { size }] of ranges) add(id, (cuts * size) / allRanges);
  return weights;
}

const PORT_BITS = 16;

/** Of ports that nobody but all together decide about, whoever decides about the others. */
function ownersOf(outcome: Outcome, rest: Outcome): readonly string[] {
  const ids = idsOf(outcome);
  return ids.length === 1 || rest.policies.length !== 1 ? ids : idsOf(rest);
}

function idsOf({ tier, policies }: Outcome): readonly string[] {
  return tier === undefined ? [] : policies.map((key) => policyId({ tier, key }));
}
