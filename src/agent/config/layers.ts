/**
 * A configuration in several files, as a directory of them is: each may say a part, and a later one
 * replaces what an earlier one says. So a node, or a patch of a kustomization, changes one setting
 * without a copy of the others.
 */
import type { ConfigDocument, KeyPath } from './document.ts';

export interface ConfigFile {
  readonly path: string;
  readonly text: string;
}

type Layer = Pick<ConfigDocument, 'value' | 'origin'>;

/**
 * The documents as one, in their order: mappings are joined key by key, anything else is replaced.
 * Of a setting the origin is the last document that has it, else the last that has its section.
 */
export function layered(documents: readonly Layer[]): Layer {
  return {
    value: documents.reduce<unknown>((lower, { value }) => over(lower, value), {}),
    origin: (path) => {
      const depths = documents.map(({ value }) => depthIn(value, path));
      const deepest = documents[depths.lastIndexOf(Math.max(...depths))];
      return deepest === undefined ? path.join('.') : deepest.origin(path);
    },
  };
}

function over(lower: unknown, upper: unknown): unknown {
  if (!isMapping(lower) || !isMapping(upper)) return upper;
  const joined = Object.entries(upper).map(([key, value]) => [key, over(lower[key], value)]);
  return { ...lower, ...Object.fromEntries(joined) };
}

/** How many steps of the path the document has. */
function depthIn(value: unknown, path: KeyPath): number {
  let at = value;
  for (const [depth, step] of path.entries()) {
    if (typeof at !== 'object' || at === null || !Object.hasOwn(at, step)) return depth;
    at = (at as Readonly<Record<string, unknown>>)[step];
  }
  return path.length;
}

function isMapping(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
