/**
 * Address text to numbers and back, by character codes: the parser behind net/ip.ts and net/cidr.ts.
 * Strict mode accepts what Go's netip.ParseAddr accepts (without zones); sloppy mode is what
 * Kubernetes keeps for old API objects: leading zeros are decimal, never octal.
 */

const CODE_0 = 48;
const CODE_9 = 57;
const CODE_DOT = 46;
const CODE_COLON = 58;
const CODE_UPPER_A = 65;
const CODE_LOWER_A = 97;

/** The number 0..2^32-1 of the dotted quad that fills `text` from `start`; -1 when it is none. */
export function readIPv4(text: string, start: number, isSloppy: boolean): number {
  let value = 0;
  let octet = 0;
  let digits = 0;
  let parts = 0;
  for (let at = start; at < text.length; at++) {
    const code = text.charCodeAt(at);
    if (code >= CODE_0 && code <= CODE_9) {
      if (digits > 0 && octet === 0 && !isSloppy) return -1;
      octet = octet * 10 + code - CODE_0;
      digits++;
      if (octet > 255) return -1;
    } else if (code === CODE_DOT && digits > 0 && parts < 3) {
      value = value * 256 + octet;
      parts++;
      octet = 0;
      digits = 0;
    } else {
      return -1;
    }
  }
  return parts === 3 && digits > 0 ? value * 256 + octet : -1;
}

/** The eight 16-bit groups of IPv6 text (a dotted quad may stand for the last two), or undefined. */
export function readIPv6(text: string, isSloppy: boolean): Uint16Array | undefined {
  const groups = new Uint16Array(8);
  const end = text.length;
  let count = 0;
  let ellipsis = -1;
  let at = 0;
  if (text.startsWith('::')) {
    ellipsis = 0;
    at = 2;
  }
  while (at < end && count < 8) {
    const fieldEnd = endOfHexField(text, at);
    if (text.charCodeAt(fieldEnd) === CODE_DOT) {
      const quad = readIPv4(text, at, isSloppy);
      if (quad < 0 || count > 6) return undefined;
      groups[count] = quad >>> 16;
      groups[count + 1] = quad & 0xffff;
      count += 2;
      at = end;
      break;
    }
    const field = readHexField(text, at, fieldEnd, isSloppy);
    if (field < 0) return undefined;
    groups[count] = field;
    count++;
    at = fieldEnd;
    if (at === end) break;
    if (text.charCodeAt(at) !== CODE_COLON || at + 1 === end) return undefined;
    at++;
    if (text.charCodeAt(at) === CODE_COLON) {
      if (ellipsis >= 0) return undefined;
      ellipsis = count;
      at++;
    }
  }
  if (at !== end) return undefined;
  return expandEllipsis(groups, count, ellipsis);
}

/** Dotted-quad text of a number 0..2^32-1. */
export function formatIPv4(value: number): string {
  return `${value >>> 24}.${(value >>> 16) & 0xff}.${(value >>> 8) & 0xff}.${value & 0xff}`;
}

/**
 * RFC 5952 text of eight groups: lower case, no leading zeros, the first longest run of at least
 * two zero groups folded; an IPv4-mapped address keeps its quad (`::ffff:10.0.0.1`).
 */
export function formatIPv6(groups: Uint16Array): string {
  if (isIPv4Mapped(groups)) return `::ffff:${formatIPv4(embeddedIPv4(groups))}`;
  let bestStart = -1;
  let bestLength = 1;
  for (let start = 0; start < 8; start++) {
    let length = 0;
    while (start + length < 8 && groups[start + length] === 0) length++;
    if (length > bestLength) {
      bestStart = start;
      bestLength = length;
    }
    start += length;
  }
  if (bestStart < 0) return hexGroups(groups, 0, 8);
  return `${hexGroups(groups, 0, bestStart)}::${hexGroups(groups, bestStart + bestLength, 8)}`;
}

/** True for `::ffff:0:0/96` (RFC 4291 section 2.5.5.2). */
export function isIPv4Mapped(groups: Uint16Array): boolean {
  if (groups[5] !== 0xffff) return false;
  for (let index = 0; index < 5; index++) if (groups[index] !== 0) return false;
  return true;
}

/** The last 32 bits of eight groups as a number. */
export function embeddedIPv4(groups: Uint16Array): number {
  return (groups[6] ?? 0) * 0x10000 + (groups[7] ?? 0);
}

function expandEllipsis(
  groups: Uint16Array,
  count: number,
  ellipsis: number,
): Uint16Array | undefined {
  if (count === 8) return ellipsis < 0 ? groups : undefined;
  if (ellipsis < 0) return undefined;
  const tailStart = 8 - (count - ellipsis);
  // By hand: copyWithin and fill cost more than all the rest on so few.
  for (let at = 7; at >= ellipsis; at--) {
    groups[at] = at < tailStart ? 0 : (groups[at - tailStart + ellipsis] ?? 0);
  }
  return groups;
}

function endOfHexField(text: string, start: number): number {
  let at = start;
  while (at < text.length && hexDigit(text.charCodeAt(at)) >= 0) at++;
  return at;
}

function readHexField(text: string, start: number, end: number, isSloppy: boolean): number {
  if (end === start || (end - start > 4 && !isSloppy)) return -1;
  let value = 0;
  for (let at = start; at < end; at++) {
    value = value * 16 + hexDigit(text.charCodeAt(at));
    if (value > 0xffff) return -1;
  }
  return value;
}

function hexDigit(code: number): number {
  if (code >= CODE_0 && code <= CODE_9) return code - CODE_0;
  if (code >= CODE_LOWER_A && code < CODE_LOWER_A + 6) return code - CODE_LOWER_A + 10;
  if (code >= CODE_UPPER_A && code < CODE_UPPER_A + 6) return code - CODE_UPPER_A + 10;
  return -1;
}

function hexGroups(groups: Uint16Array, start: number, end: number): string {
  let text = '';
  for (let index = start; index < end; index++) {
    if (index > start) text += ':';
    text += (groups[index] ?? 0).toString(16);
  }
  return text;
}
