/**
 * User data: bytes that the kernel keeps with an object and only `nft` reads. It holds comments
 * and, for sets, what their key was made of (`typeof`), without which nft could not print keys with
 * a generated number. Records of type, length (one byte each) and value, unpadded, as libnftnl's
 * udata.h and nft's src/*.c build_udata functions write them.
 */
import { assertNever } from '../util/errors.ts';
import { u32Bytes } from './bytes.ts';
import { NUMGEN_RANDOM } from './constants.ts';
import type { NamedSet } from './model.ts';
import { ct, type Selector } from './selectors.ts';

/** NFT_USERDATA_MAXLEN */
const MOST_BYTES = 256;
/** nft reads no longer comments; the NUL behind it makes 128. */
const MOST_COMMENT_BYTES = 127;
const COMMENT = 0;

const SET = {
  KEY_BYTE_ORDER: 0,
  DATA_BYTE_ORDER: 1,
  KEY_TYPEOF: 3,
  DATA_TYPEOF: 4,
  DATA_INTERVAL: 6,
  COMMENT: 7,
} as const;

/** enum expr_types of nft: the kinds of expressions `typeof` can name. */
const EXPRESSION = { payload: 7, meta: 9, ct: 12, concat: 13, numgen: 23, fib: 26 } as const;
/** enum ip_conntrack_dir */
const DIRECTIONS = { original: 0, reply: 1 } as const;
const NO_DIRECTION = 0xffffffff;
const FIB_RESULT_ADDRTYPE = 3;

/** The comment as it can be stored: cut before a character so that it fits into `mostBytes`. */
export function fitComment(comment: string, mostBytes = MOST_COMMENT_BYTES): string {
  // No character of UTF-16 needs more than three bytes of UTF-8.
  if (comment.length * 3 <= mostBytes) return comment;
  const bytes = Buffer.from(comment, 'utf8');
  if (bytes.length <= mostBytes) return comment;
  let end = mostBytes;
  while (((bytes[end] ?? 0) & 0xc0) === 0x80) end--;
  return bytes.toString('utf8', 0, end);
}

/** User data of a table, chain, rule or element with a comment. */
export function commentUserdata(comment: string): Buffer {
  return Buffer.from(record(COMMENT, commentValue(comment)), 'latin1');
}

/** The comment in the user data of a table, chain, rule or element. */
export function readComment(userdata: Buffer | undefined): string | undefined {
  return readText(userdata, COMMENT);
}

/** The comment in the user data of a set. */
export function readSetComment(userdata: Buffer | undefined): string | undefined {
  return readText(userdata, SET.COMMENT);
}

/**
 * User data of a set: byte orders, comment, and `typeof` where there is room. Verdict maps get
 * none: nft 1.0.6 prints `typeof` only when it knows both sides.
 */
export function setUserdata(set: NamedSet): Buffer {
  const { key, data, comment } = set;
  const values = typeof data === 'object' ? data : undefined;
  let head = record(SET.KEY_BYTE_ORDER, u32Bytes(byteOrder(key)));
  let tail = comment === undefined ? '' : record(SET.COMMENT, commentValue(comment));
  if (data !== undefined) {
    head += record(SET.DATA_BYTE_ORDER, u32Bytes(values === undefined ? 0 : byteOrder(values)));
    tail = record(SET.DATA_INTERVAL, u32Bytes(0)) + tail;
  }
  let types = '';
  if (data !== 'verdict' && [...key, ...(values ?? [])].every(isDescribable)) {
    types += record(SET.KEY_TYPEOF, typeOf(key));
    if (values !== undefined) types += record(SET.DATA_TYPEOF, typeOf(values));
  }
  const whole = head + types + tail;
  return Buffer.from(whole.length <= MOST_BYTES ? whole : head + tail, 'latin1');
}

/** nft 1.0.6 loses the type of a port that `typeof` names as one of the original tuple. */
function isDescribable(selector: Selector): boolean {
  return !(selector.kind === 'ct' && selector.key === ct.originalDport.key);
}

/** nft's enum byteorder: 0 for concatenations, 1 host, 2 network. */
function byteOrder(selectors: readonly Selector[]): number {
  const [first] = selectors;
  if (first === undefined || selectors.length > 1) return 0;
  return first.isHostOrder ? 1 : 2;
}

function typeOf(selectors: readonly Selector[]): string {
  const [first] = selectors;
  if (first !== undefined && selectors.length === 1) return expression(...describe(first));
  const fields = selectors.map((selector, i) => {
    const [kind, content] = describe(selector);
    return record(i, record(0, u32Bytes(kind)) + record(1, content));
  });
  return expression(EXPRESSION.concat, fields.join(''));
}

function expression(kind: number, content: string): string {
  return record(0, u32Bytes(kind)) + record(1, content);
}

function describe(selector: Selector): readonly [kind: number, content: string] {
  switch (selector.kind) {
    case 'payload': {
      const place =
        record(0, u32Bytes(selector.header)) + record(1, u32Bytes(selector.headerField));
      return [EXPRESSION.payload, place];
    }
    case 'meta':
      return [EXPRESSION.meta, record(0, u32Bytes(selector.key))];
    case 'ct': {
      const { tuple } = selector;
      const direction = tuple === undefined ? NO_DIRECTION : DIRECTIONS[tuple];
      return [EXPRESSION.ct, record(0, u32Bytes(selector.key)) + record(1, u32Bytes(direction))];
    }
    case 'fib': {
      const content =
        record(0, u32Bytes(FIB_RESULT_ADDRTYPE)) + record(1, u32Bytes(selector.flags));
      return [EXPRESSION.fib, content];
    }
    case 'numgen':
    case 'hash':
      // nft 1.0.6 crashes on a `typeof` with a hash; a generated number has the same type.
      return describeNumber(selector.modulus, selector.offset);
    default:
      return assertNever(selector, 'selector');
  }
}

function describeNumber(modulus: number, offset: number): readonly [number, string] {
  const content =
    record(0, u32Bytes(NUMGEN_RANDOM)) + record(1, u32Bytes(modulus)) + record(2, u32Bytes(offset));
  return [EXPRESSION.numgen, content];
}

function commentValue(comment: string): string {
  return `${Buffer.from(fitComment(comment), 'utf8').toString('latin1')}\0`;
}

function record(type: number, value: string): string {
  return String.fromCharCode(type, value.length) + value;
}

function readText(userdata: Buffer | undefined, wanted: number): string | undefined {
  if (userdata === undefined) return undefined;
  let at = 0;
  while (at + 2 <= userdata.length) {
    const type = userdata[at];
    const end = at + 2 + (userdata[at + 1] ?? 0);
    if (type === wanted && end <= userdata.length) {
      return userdata.toString('utf8', at + 2, end - 1);
    }
    at = end;
  }
  return undefined;
}
