/**
 * One setting is one row: what the file calls it, what it takes, what it is when nobody says, which
 * flag sets it, and whether a running agent follows a change. Schema, defaults, flags, help, reload
 * and the reference page are made from the rows; nothing is written down twice.
 */
import { parseGoDuration } from './go-duration.ts';

export type SettingKind =
  | 'text'
  | 'duration'
  | 'boolean'
  | 'integer'
  | 'number'
  | 'list'
  | 'gates'
  | 'words'
  | 'other';

interface More<V> {
  /** Without the dashes. */
  readonly flag?: string;
  /** What an absent value means, where `fallback` does not say it. */
  readonly shown?: string;
  /** A running agent takes over a new value. */
  readonly isLive?: boolean;
  /** The empty value (`""`, 0, a duration of nothing) counts as absent. */
  readonly isEmptyAbsent?: boolean;
  /** Of numbers. Of durations: `min` 1 refuses zero. */
  readonly min?: number;
  readonly max?: number;
  /** The only values. */
  readonly choices?: readonly V[];
  /** The flag's own words, where they differ from the file's. */
  readonly flagText?: string;
  /** JSON schema beside the type. */
  readonly schema?: Readonly<Record<string, unknown>>;
}

/** A row; `V` is the type of its value. */
export interface Setting<V> extends More<V> {
  readonly kind: SettingKind;
  readonly describe: string;
  /** A function of the whole file where one default depends on another value. */
  readonly fallback: V | ((root: Sparse) => V);
}

/** A row whose value may be absent from the configuration in effect. */
export interface OptionalSetting<V> extends More<V> {
  readonly kind: SettingKind;
  readonly describe: string;
  readonly fallback: undefined;
  /** The file may have it, and it has no effect. */
  readonly isIgnored?: boolean;
}

export type AnySetting = Setting<unknown> | OptionalSetting<unknown>;
/** Rows by key; a section is a table of its own. */
export interface SettingTable {
  readonly [key: string]: AnySetting | SettingTable;
}

/** The values of a table, every one of them filled in but the optional ones. */
export type ValuesOf<T> = {
  readonly [K in keyof T as T[K] extends OptionalSetting<unknown>
    ? never
    : K]: T[K] extends Setting<infer V> ? V : ValuesOf<T[K]>;
} & {
  readonly [K in keyof T as T[K] extends OptionalSetting<unknown>
    ? K
    : never]?: T[K] extends OptionalSetting<infer V> ? V : never;
};

type Sparse = Readonly<Record<string, unknown>>;

type Row = <V>(
  kind: SettingKind,
) => (fallback: Setting<V>['fallback'], describe: string, more?: More<V>) => Setting<V>;
const row: Row = (kind) => (fallback, describe, more) => ({ kind, fallback, describe, ...more });

export const text = row<string>('text');
export const duration = row<string>('duration');
export const boolean = row<boolean>('boolean');
export const integer = row<number>('integer');
export const number = row<number>('number');
export const list = row<readonly string[]>('list');
export const gates = row<Readonly<Record<string, boolean>>>('gates');

/** One of these words. */
export function word<T extends string>(
  choices: readonly T[],
  fallback: T,
  describe: string,
  more?: More<T>,
): Setting<T> {
  return { kind: 'text', choices, fallback, describe, ...more };
}

export function optional<V>(
  kind: SettingKind,
  describe: string,
  more?: More<V> & { readonly isIgnored?: boolean },
): OptionalSetting<V> {
  return { kind, describe, fallback: undefined, ...more };
}

/** Every key a table has is a row or a section; rows have a kind that is a word. */
export function isSetting(entry: AnySetting | SettingTable): entry is AnySetting {
  return typeof entry['kind'] === 'string';
}

/** Each row with the keys that lead to it. */
export function* rowsOf(
  table: SettingTable,
  path: readonly string[] = [],
): Generator<{ readonly path: readonly string[]; readonly row: AnySetting }> {
  for (const [key, entry] of Object.entries(table)) {
    if (isSetting(entry)) yield { path: [...path, key], row: entry };
    else yield* rowsOf(entry, [...path, key]);
  }
}

/** The row that a path leads to or through: `featureGates.A` belongs to `featureGates`. */
export function settingAt(table: SettingTable, path: readonly string[]): AnySetting | undefined {
  let at: AnySetting | SettingTable | undefined = table;
  for (const key of path) {
    if (at === undefined || isSetting(at)) break;
    at = at[key];
  }
  return at !== undefined && isSetting(at) ? at : undefined;
}

/** Fills in what a file leaves out. The caller knows the table, and with it the type. */
export function fillTable(table: SettingTable, sparse: Sparse, root: Sparse = sparse): object {
  const filled: Record<string, unknown> = {};
  for (const [key, entry] of Object.entries(table)) {
    const given = sparse[key];
    if (!isSetting(entry)) {
      const section = fillTable(entry, isRecord(given) ? given : {}, root);
      if (Object.keys(section).length > 0) filled[key] = section;
      continue;
    }
    const value = isAbsent(entry, given) ? fallbackOf(entry, root) : given;
    if (value !== undefined && !('isIgnored' in entry)) filled[key] = value;
  }
  return filled;
}

function isAbsent({ isEmptyAbsent, kind }: AnySetting, given: unknown): boolean {
  if (given === undefined) return true;
  if (isEmptyAbsent !== true) return false;
  return kind === 'duration' ? parseGoDuration(String(given)) === 0 : !given;
}

function fallbackOf({ fallback }: AnySetting, root: Sparse): unknown {
  return typeof fallback === 'function' ? fallback(root) : fallback;
}

function isRecord(value: unknown): value is Sparse {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The JSON schema of a file with these settings. */
export function schemaOf(table: SettingTable, $id?: string): SettingSchema {
  const properties = Object.entries(table).map(([key, entry]) => {
    return [key, isSetting(entry) ? rowSchema(entry) : schemaOf(entry)] as const;
  });
  const type = 'object';
  const fields = Object.fromEntries(properties);
  const schema = { type, additionalProperties: false, properties: fields } as const;
  return $id === undefined ? schema : { $id, ...schema };
}

export interface SettingSchema {
  readonly $id?: string;
  readonly type: 'object';
  readonly additionalProperties: false;
  readonly properties: Readonly<Record<string, object>>;
}

const SCHEMAS: Readonly<Record<SettingKind, object>> = {
  text: { type: 'string' },
  duration: { type: 'string', format: 'go-duration' },
  boolean: { type: 'boolean' },
  integer: { type: 'integer' },
  number: { type: 'number' },
  list: { type: 'array', items: { type: 'string' } },
  gates: { type: 'object', additionalProperties: { type: 'boolean' } },
  words: { type: 'array', minItems: 1 },
  other: {},
};

function rowSchema({ kind, choices, schema }: AnySetting): object {
  if (choices === undefined) return { ...SCHEMAS[kind], ...schema };
  const words = { enum: choices };
  return kind === 'words' ? { ...SCHEMAS.words, items: words } : words;
}

/** What `--help` and the reference page say an absent value means; undefined for nothing worth it. */
export function shownDefault(setting: AnySetting): string | undefined {
  const { shown, kind, fallback } = setting;
  if (shown !== undefined) return shown || undefined;
  if (typeof fallback === 'function') return undefined;
  if (kind === 'duration') return shownDuration(String(fallback));
  if (Array.isArray(fallback)) return fallback.join(',') || undefined;
  return typeof fallback === 'object' || !fallback ? undefined : String(fallback);
}

/** `24h0m0s` is 24h. */
function shownDuration(go: string): string | undefined {
  const short = go.replace(/(?<=[hm])0[ms](?:0s)?$/, '');
  return parseGoDuration(go) === 0 ? undefined : short;
}
