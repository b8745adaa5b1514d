/**
 * Go's encoding/json as far as network configurations and results depend on it: lenient key
 * matching on the way in, its escapes and indentation on the way out.
 */

/** The part of a JSON schema that key matching looks at. */
export interface KeySchema {
  readonly type?: string;
  readonly $ref?: string;
  readonly properties?: Readonly<Record<string, KeySchema>>;
  readonly items?: KeySchema;
  readonly $defs?: Readonly<Record<string, KeySchema>>;
}

/**
 * Renames keys to the schema's spelling when they differ in case only, drops keys whose value is
 * null (Go leaves the field at its default) and keeps unknown keys. Of two spellings of one key the
 * later one counts, as in encoding/json.
 */
export function canonicalKeys(
  value: unknown,
  schema: KeySchema,
  root: KeySchema = schema,
): unknown {
  const resolved = resolve(schema, root);
  if (Array.isArray(value)) {
    const items = resolved.items;
    return items === undefined ? value : value.map((item) => canonicalKeys(item, items, root));
  }
  if (!isJsonObject(value) || resolved.properties === undefined) return value;
  const { properties } = resolved;
  const spelling = new Map(Object.keys(properties).map((key) => [key.toLowerCase(), key]));
  const entries = Object.entries(value).flatMap(([key, item]): [string, unknown][] => {
    if (item === null) return [];
    const known = spelling.get(key.toLowerCase());
    const child = known === undefined ? undefined : properties[known];
    return [[known ?? key, child === undefined ? item : canonicalKeys(item, child, root)]];
  });
  return Object.fromEntries(entries);
}

/** True for `{…}`, false for arrays, null and scalars. */
export function isJsonObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** A member by its name in any case, the last one when several match; null counts as absent. */
export function memberOf(value: Readonly<Record<string, unknown>>, name: string): unknown {
  const wanted = name.toLowerCase();
  const key = Object.keys(value).findLast((candidate) => candidate.toLowerCase() === wanted);
  return key === undefined ? undefined : (value[key] ?? undefined);
}

/** What `json.MarshalIndent(value, "", "    ")` prints: 4 spaces, no newline at the end, HTML escaped. */
export function indentedJson(value: unknown): string {
  return escapeHtml(JSON.stringify(value, null, 4));
}

/** What `json.Marshal` prints: one line without spaces, HTML escaped. */
export function compactJson(value: unknown): string {
  return escapeHtml(JSON.stringify(value));
}

/** The same value with the keys of every object in byte order, as Go prints maps. */
export function sortedKeys(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sortedKeys);
  if (!isJsonObject(value)) return value;
  const entries = Object.entries(value).filter(([, item]) => item !== undefined);
  entries.sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([key, item]) => [key, sortedKeys(item)]));
}

function escapeHtml(json: string): string {
  return json.replace(/[<>&\u2028\u2029]/g, (character) => {
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
  });
}

function resolve(schema: KeySchema, root: KeySchema): KeySchema {
  const name = schema.$ref?.replace('#/$defs/', '');
  return name === undefined ? schema : (root.$defs?.[name] ?? schema);
}
