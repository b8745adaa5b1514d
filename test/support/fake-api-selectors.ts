import type { ApiObject, Change } from './fake-api-objects.ts';

export type Selector = (object: ApiObject) => boolean;

export interface ApiEvent {
  readonly type: string;
  readonly object: unknown;
}

/** The watch event a selector makes of a change: an object that stops matching is DELETED. */
export function eventOf(
  { version, before, after }: Change,
  isSelected: Selector,
): ApiEvent | undefined {
  const wasSeen = before !== undefined && isSelected(before);
  if (after !== undefined && isSelected(after)) {
    return { type: wasSeen ? 'MODIFIED' : 'ADDED', object: after };
  }
  if (!wasSeen) return undefined;
  // The last state that matched, with the version of the change.
  const metadata = { ...before.metadata, resourceVersion: String(version) };
  return { type: 'DELETED', object: { ...before, metadata } };
}

/**
 * Label selectors `key`, `!key`, `key=value`, `key!=value`, `key in (a, b)`, `key notin (a, b)`;
 * field selectors `path=value` and `path!=value`. As in Kubernetes, `!=` and `notin` also match
 * what lacks the key.
 */
export function parseSelectors(labels: string | null, fields: string | null): Selector {
  const byLabel = splitTerms(labels).map((term) => parseTerm(term, labelOf));
  const byField = splitTerms(fields).map((term) => parseTerm(term, fieldOf));
  return (object) => [...byLabel, ...byField].every((matches) => matches(object));
}

/** Commas within parentheses do not separate. */
function splitTerms(text: string | null): string[] {
  return (text ?? '')
    .split(/,(?![^(]*\))/)
    .map((term) => term.trim())
    .filter((term) => term !== '');
}

type Read = (object: ApiObject, key: string) => string | undefined;

function parseTerm(term: string, read: Read): Selector {
  if (term.startsWith('!')) return (object) => read(object, term.slice(1).trim()) === undefined;
  const [, listKey, word, list = ''] = /^(\S+)\s+(in|notin)\s*\((.*)\)$/.exec(term) ?? [];
  if (listKey !== undefined) {
    const values = new Set(list.split(',').map((value) => value.trim()));
    return (object) => values.has(read(object, listKey) ?? '\0') === (word === 'in');
  }
  const [, key = term, operator, value] = /^([^!=\s]+)\s*(!=|==?)\s*(.*)$/.exec(term) ?? [];
  if (operator === undefined) return (object) => read(object, key) !== undefined;
  return (object) => (read(object, key) === value) === (operator !== '!=');
}

function labelOf(object: ApiObject, key: string): string | undefined {
  return object.metadata.labels?.[key];
}

function fieldOf(object: ApiObject, path: string): string | undefined {
  let value: unknown = object;
  for (const key of path.split('.')) {
    // Only objects are entered; a test may put anything here.
    value = typeof value === 'object' && value !== null ? (value as ApiObject)[key] : undefined;
  }
  return value === undefined ? '' : String(value);
}
