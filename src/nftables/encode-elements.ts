/**
 * Set elements as messages. Tables of a proxy hold tens of thousands, so this path writes straight
 * into one buffer instead of composing attributes.
 *
 * An attribute's length is 16 bits, so one message holds less than 64 KB of elements; a longer list
 * becomes several messages.
 */
import { align4 } from '../netlink/attributes.ts';
import { NLM_F_CREATE, NLM_F_REQUEST } from '../netlink/message.ts';
import { nextKey } from './bytes.ts';
import {
  DATA,
  ELEMENT,
  ELEMENT_INTERVAL_END,
  ELEMENT_LIST,
  LIST_ELEM,
  MSG,
  NFNL_SUBSYS_NFTABLES,
  NLA_F_NESTED,
  VERDICT,
} from './constants.ts';
import { encodeSetName } from './encode-objects.ts';
import type { MessageBuffer } from './message-buffer.ts';
import type { Element, NamedSet, Table } from './model.ts';
import { keyLength } from './registers.ts';
import { commentUserdata } from './userdata.ts';
import { parseVerdict } from './verdicts.ts';

const ATTRIBUTE_BYTES = 4;
/** Leaves room for the longest element below the limit of 65,535. */
const FULL_BYTES = 62_000;
/** Two keys and data of 64 bytes, a chain name of 256, user data of 256, headers. */
const MOST_ELEMENT_BYTES = 1024;
/** NFT_DATA_VALUE_MAXLEN */
const MOST_VALUE_BYTES = 64;

interface Shape {
  /** One field alone travels without its padding. */
  readonly keyBytes: number | undefined;
  readonly dataBytes: number | undefined;
  readonly isVerdict: boolean;
  /** Ranges of one field are a start element and an end element, which is the first key outside. */
  readonly hasEndElements: boolean;
  /** Ranges of several fields have both ends in one element; nft takes one without an end for half. */
  readonly hasKeyEnds: boolean;
  readonly isDelete: boolean;
}

/** Appends NEWSETELEM or DELSETELEM messages; gives the first element's index of each. */
export function writeElements(
  buffer: MessageBuffer,
  table: Table,
  operation: {
    readonly set: NamedSet;
    readonly elements: readonly Element[];
    readonly isDelete: boolean;
  },
): number[] {
  const { set, elements, isDelete } = operation;
  const shape = shapeOf(set, isDelete);
  const payload = encodeSetName(table, set.name);
  const command = isDelete ? MSG.DELSETELEM : MSG.NEWSETELEM;
  const firsts: number[] = [];
  let next = 0;
  while (next < elements.length) {
    firsts.push(next);
    buffer.begin(
      (NFNL_SUBSYS_NFTABLES << 8) | command,
      NLM_F_REQUEST | (isDelete ? 0 : NLM_F_CREATE),
      payload,
    );
    next = writeList(buffer, shape, elements, next);
    buffer.end();
  }
  return firsts;
}

function shapeOf(set: NamedSet, isDelete: boolean): Shape {
  const { key, data } = set;
  const hasOneValue = data !== undefined && data !== 'verdict' && data.length === 1;
  return {
    keyBytes: key.length === 1 ? keyLength(key) : undefined,
    dataBytes: hasOneValue ? keyLength(data) : undefined,
    isVerdict: data === 'verdict',
    hasEndElements: set.isInterval === true && key.length === 1,
    hasKeyEnds: set.isInterval === true && key.length > 1,
    isDelete,
  };
}

/** Writes one NFTA_SET_ELEM_LIST_ELEMENTS; gives the index of the first element left out. */
function writeList(
  buffer: MessageBuffer,
  shape: Shape,
  elements: readonly Element[],
  first: number,
): number {
  const start = buffer.length;
  buffer.reserve(ATTRIBUTE_BYTES);
  buffer.length += ATTRIBUTE_BYTES;
  let index = first;
  for (; index < elements.length && buffer.length - start < FULL_BYTES; index++) {
    const element = elements[index];
    if (element === undefined) break;
    buffer.reserve(2 * MOST_ELEMENT_BYTES);
    buffer.length = writeElement(buffer.bytes, buffer.length, shape, element);
    if (shape.hasEndElements) {
      buffer.length = writeEndElement(buffer.bytes, buffer.length, shape, element);
    }
  }
  const type = ELEMENT_LIST.ELEMENTS | NLA_F_NESTED;
  writeAttributeHeader(buffer.bytes, start, buffer.length - start, type);
  return index;
}

function writeElement(bytes: Buffer, start: number, shape: Shape, element: Element): number {
  let at = start + ATTRIBUTE_BYTES;
  at = writeValue(bytes, at, ELEMENT.KEY, element.key, shape.keyBytes);
  if (shape.hasKeyEnds) {
    const keyEnd = element.keyEnd ?? element.key;
    at = writeValue(bytes, at, ELEMENT.KEY_END, keyEnd, shape.keyBytes);
  }
  if (!shape.isDelete) at = writeContent(bytes, at, shape, element);
  writeAttributeHeader(bytes, start, at - start, LIST_ELEM | NLA_F_NESTED);
  return at;
}

/** A range that ends with the last key of all has no end element. */
function writeEndElement(bytes: Buffer, start: number, shape: Shape, element: Element): number {
  const end = nextKey((element.keyEnd ?? element.key).slice(0, shape.keyBytes));
  if (end === undefined) return start;
  let at = start + ATTRIBUTE_BYTES;
  at = writeValue(bytes, at, ELEMENT.KEY, end, shape.keyBytes);
  at = writeU32(bytes, at, ELEMENT.FLAGS, ELEMENT_INTERVAL_END);
  writeAttributeHeader(bytes, start, at - start, LIST_ELEM | NLA_F_NESTED);
  return at;
}

function writeContent(bytes: Buffer, start: number, shape: Shape, element: Element): number {
  const { data, timeoutMs, comment } = element;
  let at = start;
  if (data !== undefined) {
    at = shape.isVerdict
      ? writeVerdict(bytes, at, data)
      : writeValue(bytes, at, ELEMENT.DATA, data, shape.dataBytes);
  }
  if (timeoutMs !== undefined) {
    writeAttributeHeader(bytes, at, ATTRIBUTE_BYTES + 8, ELEMENT.TIMEOUT);
    bytes.writeBigUInt64BE(BigInt(timeoutMs), at + ATTRIBUTE_BYTES);
    at += ATTRIBUTE_BYTES + 8;
  }
  if (comment !== undefined) {
    const userdata = commentUserdata(comment);
    writeAttributeHeader(bytes, at, ATTRIBUTE_BYTES + userdata.length, ELEMENT.USERDATA);
    bytes.set(userdata, at + ATTRIBUTE_BYTES);
    at += ATTRIBUTE_BYTES + align4(userdata.length);
  }
  return at;
}

/** `type { NFTA_DATA_VALUE bytes }` */
function writeValue(
  bytes: Buffer,
  start: number,
  type: number,
  value: string,
  length = value.length,
): number {
  const inner = start + ATTRIBUTE_BYTES;
  const written = Math.min(length, value.length);
  const end = inner + ATTRIBUTE_BYTES + align4(written);
  if (written > MOST_VALUE_BYTES) throw new RangeError(`element of ${written} bytes: too long`);
  writeAttributeHeader(bytes, start, end - start, type | NLA_F_NESTED);
  writeAttributeHeader(bytes, inner, ATTRIBUTE_BYTES + written, DATA.VALUE);
  bytes.write(value, inner + ATTRIBUTE_BYTES, written, 'latin1');
  return end;
}

/** `NFTA_SET_ELEM_DATA { NFTA_DATA_VERDICT { code, chain } }` */
function writeVerdict(bytes: Buffer, start: number, text: string): number {
  const { code, chain } = parseVerdict(text);
  const inner = start + ATTRIBUTE_BYTES;
  let at = writeU32(bytes, inner + ATTRIBUTE_BYTES, VERDICT.CODE, code >>> 0);
  if (chain !== undefined) {
    const length = bytes.write(chain, at + ATTRIBUTE_BYTES) + 1;
    writeAttributeHeader(bytes, at, ATTRIBUTE_BYTES + length, VERDICT.CHAIN);
    at += ATTRIBUTE_BYTES + align4(length);
  }
  writeAttributeHeader(bytes, inner, at - inner, DATA.VERDICT | NLA_F_NESTED);
  writeAttributeHeader(bytes, start, at - start, ELEMENT.DATA | NLA_F_NESTED);
  return at;
}

function writeU32(bytes: Buffer, at: number, type: number, value: number): number {
  writeAttributeHeader(bytes, at, ATTRIBUTE_BYTES + 4, type);
  bytes.writeUInt32BE(value, at + ATTRIBUTE_BYTES);
  return at + ATTRIBUTE_BYTES + 4;
}

function writeAttributeHeader(bytes: Buffer, at: number, length: number, type: number): void {
  bytes[at] = length & 0xff;
  bytes[at + 1] = length >>> 8;
  bytes[at + 2] = type & 0xff;
  bytes[at + 3] = type >>> 8;
}
