/** Reads fields of JSON that anybody may have written: what is missing, or another type, is nothing. */

export function valueAt(value: unknown, ...path: readonly string[]): unknown {
  let at: unknown = value;
  for (const key of path) {
    if (typeof at !== 'object' || at === null || !Object.hasOwn(at, key)) return undefined;
    // An object has it, as was just asked.
    at = (at as Readonly<Record<string, unknown>>)[key];
  }
  return at;
}

export function listAt(value: unknown, ...path: readonly string[]): readonly unknown[] {
  const at = valueAt(value, ...path);
  return Array.isArray(at) ? at : [];
}

export function textAt(value: unknown, ...path: readonly string[]): string {
  const at = valueAt(value, ...path);
  return typeof at === 'string' ? at : '';
}
