import { type Document, isMap, isScalar, isSeq, LineCounter, type Node, parseDocument } from 'yaml';
import { ConfigError } from '../../util/errors.ts';

/** Steps from the root of a configuration to one setting: `['ipvs', 'excludeCIDRs', '0']`. */
export type KeyPath = readonly string[];

/** Names a setting the way the user wrote it: `config.conf:12: mode` or `--proxy-mode`. */
export type Origin = (path: KeyPath) => string;

export interface ConfigDocument {
  /**
   * Plain JSON values; keys whose value is null are left out, as Go decodes null to "unset". An
   * empty file is an empty mapping.
   */
  readonly value: unknown;
  readonly origin: Origin;
  /** Every key that occurs more than once in its mapping; the last one counts. */
  readonly duplicates: readonly KeyPath[];
}

/**
 * Parses one YAML or JSON configuration file. `yes`, `no`, `on` and `off` are booleans, as in the
 * YAML 1.1 that Kubernetes components read; dates and base-60 numbers stay text.
 * Throws ConfigError with file, line and column when the text is not YAML.
 */
export function parseConfigDocument(text: string, file: string): ConfigDocument {
  const lineCounter = new LineCounter();
  const document = parseDocument(text, {
    lineCounter,
    schema: 'yaml-1.1',
    uniqueKeys: false,
    customTags: (tags) => tags.filter((tag) => !isTimeTag(tag)),
  });
  const [error] = document.errors;
  if (error !== undefined) {
    const { line, col } = lineCounter.linePos(error.pos[0]);
    const reason = error.message.split('\n')[0]?.replace(/ at line \d+, column \d+:?$/, '');
    const written = text.split('\n')[line - 1]?.trim().slice(0, 80);
    const message = `parse ${file}:${line}:${col}: ${reason} in "${written}"`;
    throw new ConfigError('', message, { cause: error });
  }
  return {
    value: withoutNulls(document.toJS() ?? {}),
    origin: (path) => {
      const place = `${file}${lineSuffix(document, lineCounter, path)}`;
      return path.length === 0 ? place : `${place}: ${path.join('.')}`;
    },
    duplicates: [...duplicateKeys(document.contents, [])],
  };
}

function isTimeTag(tag: unknown): boolean {
  if (typeof tag !== 'object' || tag === null) return false;
  if ('format' in tag && tag.format === 'TIME') return true;
  return 'tag' in tag && tag.tag === 'tag:yaml.org,2002:timestamp';
}

function withoutNulls(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutNulls);
  if (typeof value !== 'object' || value === null) return value;
  const kept = Object.entries(value).filter(([, item]) => item !== null);
  return Object.fromEntries(kept.map(([key, item]) => [key, withoutNulls(item)]));
}

function lineSuffix(document: Document, lineCounter: LineCounter, path: KeyPath): string {
  const offset = keyOffset(document.contents, path);
  return offset === undefined ? '' : `:${lineCounter.linePos(offset).line}`;
}

/** Offset of the key or list item `path` leads to, or of the nearest parent the file has. */
function keyOffset(root: unknown, path: KeyPath): number | undefined {
  let node = root;
  let offset: number | undefined;
  for (const step of path) {
    const found = isMap(node) ? entryOf(node.items, step) : itemOf(node, step);
    if (found === undefined) return offset;
    node = found.value;
    offset = found.offset;
  }
  return offset;
}

interface FoundNode {
  readonly value: unknown;
  readonly offset: number | undefined;
}

function entryOf(
  items: readonly { readonly key: unknown; readonly value: unknown }[],
  step: string,
): FoundNode | undefined {
  const pair = items.findLast((item) => keyText(item.key) === step);
  return pair && { value: pair.value, offset: startOf(pair.key) };
}

function itemOf(node: unknown, step: string): FoundNode | undefined {
  if (!isSeq(node)) return undefined;
  const item = node.items[Number(step)];
  return item === undefined ? undefined : { value: item, offset: startOf(item) };
}

function startOf(node: unknown): number | undefined {
  return isNodeWithRange(node) ? node.range?.[0] : undefined;
}

function isNodeWithRange(node: unknown): node is Node {
  return typeof node === 'object' && node !== null && 'range' in node;
}

function keyText(key: unknown): string {
  return String(isScalar(key) ? key.value : key);
}

function* duplicateKeys(node: unknown, path: KeyPath): Generator<KeyPath> {
  if (isSeq(node)) {
    for (const [index, item] of node.items.entries()) {
      yield* duplicateKeys(item, [...path, String(index)]);
    }
  }
  if (!isMap(node)) return;
  const seen = new Set<string>();
  for (const { key, value } of node.items) {
    const keyPath = [...path, keyText(key)];
    if (seen.has(keyText(key))) yield keyPath;
    seen.add(keyText(key));
    yield* duplicateKeys(value, keyPath);
  }
}
