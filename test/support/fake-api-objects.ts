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

/** As one that is made now. */
export function withAge(object: ApiObject): ApiObject {
  const creationTimestamp = new Date().toISOString();
  return { ...object, metadata: { creationTimestamp, ...object.metadata } };
}

export interface Change {
  readonly version: number;
  readonly plural: string;
  readonly before: ApiObject | undefined;
  readonly after: ApiObject | undefined;
}

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

  get(plural: string, key: string): ApiObject | undefined {
    return this.#ofKind(plural).get(key);
  }

  /** The objects of a kind as of a version, which must not be compacted; sorted by key. */
  list(plural: string, version: number = this.#version): ApiObject[] {
    const objects = new Map(this.#ofKind(plural));
    for (const { plural: changed, before, after } of this.changesAfter(version).toReversed()) {
      if (changed !== plural) continue;
      if (after !== undefined) objects.delete(keyOf(after));
      if (before !== undefined) objects.set(keyOf(before), before);
    }
    const entries = [...objects].sort(([a], [b]) => (a < b ? -1 : 1));
    return entries.map(([, object]) => object);
  }

  /** In order; those after a version that is compacted are not all there. */
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

  /** Goes back to an earlier version and forgets the rest, as a restore from a backup does. */
  rewind(version: number): void {
    for (const plural of this.#objects.keys()) {
      const objects = this.list(plural, version).map((object) => [keyOf(object), object] as const);
      this.#objects.set(plural, new Map(objects));
    }
    this.#changes = this.#changes.filter((change) => change.version <= version);
    this.#version = version;
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
