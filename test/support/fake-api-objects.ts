/** An object as the fake API server keeps it: any JSON with metadata. */
export interface ApiObject {
  readonly apiVersion?: string;
  readonly kind?: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly resourceVersion?: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly [key: string]: unknown;
  };
  readonly [key: string]: unknown;
}

export interface Change {
  readonly version: number;
  readonly plural: string;
  readonly before: ApiObject | undefined;
  readonly after: ApiObject | undefined;
}

export type Selector = (object: ApiObject) => boolean;

/** The objects and their history, with one version counter for everything, as etcd has. */
export class ApiObjects {
  readonly #objects = new Map<string, Map<string, ApiObject>>();
  #changes: Change[] = [];
  #version = 1000;
  /** Watches and continue tokens from before this version are refused. */
  oldestVersion = 0;

  get version(): number {
    return this.#version;
  }

  put(plural: string, object: ApiObject): Change {
    const version = ++this.#version;
    const metadata = { ...object.metadata, resourceVersion: String(version) };
    const after = { ...object, metadata };
    const ofKind = this.#ofKind(plural);
    const before = ofKind.get(keyOf(object));
    ofKind.set(keyOf(object), after);
    return this.#record({ version, plural, before, after });
  }

  delete(plural: string, key: string): Change {
    const before = this.#ofKind(plural).get(key);
    if (before === undefined) throw new Error(`delete ${plural} ${key}: not there`);
    this.#ofKind(plural).delete(key);
    return this.#record({ version: ++this.#version, plural, before, after: undefined });
  }

  list(plural: string): ApiObject[] {
    const entries = [...this.#ofKind(plural)].sort(([a], [b]) => (a < b ? -1 : 1));
    return entries.map(([, object]) => object);
  }

  changesAfter(version: number): readonly Change[] {
    return this.#changes.filter((change) => change.version > version);
  }

  /** Moves the counter on, as changes to other kinds do. */
  advance(): void {
    this.#version += 10;
  }

  /** Forgets history, as compaction does. */
  compact(): void {
    this.advance();
    this.oldestVersion = this.#version;
    this.#changes = [];
  }

  #ofKind(plural: string): Map<string, ApiObject> {
    const known = this.#objects.get(plural) ?? new Map<string, ApiObject>();
    this.#objects.set(plural, known);
    return known;
  }

  #record(change: Change): Change {
    this.#changes.push(change);
    return change;
  }
}

/** `namespace/name`, or the name alone. */
export function keyOf({ metadata: { namespace, name } }: ApiObject): string {
  return namespace === undefined ? name : `${namespace}/${name}`;
}

/** The watch event a selector makes of a change: an object that stops matching is DELETED. */
export function eventOf(
  { version, before, after }: Change,
  isSelected: Selector,
): { type: string; object: ApiObject } | undefined {
  const wasSeen = before !== undefined && isSelected(before);
  if (after !== undefined && isSelected(after)) {
    return { type: wasSeen ? 'MODIFIED' : 'ADDED', object: after };
  }
  if (!wasSeen) return undefined;
  const metadata = { ...before.metadata, resourceVersion: String(version) };
  return { type: 'DELETED', object: { ...before, metadata } };
}

/** Label selectors `!key`, `key`, `key=value`, `key!=value`; field selectors the last two. */
export function parseSelectors(labels: string | null, fields: string | null): Selector {
  const byLabel = splitTerms(labels).map((term) => parseTerm(term, labelOf));
  const byField = splitTerms(fields).map((term) => parseTerm(term, fieldOf));
  return (object) => [...byLabel, ...byField].every((matches) => matches(object));
}

function splitTerms(text: string | null): string[] {
  return text === null || text === '' ? [] : text.split(',');
}

function parseTerm(
  term: string,
  read: (object: ApiObject, key: string) => string | undefined,
): Selector {
  if (term.startsWith('!')) return (object) => read(object, term.slice(1)) === undefined;
  const [, key = term, operator, value] = /^([^!=]+)(!=|==?)(.*)$/.exec(term) ?? [];
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
