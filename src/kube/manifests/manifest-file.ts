import { type Document, isNode, LineCounter, parseAllDocuments } from 'yaml';
import { DecodeError, toError } from '../../util/errors.ts';
import { parseJson } from '../api/watch-event.ts';
import { FieldError, type FieldPath, formatPath, ObjectReader } from '../fields.ts';
import { apiVersionOf, objectKey, type Resource, type ResourceKind } from '../resources.ts';
import type { KubernetesObject } from '../types.ts';

/** What of a resource it takes to read a file. */
export type Decoder = Pick<Resource<KubernetesObject>, 'decode'>;

/** The kinds wanted, by `kindId`. */
export type WantedKinds = ReadonlyMap<string, Decoder>;

export interface ManifestObject {
  readonly kindId: string;
  /** `namespace/name`. */
  readonly key: string;
  readonly object: KubernetesObject;
}

export interface ParsedManifest {
  readonly objects: readonly ManifestObject[];
  /** Ids of kinds found but not wanted. */
  readonly ignoredKinds: ReadonlySet<string>;
}

/** A manifest is not usable; `line` and `column` count from 1. */
export class ManifestError extends DecodeError {
  readonly line: number;
  readonly column: number;
  /** `spec.ports[0].port` within its document; empty when the text itself is broken. */
  readonly key: string;

  constructor(at: { line: number; column: number; key: string }, reason: string) {
    super(at.key === '' ? reason : `${at.key} ${reason}`);
    this.line = at.line;
    this.column = at.column;
    this.key = at.key;
  }
}

/** `<apiVersion> <kind>`, as in `discovery.k8s.io/v1 EndpointSlice`. */
export function kindId(resource: ResourceKind): string {
  return `${apiVersionOf(resource)} ${resource.kind}`;
}

/**
 * Reads YAML or JSON with any number of documents; lists (`kind: List`, `ServiceList`, ...) count as
 * their items. `pause` is awaited from time to time: large YAML takes seconds. Throws ManifestError
 * for the first thing that is wrong.
 */
export async function parseManifest(
  text: string,
  wanted: WantedKinds,
  pause: () => Promise<void>,
): Promise<ParsedManifest> {
  return parseAsJson(text, wanted) ?? parseAsYaml(text, wanted, pause);
}

/**
 * JSON is YAML too, but JSON.parse is many times faster. Undefined for everything that is not
 * flawless: only the YAML parser knows positions.
 */
function parseAsJson(text: string, wanted: WantedKinds): ParsedManifest | undefined {
  if (!/^\s*[[{]/.test(text)) return undefined;
  const value = parseJson(text);
  if (value === undefined) return undefined;
  const found = new Collected(wanted);
  try {
    found.collect(value, []);
  } catch (thrown) {
    if (thrown instanceof FieldError) return undefined;
    throw thrown;
  }
  return found;
}

/** Some 30 ms of parsing. */
const PAUSE_CHARACTERS = 64 << 10;

async function parseAsYaml(
  text: string,
  wanted: WantedKinds,
  pause: () => Promise<void>,
): Promise<ParsedManifest> {
  const found = new Collected(wanted);
  let characters = 0;
  for (const piece of splitDocuments(text)) {
    characters += piece.text.length;
    if (characters > PAUSE_CHARACTERS) {
      characters = 0;
      await pause();
    }
    collectPiece(piece, found);
  }
  return found;
}

interface Piece {
  readonly text: string;
  /** Lines before it. */
  readonly line: number;
}

/**
 * Cuts before each document marker, which YAML 1.2 section 9.1 gives that meaning wherever it
 * starts a line. A text with directives or document end markers stays whole: these belong to both
 * sides of a cut.
 */
function splitDocuments(text: string): Piece[] {
  if (/^(?:%|\.\.\.(?:\s|$))/m.test(text)) return [{ text, line: 0 }];
  const pieces: Piece[] = [];
  let line = 0;
  for (const piece of text.split(/^(?=---(?:\s|$))/m)) {
    pieces.push({ text: piece, line });
    line += piece.split('\n').length - 1;
  }
  return pieces;
}

function collectPiece({ text, line }: Piece, found: Collected): void {
  const lineCounter = new LineCounter();
  const documents = parseAllDocuments(text, { lineCounter, prettyErrors: false, merge: true });
  try {
    // An empty stream is an array with a property, and has no documents.
    for (const document of [...documents]) collectDocument(document, found);
  } catch (thrown) {
    if (!(thrown instanceof PlacedError)) throw thrown;
    const place = lineCounter.linePos(thrown.offset);
    const at = { line: line + place.line, column: place.col, key: thrown.key };
    throw new ManifestError(at, thrown.reason);
  }
}

/** What is wrong at a character offset. */
class PlacedError extends DecodeError {
  readonly offset: number;
  readonly key: string;
  readonly reason: string;

  constructor(offset: number, key: string, reason: string) {
    super(reason);
    this.offset = offset;
    this.key = key;
    this.reason = reason;
  }
}

function collectDocument(document: Document.Parsed, found: Collected): void {
  const broken = document.errors[0];
  if (broken !== undefined) throw new PlacedError(broken.pos[0], '', broken.message);
  try {
    const value: unknown = document.toJS();
    if (value !== null && value !== undefined) found.collect(value, []);
  } catch (thrown) {
    if (thrown instanceof FieldError) {
      const offset = offsetOf(document, thrown.path);
      throw new PlacedError(offset, formatPath(thrown.path), thrown.reason);
    }
    // Aliases without an anchor, or too many of them.
    throw new PlacedError(document.range[0], '', toError(thrown).message);
  }
}

/** Where the value at `path` starts, or its nearest ancestor that is written down. */
function offsetOf(document: Document.Parsed, path: FieldPath): number {
  for (let depth = path.length; depth > 0; depth--) {
    const node = document.getIn(path.slice(0, depth), true);
    if (isNode(node) && node.range) return node.range[0];
  }
  return document.contents?.range?.[0] ?? document.range[0];
}

class Collected implements ParsedManifest {
  readonly objects: ManifestObject[] = [];
  readonly ignoredKinds = new Set<string>();
  readonly #wanted: WantedKinds;

  constructor(wanted: WantedKinds) {
    this.#wanted = wanted;
  }

  /** Takes an object or list; `fallback` names the kind of list items that do not say. */
  collect(value: unknown, path: FieldPath, fallback?: { apiVersion: string; kind: string }): void {
    const reader = new ObjectReader(value, 'strict', path);
    const apiVersion = reader.optionalString('apiVersion') ?? fallback?.apiVersion;
    const kind = reader.optionalString('kind') ?? fallback?.kind;
    if (!apiVersion || !kind) {
      throw new FieldError([...path, apiVersion ? 'kind' : 'apiVersion'], 'is missing');
    }
    if (kind.endsWith('List')) {
      this.#collectList(reader, apiVersion, kind);
      return;
    }
    const id = `${apiVersion} ${kind}`;
    const resource = this.#wanted.get(id);
    if (resource === undefined) {
      this.ignoredKinds.add(id);
      return;
    }
    const object = decodeAt(resource, value, path);
    this.objects.push({ kindId: id, key: objectKey(object), object });
  }

  #collectList(list: ObjectReader, apiVersion: string, kind: string): void {
    const itemKind = kind.slice(0, -'List'.length);
    const fallback = itemKind === '' ? undefined : { apiVersion, kind: itemKind };
    for (const [index, item] of (list.optionalList('items') ?? []).entries()) {
      this.collect(item, [...list.path, 'items', index], fallback);
    }
  }
}

/** Decodes with paths that start at the document, not at the object. */
function decodeAt(resource: Decoder, value: unknown, path: FieldPath): KubernetesObject {
  try {
    return resource.decode(value, 'strict');
  } catch (thrown) {
    if (!(thrown instanceof FieldError)) throw thrown;
    throw new FieldError([...path, ...thrown.path], thrown.reason);
  }
}
