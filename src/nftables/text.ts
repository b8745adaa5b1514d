/** Register bytes in words, for errors and logs: `10.96.0.1 . tcp . 443`. */
import { macFromBytes } from '../net/mac.ts';
import { readIPBytes, readPortBytes, readU32Bytes } from './bytes.ts';
import type { Element, NamedSet, Table } from './model.ts';
import { paddedLength, slotsOf } from './registers.ts';
import type { Selector } from './selectors.ts';

const PROTOCOL_NAMES = new Map([
  [1, 'icmp'],
  [6, 'tcp'],
  [17, 'udp'],
  [58, 'ipv6-icmp'],
  [132, 'sctp'],
]);

/** `ip weft-proxy`: how a table is named in messages and monitor events. */
export function tableText(table: Pick<Table, 'family' | 'name'>): string {
  return `${table.family} ${table.name}`;
}

/** The fields of a key or of data; hexadecimal when the bytes do not fit the fields. */
export function fieldsText(selectors: readonly Selector[], bytes: string): string {
  if (bytes.length !== paddedLength(selectors)) return hexText(bytes);
  let offset = 0;
  return selectors
    .map((selector) => {
      const text = fieldText(selector, bytes, offset);
      offset += 4 * slotsOf(selector.length);
      return text;
    })
    .join(' . ');
}

/** The key of an element, `first-last` for a range. */
export function elementText(set: NamedSet, element: Element): string {
  const key = fieldsText(set.key, element.key);
  return element.keyEnd === undefined ? key : `${key}-${fieldsText(set.key, element.keyEnd)}`;
}

function fieldText(selector: Selector, bytes: string, offset: number): string {
  const { length, text, isHostOrder } = selector;
  if (length === 4 && isHostOrder) {
    const value = readU32Bytes(bytes, offset);
    return selector.kind === 'meta' ? `0x${value.toString(16)}` : String(value);
  }
  if (selector.kind === 'meta' && length === 1) {
    const value = bytes.charCodeAt(offset);
    return (text === 'meta l4proto' ? PROTOCOL_NAMES.get(value) : undefined) ?? String(value);
  }
  if (isHostOrder) return bytes.slice(offset, offset + length).replace(/\0+$/, '');
  if (length === 2) return String(readPortBytes(bytes, offset));
  if (length === 6) return macFromBytes(Buffer.from(bytes.slice(offset, offset + 6), 'latin1'));
  return readIPBytes(bytes, offset, length === 4 ? 4 : 6);
}

function hexText(bytes: string): string {
  return `0x${Buffer.from(bytes, 'latin1').toString('hex')}`;
}
