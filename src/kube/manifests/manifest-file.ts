import { type Document, isNode, LineCounter, parseAllDocuments } from 'yaml';
import { DecodeError, toError } from '../../util/errors.ts';
import { parseJson } from '../../util/json.ts';
import { Turn } from '../../util/turns.ts';
import { asRecord } from '../api/watch-event.ts';
import { FieldError, type FieldPath, formatPath, ObjectReader } from '../fields.ts';
import { apiVersionOf, objectKey, type Resource, type ResourceKind } from '../resources.ts';
import type { KubernetesObject } from '../types.ts';
import { repeatedKey, whyNoJson, whyNoYaml } from './limits.ts';
import { type ItemKind, type Piece, splitManifest } from './manifest-pieces.ts';

/** What of a resource it takes to read a file; `kindId` where it is not the one that the file says. */
export interface Decoder {
  readonly kindId?: string;
  readonly decode: Resource<KubernetesObject>['decode'];
  readonly whyUnused?: ((object: never) => string | undefined) | undefined;
}

/** The kinds wanted, by `kindId`. */
export type WantedKinds = ReadonlyMap<string, Decoder>;

export interface ManifestObject {
  readonly kindId: string;
  /** `namespace/name`. */
  readonly key: string;
  readonly object: KubernetesObject;
}

/** An object of a file that has no effect. */
export interface PassedOver {
  /** `v1 Endpoints` */
  readonly kind: string;
  /** `namespace/name`, or what the file says of it. */
  readonly key: string;
  readonly reason: string;
}

/** What one piece of a manifest holds. */
export interface ParsedPiece {
  readonly objects: readonly ManifestObject[];
  readonly passedOver: readonly PassedOver[];
}

/** By digest, in the order of the text. */
export type ParsedManifest = ReadonlyMap<string, ParsedPiece>;

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
 * their items. Pieces whose digest is in `known` are taken from there; others are parsed one after
 * the other, with turns for everybody else. Throws ManifestError for the first thing that is wrong.
 */
export async function parseManifest(
  text: string,
  wanted: WantedKinds,
  known: ParsedManifest = new Map(),
): Promise<ParsedManifest> {
  const parsed = new Map<string, ParsedPiece>();
  const turn = new Turn();
  for (const piece of await splitManifest(text)) {
    parsed.set(piece.digest, known.get(piece.digest) ?? parsePiece(piece, wanted));
    if (turn.isOver) await turn.next();
  }
  return parsed;
}

function parsePiece(piece: Piece, wanted: WantedKinds): ParsedPiece {
  return parseAsJson(piece, wanted) ?? parseAsYaml(piece, wanted);
}

function refuse(piece: Piece, reason: string | undefined): void {
  if (reason === undefined) return;
  const { lines, characters } = piece.before();
  throw new ManifestError({ line: lines + 1, column: characters + 1, key: '' }, reason);
}

/**
 * JSON is YAML too, but JSON.parse is many times faster. Undefined for everything that is not
 * flawless: only the YAML parser knows positions.
 */
function parseAsJson(piece: Piece, wanted: WantedKinds): ParsedPiece | undefined {
  if (!/^\s*[[{]/.test(piece.text)) return undefined;
  refuse(piece, whyNoJson(piece.text));
  const value = parseJson(piece.text);
  if (value === undefined) return undefined;
  const found = new Collected(wanted);
  try {
    found.collect(value, piece.path, piece.itemKind);
  } catch (thrown) {
    if (thrown instanceof FieldError) return undefined;
    throw thrown;
  }
  return found.result();
}

function parseAsYaml(piece: Piece, wanted: WantedKinds): ParsedPiece {
  const found = new Collected(wanted);
  refuse(piece, whyNoYaml(piece.text));
  const lineCounter = new LineCounter();
  const options = { lineCounter, prettyErrors: false, merge: true, uniqueKeys: false };
  try {
    // An empty stream is an array with a property, and has no documents.
    for (const document of [...parseAllDocuments(piece.text, options)]) {
      collectDocument(document, piece, found);
    }
  } catch (thrown) {
    if (!(thrown instanceof PlacedError)) throw thrown;
    const { line, col } = lineCounter.linePos(thrown.offset);
    const { lines, characters } = piece.before();
    const column = line === 1 ? characters + col : col;
    throw new ManifestError({ line: lines + line, column, key: thrown.key }, thrown.reason);
  }
  return found.result();
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

function collectDocument(document: Document.Parsed, piece: Piece, found: Collected): void {
  const broken = document.errors[0];
  if (broken !== undefined) throw new PlacedError(broken.pos[0], '', reasonOf(broken));
  try {
    const repeated = repeatedKey(document);
    if (repeated !== undefined) throw new PlacedError(repeated, '', 'Map keys must be unique');
    const value: unknown = document.toJS();
    if (value !== null && value !== undefined) found.collect(value, piece.path, piece.itemKind);
  } catch (thrown) {
    if (thrown instanceof PlacedError) throw thrown;
    if (thrown instanceof FieldError) {
      const offset = offsetOf(document, thrown.path.slice(piece.path.length));
      throw new PlacedError(offset, formatPath(thrown.path), thrown.reason);
    }
    // Aliases without an anchor, or too many of them; blocks too deep for the parser.
    throw new PlacedError(document.range[0], '', reasonOf(toError(thrown)));
  }
}

function reasonOf({ message }: Error): string {
  return message.startsWith('Maximum call stack') ? 'is nested too deeply' : message;
}

/** Where the value at `path` starts, or its nearest ancestor that is written down. */
function offsetOf(document: Document.Parsed, path: FieldPath): number {
  for (let depth = path.length; depth > 0; depth--) {
    const node = document.getIn(path.slice(0, depth), true);
    if (isNode(node) && node.range) return node.range[0];
  }
  return document.contents?.range?.[0] ?? document.range[0];
}

/** Most pieces pass nothing over: one shared value saves megabytes. */
const NOTHING: readonly PassedOver[] = [];

class Collected {
  readonly #objects: ManifestObject[] = [];
  readonly #passedOver: PassedOver[] = [];
  readonly #wanted: WantedKinds;

  constructor(wanted: WantedKinds) {
    this.#wanted = wanted;
  }

  result(): ParsedPiece {
    const passedOver = this.#passedOver.length === 0 ? NOTHING : this.#passedOver;
    return { objects: this.#objects, passedOver };
  }

  /** Takes an object or list; `fallback` names the kind of list items that do not say. */
  collect(value: unknown, path: FieldPath, fallback?: ItemKind): void {
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
      this.#passedOver.push({
        kind: id,
        key: nameOf(reader),
        reason: 'weft does not read this kind',
      });
      return;
    }
    const object = decodeAt(resource, value, path);
    const key = objectKey(object);
    // Any function of a resource takes what its decoder made.
    const reason = resource.whyUnused?.(object as never);
    if (reason !== undefined) this.#passedOver.push({ kind: id, key, reason });
    this.#objects.push({ kindId: resource.kindId ?? id, key, object });
  }

  #collectList(list: ObjectReader, apiVersion: string, kind: string): void {
    const itemKind = kind.slice(0, -'List'.length);
    const fallback = itemKind === '' ? undefined : { apiVersion, kind: itemKind };
    for (const [index, item] of (list.optionalList('items') ?? []).entries()) {
      this.collect(item, [...list.path, 'items', index], fallback);
    }
  }
}

/** A foreign kind may say anything there. */
function nameOf(reader: ObjectReader): string {
  const { namespace, name } = asRecord(reader.value('metadata'));
  return [namespace, name].filter((part) => typeof part === 'string' && part !== '').join('/');
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
