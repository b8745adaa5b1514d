import { DecodeError } from '../util/errors.ts';

export type FieldPath = readonly (string | number)[];

/** A field of an object does not have the shape its kind demands; `path` leads to the field. */
export class FieldError extends DecodeError {
  readonly path: FieldPath;
  readonly reason: string;

  constructor(path: FieldPath, reason: string) {
    super(`${formatPath(path)}: ${reason}`);
    this.path = path;
    this.reason = reason;
  }
}

/** `['spec', 'ports', 0]` as `spec.ports[0]`; keys that hold a dot or a bracket are quoted. */
export function formatPath(path: FieldPath): string {
  if (path.length === 0) return '(object)';
  return path.map(formatStep).join('').replace(/^\./, '');
}

function formatStep(step: string | number): string {
  if (typeof step === 'number') return `[${step}]`;
  return /[.[\]]/.test(step) ? `[${JSON.stringify(step)}]` : `.${step}`;
}

/**
 * Reads typed fields out of decoded JSON or YAML. A null counts as absent, as in the Kubernetes API.
 * Every method throws FieldError for a value of the wrong type. `lenient` takes an enumeration value
 * it does not know as absent, so that objects of a newer API server stay usable; `strict` reports it.
 */
export class ObjectReader {
  readonly path: FieldPath;
  readonly mode: DecodeMode;
  readonly #values: Readonly<Record<string, unknown>>;

  constructor(value: unknown, mode: DecodeMode, path: FieldPath = []) {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      throw new FieldError(path, `must be an object, is ${describe(value)}`);
    }
    // A non-null, non-array object can be indexed by any string; every value read is narrowed below.
    this.#values = value as Readonly<Record<string, unknown>>;
    this.mode = mode;
    this.path = path;
  }

  optionalString(key: string): string | undefined {
    const value = this.#values[key] ?? undefined;
    return value === undefined || typeof value === 'string' ? value : this.#fail(key, 'a string');
  }

  string(key: string): string {
    const value = this.optionalString(key);
    if (value === undefined || value === '')
      throw new FieldError([...this.path, key], 'is missing');
    return value;
  }

  /** An integer within [minimum, maximum]. */
  optionalInteger(key: string, minimum: number, maximum: number): number | undefined {
    const value = this.#values[key] ?? undefined;
    if (value === undefined) return undefined;
    if (typeof value !== 'number' || !Number.isInteger(value)) return this.#fail(key, 'an integer');
    if (value < minimum || value > maximum) {
      throw new FieldError([...this.path, key], `must be ${minimum} to ${maximum}, is ${value}`);
    }
    return value;
  }

  integer(key: string, minimum: number, maximum: number): number {
    const value = this.optionalInteger(key, minimum, maximum);
    if (value === undefined) throw new FieldError([...this.path, key], 'is missing');
    return value;
  }

  optionalBoolean(key: string): boolean | undefined {
    const value = this.#values[key] ?? undefined;
    return value === undefined || typeof value === 'boolean' ? value : this.#fail(key, 'a boolean');
  }

  /** One of `values`; in lenient mode an unknown text counts as absent. */
  optionalChoice<T extends string>(key: string, values: readonly T[]): T | undefined {
    if (this.mode === 'strict') return this.optionalClosedChoice(key, values);
    const text = this.optionalString(key);
    return values.find((value) => value === text);
  }

  /** One of `values` in both modes: for fields whose default would be wrong for a new value. */
  optionalClosedChoice<T extends string>(key: string, values: readonly T[]): T | undefined {
    const text = this.optionalString(key);
    if (text === undefined || text === '') return undefined;
    return values.find((value) => value === text) ?? this.#failChoice(key, values);
  }

  choice<T extends string>(key: string, values: readonly T[]): T {
    const text = this.string(key);
    return values.find((value) => value === text) ?? this.#failChoice(key, values);
  }

  optionalStrings(key: string): readonly string[] | undefined {
    return this.#list(key)?.map((value, index) =>
      typeof value === 'string'
        ? value
        : failAt([...this.path, key, index], `must be a string, is ${describe(value)}`),
    );
  }

  /** The entries of a string map whose key `isKept`; undefined when none is left. */
  optionalStringMap(
    key: string,
    isKept: (key: string) => boolean = () => true,
  ): Readonly<Record<string, string>> | undefined {
    const values = this.optionalObject(key);
    if (values === undefined) return undefined;
    const kept = Object.keys(values.#values).filter(isKept);
    if (kept.length === 0) return undefined;
    return Object.fromEntries(kept.map((name) => [name, values.optionalString(name) ?? '']));
  }

  optionalObject(key: string): ObjectReader | undefined {
    const value = this.#values[key] ?? undefined;
    if (value === undefined) return undefined;
    return new ObjectReader(value, this.mode, [...this.path, key]);
  }

  object(key: string): ObjectReader {
    return this.optionalObject(key) ?? failAt([...this.path, key], 'is missing');
  }

  optionalObjects(key: string): readonly ObjectReader[] | undefined {
    return this.#list(key)?.map(
      (value, index) => new ObjectReader(value, this.mode, [...this.path, key, index]),
    );
  }

  /** The names of the fields that are there. */
  keys(): readonly string[] {
    return Object.keys(this.#values);
  }

  /** A field as it is. */
  value(key: string): unknown {
    return this.#values[key];
  }

  /** The elements of a list as they are. */
  optionalList(key: string): readonly unknown[] | undefined {
    return this.#list(key);
  }

  #list(key: string): readonly unknown[] | undefined {
    const value = this.#values[key] ?? undefined;
    if (value === undefined) return undefined;
    return Array.isArray(value) ? value : this.#fail(key, 'a list');
  }

  #failChoice(key: string, values: readonly string[]): never {
    const text = JSON.stringify(this.#values[key]);
    return failAt([...this.path, key], `must be one of ${values.join(', ')}, is ${text}`);
  }

  #fail(key: string, wanted: string): never {
    return failAt([...this.path, key], `must be ${wanted}, is ${describe(this.#values[key])}`);
  }
}

/** `lenient` for objects of an API server, which has validated them; `strict` for files. */
export type DecodeMode = 'lenient' | 'strict';

function failAt(path: FieldPath, reason: string): never {
  throw new FieldError(path, reason);
}

/** The type of a value, never the value: it may be a secret. */
function describe(value: unknown): string {
  if (value === null || value === undefined) return 'empty';
  if (Array.isArray(value)) return 'a list';
  if (typeof value === 'number') return 'a number';
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`;
}
