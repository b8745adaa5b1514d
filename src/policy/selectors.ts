import type { LabelRequirement, LabelSelector, Labels } from '../kube/policy/types.ts';

export type MatchesLabels = (labels: Labels) => boolean;

/** A selector as a predicate; requirements are combined by "and" (meta/v1 LabelSelector). */
export function labelMatcher({ matchLabels, matchExpressions }: LabelSelector): MatchesLabels {
  const wanted = Object.entries(matchLabels);
  const required = matchExpressions.map((each) => ({ ...each, values: new Set(each.values) }));
  return (labels) =>
    wanted.every(([key, value]) => labelValue(labels, key) === value) &&
    required.every((requirement) => isMet(requirement, labels));
}

/** A text that selectors of the same content share. */
export function selectorKey({ matchLabels, matchExpressions }: LabelSelector): string {
  const labels = Object.entries(matchLabels).map(([key, value]) => [key, 'In', value]);
  const expressions = matchExpressions.map(({ key, operator, values }) => [
    key,
    operator,
    ...new Set(values.toSorted()),
  ]);
  const texts = [...labels, ...expressions].map((each) => JSON.stringify(each));
  return `{${[...new Set(texts)].toSorted().join()}}`;
}

type Required = Omit<LabelRequirement, 'values'> & { readonly values: ReadonlySet<string> };

/** NotIn holds for objects that lack the label, as for the API server. */
function isMet({ key, operator, values }: Required, labels: Labels): boolean {
  const value = labelValue(labels, key);
  switch (operator) {
    case 'In':
      return value !== undefined && values.has(value);
    case 'NotIn':
      return value === undefined || !values.has(value);
    case 'Exists':
      return value !== undefined;
    case 'DoesNotExist':
      return value === undefined;
  }
}

/** Own labels only: a label may be called `constructor`. */
function labelValue(labels: Labels, key: string): string | undefined {
  return Object.hasOwn(labels, key) ? labels[key] : undefined;
}
