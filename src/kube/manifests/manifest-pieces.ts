import { hash } from 'node:crypto';
import { parseDocument } from 'yaml';
import { DecodeError } from '../../util/errors.ts';
import { parseJson } from '../../util/json.ts';
import { Turn } from '../../util/turns.ts';
import { asRecord } from '../api/watch-event.ts';
import type { FieldPath } from '../fields.ts';
import { inSteps, JsonListSplitter } from '../json-list.ts';
import { splitYamlList } from './yaml-list.ts';

/** A part of a manifest that is parsed on its own: a YAML document or an item of a list. */
export interface Piece {
  readonly text: string;
  /** Equal digests mean equal objects. */
  readonly digest: string;
  /** Where it is in its document. */
  readonly path: FieldPath;
  /** What items are that do not say; from the kind of their list. */
  readonly itemKind: ItemKind | undefined;
  /** Whole lines, and characters of the last line, before it in the file. */
  readonly before: () => { readonly lines: number; readonly characters: number };
}

export interface ItemKind {
  readonly apiVersion: string;
  readonly kind: string;
}

/** Cuts a manifest into pieces; whatever has no clear borders stays whole. */
export async function splitManifest(text: string): Promise<readonly Piece[]> {
  if (/^\s*\{/.test(text)) return (await splitJsonList(text)) ?? [wholePiece(text)];
  // A JSON list of objects, or directives and document end markers, which belong to both sides of a cut.
  if (/^\s*\[/.test(text) || /^(?:%|\.\.\.(?:\s|$))/m.test(text)) return [wholePiece(text)];
  return splitDocuments(text);
}

function wholePiece(text: string): Piece {
  return pieceAt(text, () => '');
}

function pieceAt(
  text: string,
  textBefore: () => string,
  path: FieldPath = [],
  itemKind?: ItemKind,
): Piece {
  return {
    text,
    digest: hash('sha256', `${itemKind?.apiVersion} ${itemKind?.kind}\n${text}`, 'base64'),
    path,
    itemKind,
    before: () => {
      const lines = textBefore().split('\n');
      return { lines: lines.length - 1, characters: lines.at(-1)?.length ?? 0 };
    },
  };
}

/**
 * Cuts before each document marker, which YAML 1.2 section 9.1 gives that meaning wherever it
 * starts a line.
 */
async function splitDocuments(text: string): Promise<readonly Piece[]> {
  const pieces: Piece[] = [];
  const marker = /^---(?=\s|$)/gm;
  const turn = new Turn();
  let start = 0;
  const cut = (end: number) => {
    const from = start;
    if (end > from) pieces.push(...piecesOfDocument(text, from, end));
    start = end;
  };
  for (let found = marker.exec(text); found !== null; found = marker.exec(text)) {
    cut(found.index);
    if (turn.isOver) await turn.next();
  }
  cut(text.length);
  return pieces;
}

function piecesOfDocument(text: string, start: number, end: number): readonly Piece[] {
  const document = text.slice(start, end);
  const list = splitYamlList(document);
  const head = list && parseDocument(list.head, { prettyErrors: false });
  const itemKind = head?.errors.length === 0 ? itemKindOf(head.toJS()) : undefined;
  if (list === undefined || itemKind === undefined) {
    return [pieceAt(document, () => text.slice(0, start))];
  }
  return list.items.map((item, index) =>
    pieceAt(item.text, () => text.slice(0, start + item.offset), ['items', index], itemKind),
  );
}

/** Undefined for JSON that is no Kubernetes list, and for what is no JSON at all. */
async function splitJsonList(text: string): Promise<readonly Piece[] | undefined> {
  const bytes = Buffer.from(text);
  const pieces: Piece[] = [];
  const turn = new Turn();
  try {
    const splitter = new JsonListSplitter(bytes.length);
    const items: { readonly bytes: Buffer; readonly offset: number }[] = [];
    for (const step of inSteps(bytes)) {
      items.push(...splitter.push(step));
      if (turn.isOver) await turn.next();
    }
    const itemKind = itemKindOf(parseJson(splitter.rest()));
    if (itemKind === undefined) return undefined;
    for (const [index, item] of items.entries()) {
      const textBefore = () => bytes.subarray(0, item.offset).toString('utf8');
      const path = ['items', index];
      pieces.push(pieceAt(item.bytes.toString('utf8'), textBefore, path, itemKind));
      if (turn.isOver) await turn.next();
    }
  } catch (thrown) {
    if (thrown instanceof DecodeError) return undefined;
    throw thrown;
  }
  return pieces;
}

function itemKindOf(rest: unknown): ItemKind | undefined {
  const { apiVersion, kind } = asRecord(rest);
  if (typeof apiVersion !== 'string' || typeof kind !== 'string') return undefined;
  if (apiVersion === '' || !kind.endsWith('List')) return undefined;
  // The items of a plain List say themselves what they are.
  if (kind === 'List') return { apiVersion: '', kind: '' };
  return { apiVersion, kind: kind.slice(0, -'List'.length) };
}
