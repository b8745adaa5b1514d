/** Conditions as rules can express them: any of some lists of statements that all hold. */
import type { Statement } from '../../nftables/statements.ts';
import { ConfigError } from '../../util/errors.ts';

/** Holds when all statements of one of its lists do. */
export type Condition = readonly (readonly Statement[])[];

/** Each becomes two rules. */
const MAX_ALTERNATIVES = 64;
/** A rule has at most 128 expressions (NFT_RULE_MAXEXPRS); a statement here takes up to three. */
const MAX_STATEMENTS = 36;

/** Always holds. */
export const NO_CONDITION: Condition = [[]];

export function eitherOf(conditions: readonly Condition[]): Condition {
  return conditions.flat();
}

/** Both hold. Throws ConfigError for `key` when that takes more rules or longer ones than there may be. */
export function together(a: Condition, b: Condition, key: string): Condition {
  const both = a.flatMap((left) => b.map((right) => [...left, ...right]));
  if (both.length <= MAX_ALTERNATIVES && both.every(({ length }) => length <= MAX_STATEMENTS)) {
    return both;
  }
  throw new ConfigError(key, 'its sets and ranges together are too many for rules of nftables');
}
