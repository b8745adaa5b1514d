import type { WeightRule } from './balancing.ts';
import type { Endpoint } from './endpoints.ts';

/** Endpoints to spread connections over, and how many shares each of them gets. */
export interface WeighedEndpoints {
  readonly endpoints: readonly Endpoint[];
  /** Side by side with the endpoints; undefined: one each. */
  readonly weights: readonly number[] | undefined;
}

/** Each share is an element of a map, for each frontend. */
const MOST_SHARES = 4096;
const KINDS = ['address', 'node', 'zone'] as const;

/** The endpoints that the rules leave in use, with the smallest whole numbers of these shares. */
export function weigh(
  endpoints: readonly Endpoint[],
  rules: readonly WeightRule[],
): WeighedEndpoints {
  if (rules.length === 0) return { endpoints, weights: undefined };
  const weightOf = weightReader(rules);
  const used = endpoints.filter((endpoint) => weightOf(endpoint) > 0);
  if (used.length === 0) return { endpoints, weights: undefined };
  const weights = reduceWeights(used.map(weightOf));
  return {
    endpoints: used,
    weights: weights.every((weight) => weight === 1) ? undefined : weights,
  };
}

function weightReader(rules: readonly WeightRule[]): (endpoint: Endpoint) => number {
  const weights = new Map(rules.map(({ kind, name, weight }) => [`${kind} ${name}`, weight]));
  return ({ target }) => {
    const names = { address: target.ip, node: target.nodeName, zone: target.zone };
    for (const kind of KINDS) {
      const weight = weights.get(`${kind} ${names[kind]}`);
      if (weight !== undefined) return weight;
    }
    return 1;
  };
}

/** The same proportions in as few shares as can be; nearly the same where that is still too many. */
function reduceWeights(weights: readonly number[]): readonly number[] {
  const divisor = weights.reduce(greatestCommonDivisor);
  const reduced = weights.map((weight) => weight / divisor);
  const sum = reduced.reduce((total, weight) => total + weight, 0);
  if (sum <= MOST_SHARES) return reduced;
  return reduced.map((weight) => Math.max(1, Math.floor((weight * MOST_SHARES) / sum)));
}

function greatestCommonDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestCommonDivisor(b, a % b);
}
