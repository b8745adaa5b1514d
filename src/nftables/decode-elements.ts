/**
 * Set elements as the kernel lists them. Like their encoder this reads the bytes directly: one
 * listing can hold tens of thousands.
 */

import { align4, readAttributes } from '../netlink/attributes.ts';
import { compareText } from '../util/text-order.ts';
import { previousKey } from './bytes.ts';
import {
  COUNTER,
  DATA,
  ELEMENT,
  ELEMENT_INTERVAL_END,
  ELEMENT_LIST,
  EXPR,
  LIST_ELEM,
  VERDICT,
} from './constants.ts';
import type { NamedSet, ObservedElement } from './model.ts';
import { keyLength } from './registers.ts';
import { readComment } from './userdata.ts';
import { formatVerdict } from './verdicts.ts';

const FAMILY_HEADER_BYTES = 4;
const ATTRIBUTE_BYTES = 4;
const TYPE_MASK = 0x3fff;
const COUNTER_NAME = 'counter\0';

/** Writable while it is read; given away as ObservedElement. */
interface Draft {
  key: string;
  keyEnd?: string;
  data?: string;
  timeoutMs?: number;
  expiresMs?: number;
  comment?: string;
  counter?: { readonly packets: bigint; readonly bytes: bigint };
}

/** Reads the payloads of NEWSETELEM messages of one set. */
export class ElementReader {
  readonly #elements: Draft[] = [];
  /** First keys outside of ranges, in sets with ranges of one field. */
  readonly #ends: string[] = [];
  readonly #hasEndElements: boolean;
  readonly #keyBytes: number;
  /** Few different verdicts serve many elements: each text is kept once. */
  readonly #verdicts = new Map<string, string>();

  constructor(set: NamedSet) {
    this.#hasEndElements = set.isInterval === true && set.key.length === 1;
    this.#keyBytes = keyLength(set.key);
  }

  /** Adds the elements of one message. */
  read(payload: Buffer): void {
    let at = FAMILY_HEADER_BYTES;
    while (at + ATTRIBUTE_BYTES <= payload.length) {
      const length = payload.readUInt16LE(at);
      if (length < ATTRIBUTE_BYTES) return;
      const type = payload.readUInt16LE(at + 2) & TYPE_MASK;
      if (type === ELEMENT_LIST.ELEMENTS) {
        this.#readList(payload, at + ATTRIBUTE_BYTES, at + length);
      }
      at += align4(length);
    }
  }

  /** All elements read; ranges of one field come sorted. `keyEnd` is absent when it equals `key`. */
  finish(): readonly ObservedElement[] {
    return this.#hasEndElements
      ? joinRanges(this.#elements, this.#ends, this.#keyBytes)
      : this.#elements;
  }

  #readList(payload: Buffer, start: number, end: number): void {
    let at = start;
    while (at + ATTRIBUTE_BYTES <= end) {
      const length = payload.readUInt16LE(at);
      if (length < ATTRIBUTE_BYTES) return;
      const type = payload.readUInt16LE(at + 2) & TYPE_MASK;
      if (type === LIST_ELEM) this.#readElement(payload, at + ATTRIBUTE_BYTES, at + length);
      at += align4(length);
    }
  }

  #readElement(payload: Buffer, start: number, end: number): void {
    const draft: Draft = { key: '' };
    let flags = 0;
    let at = start;
    while (at + ATTRIBUTE_BYTES <= end) {
      const length = payload.readUInt16LE(at);
      if (length < ATTRIBUTE_BYTES) break;
      const type = payload.readUInt16LE(at + 2) & TYPE_MASK;
      if (type === ELEMENT.FLAGS) flags = payload.readUInt32BE(at + ATTRIBUTE_BYTES);
      else this.#readAttribute(draft, type, payload, at + ATTRIBUTE_BYTES, at + length);
      at += align4(length);
    }
    if (draft.keyEnd === draft.key) delete draft.keyEnd;
    if ((flags & ELEMENT_INTERVAL_END) !== 0) this.#ends.push(draft.key);
    else this.#elements.push(draft);
  }

  #readAttribute(draft: Draft, type: number, payload: Buffer, at: number, end: number): void {
    switch (type) {
      case ELEMENT.KEY:
        draft.key = readValue(payload, at);
        break;
      case ELEMENT.KEY_END:
        draft.keyEnd = readValue(payload, at);
        break;
      case ELEMENT.DATA:
        draft.data = this.#readData(payload, at);
        break;
      case ELEMENT.TIMEOUT:
        draft.timeoutMs = Number(payload.readBigUInt64BE(at));
        break;
      case ELEMENT.EXPIRATION:
        draft.expiresMs = Number(payload.readBigUInt64BE(at));
        break;
      case ELEMENT.USERDATA: {
        const comment = readComment(payload.subarray(at, end));
        if (comment !== undefined) draft.comment = comment;
        break;
      }
      case ELEMENT.EXPR:
        readCounter(draft, payload, at, end);
        break;
      case ELEMENT.EXPRESSIONS: {
        const first = findAttribute(payload, at, end, LIST_ELEM);
        if (first >= 0) readCounter(draft, payload, first, end);
        break;
      }
    }
  }

  #readData(payload: Buffer, at: number): string {
    const type = payload.readUInt16LE(at + 2) & TYPE_MASK;
    if (type !== DATA.VERDICT) return readValue(payload, at);
    const end = at + payload.readUInt16LE(at);
    const raw = payload.toString('latin1', at + ATTRIBUTE_BYTES, end);
    let text = this.#verdicts.get(raw);
    if (text === undefined) {
      text = readVerdict(payload.subarray(at + ATTRIBUTE_BYTES, end));
      this.#verdicts.set(raw, text);
    }
    return text;
  }
}

/** The bytes of NFTA_DATA_VALUE, padded as registers are. */
function readValue(payload: Buffer, at: number): string {
  const length = payload.readUInt16LE(at) - ATTRIBUTE_BYTES;
  const value = payload.toString('latin1', at + ATTRIBUTE_BYTES, at + ATTRIBUTE_BYTES + length);
  return length % 4 === 0 ? value : value.padEnd(align4(length), '\0');
}

function readVerdict(payload: Buffer): string {
  const attributes = readAttributes(payload);
  const chain = attributes.get(VERDICT.CHAIN);
  const code = attributes.get(VERDICT.CODE)?.readInt32BE(0) ?? 0;
  return formatVerdict(code, chain?.toString('utf8', 0, chain.length - 1));
}

/** An expression at `start`: sets the counter when it is one. */
function readCounter(draft: Draft, payload: Buffer, start: number, end: number): void {
  const name = findAttribute(payload, start, end, EXPR.NAME);
  if (name < 0 || payload.toString('latin1', name, name + COUNTER_NAME.length) !== COUNTER_NAME) {
    return;
  }
  const content = findAttribute(payload, start, end, EXPR.DATA);
  const packets = findAttribute(payload, content, end, COUNTER.PACKETS);
  const bytes = findAttribute(payload, content, end, COUNTER.BYTES);
  if (content < 0 || packets < 0 || bytes < 0) return;
  draft.counter = {
    packets: payload.readBigUInt64BE(packets),
    bytes: payload.readBigUInt64BE(bytes),
  };
}

/** Offset of the first such attribute's payload, -1 when there is none. */
function findAttribute(payload: Buffer, start: number, end: number, wanted: number): number {
  let at = start;
  while (at >= 0 && at + ATTRIBUTE_BYTES <= end) {
    const length = payload.readUInt16LE(at);
    if (length < ATTRIBUTE_BYTES) return -1;
    if ((payload.readUInt16LE(at + 2) & TYPE_MASK) === wanted) return at + ATTRIBUTE_BYTES;
    at += align4(length);
  }
  return -1;
}

/**
 * A range reaches to right before the next end; without one to the last key of all. `keyBytes` is
 * the length of a key without its padding.
 */
function joinRanges(
  starts: readonly Draft[],
  ends: readonly string[],
  keyBytes: number,
): readonly ObservedElement[] {
  const sortedStarts = starts.toSorted((a, b) => compareText(a.key, b.key));
  const sortedEnds = ends.toSorted(compareText);
  const last = '\xff'.repeat(keyBytes);
  let next = 0;
  for (const start of sortedStarts) {
    let end = sortedEnds[next];
    while (end !== undefined && end <= start.key) end = sortedEnds[++next];
    const inside = end === undefined ? last : (previousKey(end.slice(0, keyBytes)) ?? last);
    const keyEnd = inside.padEnd(start.key.length, '\0');
    if (keyEnd !== start.key) start.keyEnd = keyEnd;
  }
  return sortedStarts;
}
