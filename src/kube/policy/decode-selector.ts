import { FieldError, type ObjectReader } from '../fields.ts';
import type { LabelRequirement, LabelSelector } from './types.ts';

const OPERATORS = ['In', 'NotIn', 'Exists', 'DoesNotExist'] as const;

/** Selects everything, as an empty selector does. */
const EVERYTHING: LabelSelector = { matchLabels: {}, matchExpressions: [] };

/** A selector that has to be there; absent counts as empty, as in the API's own defaulting. */
export function selectorOf(owner: ObjectReader, key: string): LabelSelector {
  return optionalSelector(owner, key) ?? EVERYTHING;
}

/** Reads meta/v1 LabelSelector; throws FieldError. */
export function optionalSelector(owner: ObjectReader, key: string): LabelSelector | undefined {
  const selector = owner.optionalObject(key);
  if (selector === undefined) return undefined;
  return {
    matchLabels: selector.optionalStringMap('matchLabels') ?? {},
    matchExpressions: (selector.optionalObjects('matchExpressions') ?? []).map(decodeRequirement),
  };
}

/** The API server refuses lists that do not go with their operator; so do files. */
function decodeRequirement(requirement: ObjectReader): LabelRequirement {
  const key = requirement.string('key');
  const operator = requirement.optionalClosedChoice('operator', OPERATORS);
  if (operator === undefined) throw new FieldError([...requirement.path, 'operator'], 'is missing');
  const values = requirement.optionalStrings('values') ?? [];
  const wantsValues = operator === 'In' || operator === 'NotIn';
  if (wantsValues !== values.length > 0) {
    const rule = wantsValues ? 'must have at least one value' : 'must be empty';
    throw new FieldError([...requirement.path, 'values'], `${rule} with operator ${operator}`);
  }
  return { key, operator, values };
}
