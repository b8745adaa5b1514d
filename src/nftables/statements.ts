/** Statements: what a rule does, in order, until one does not match or gives a verdict. */
import { type Cidr, cidrFamily, prefixLength } from '../net/cidr.ts';
import type { IP } from '../net/ip.ts';
import { maskBytes, networkBytes, u8Bytes, u32Bytes } from './bytes.ts';
import type { Limit } from './encode-limit.ts';
import type { RegisterStatement } from './register-statements.ts';
import { paddedLength } from './registers.ts';
import type { Selector } from './selectors.ts';

/** Ports `first` to `last`, both among them. */
export interface PortRange {
  readonly first: number;
  readonly last: number;
}

/** What the sender is told: a TCP reset, or an ICMP error "unreachable". */
export type RejectReason = 'tcp-reset' | 'port' | 'admin-prohibited';

export type Comparison = '==' | '!=';
export type Ordering = '<' | '<=' | '>' | '>=';

/** Values and masks are register bytes, see bytes.ts. Built with the functions below. */
export type Statement =
  | RegisterStatement
  | {
      readonly kind: 'match';
      readonly selector: Selector;
      readonly comparison: Comparison | Ordering;
      /** Not padded; shorter than the field when only its first bytes are compared. */
      readonly value: string;
    }
  | {
      readonly kind: 'matchMasked';
      readonly selector: Selector;
      readonly comparison: Comparison;
      readonly mask: string;
      readonly value: string;
    }
  | {
      readonly kind: 'lookup';
      readonly selectors: readonly Selector[];
      readonly set: string;
      readonly isNegated: boolean;
    }
  | { readonly kind: 'verdictMap'; readonly selectors: readonly Selector[]; readonly map: string }
  | {
      readonly kind: 'dnatToMap';
      readonly family: 'ip' | 'ip6';
      readonly selectors: readonly Selector[];
      readonly map: string;
    }
  | { readonly kind: 'dnat'; readonly address: IP; readonly port: number | undefined }
  | {
      readonly kind: 'masquerade';
      readonly isFullyRandom: boolean;
      readonly ports: PortRange | undefined;
    }
  | { readonly kind: 'reject'; readonly reason: RejectReason }
  | {
      readonly kind: 'log';
      readonly group: number;
      readonly prefix: string;
      readonly snapLength: number;
    }
  | { readonly kind: 'counter' | 'notrack' }
  | { readonly kind: 'setMark' | 'setConnectionMark'; readonly mask: number; readonly xor: number }
  | { readonly kind: 'trace' }
  | { readonly kind: 'verdict'; readonly verdict: string }
  | {
      readonly kind: 'xtMatch';
      readonly name: string;
      readonly revision: number;
      /** The match's own struct, padded to 8 bytes. */
      readonly content: string;
    }
  | {
      readonly kind: 'updateSet';
      readonly selectors: readonly Selector[];
      readonly set: string;
      readonly data: readonly Selector[];
      readonly timeoutMs: number | undefined;
      readonly over: Limit | undefined;
    }
  | { readonly kind: 'limit'; readonly limit: Limit; readonly isOver: boolean };

/**
 * Continues when the field equals (or differs from) `bytes`. Bytes shorter than the field compare
 * its beginning: `match(meta.iifname, '==', 'veth')` is nft's `iifname "veth*"`.
 */
export function match(selector: Selector, comparison: Comparison, bytes: string): Statement {
  if (bytes.length === 0 || bytes.length > paddedLength([selector])) {
    throw new RangeError(`match ${selector.text}: ${bytes.length} bytes`);
  }
  return { kind: 'match', selector, comparison, value: bytes.slice(0, selector.length) };
}

/** Continues when the field, one in network order, is before or behind `bytes`. */
export function matchOrder(selector: Selector, comparison: Ordering, bytes: string): Statement {
  if (selector.isHostOrder || bytes.length !== paddedLength([selector])) {
    throw new RangeError(`order of ${selector.text}: ${bytes.length} bytes`);
  }
  return { kind: 'match', selector, comparison, value: bytes.slice(0, selector.length) };
}

/**
 * Continues when `(field & mask) == value`. For four-byte fields in host order (marks, connection
 * state and status) and those of one byte: `matchBits(ct.state, 8, '!=', 0)` is `ct state new`.
 */
export function matchBits(
  selector: Selector,
  mask: number,
  comparison: Comparison,
  value: number,
): Statement {
  const isNumber = selector.length === 1 || (selector.length === 4 && selector.isHostOrder);
  if (!isNumber) throw new RangeError(`match bits of ${selector.text}: not a number in host order`);
  const bytesOf = selector.length === 1 ? u8Bytes : u32Bytes;
  return {
    kind: 'matchMasked',
    selector,
    comparison,
    mask: bytesOf(mask),
    value: bytesOf(value),
  };
}

/** Continues when an address field is inside (or outside) a network of the same family. */
export function matchCidr(selector: Selector, comparison: Comparison, cidr: Cidr): Statement {
  if (selector.length !== (cidrFamily(cidr) === 4 ? 4 : 16) || selector.isHostOrder) {
    throw new RangeError(`match ${selector.text} with ${cidr}: not an address of that family`);
  }
  const network = networkBytes(cidr);
  const length = prefixLength(cidr);
  if (length > 0 && length % 8 === 0 && selector.kind === 'payload') {
    return { kind: 'match', selector, comparison, value: network.slice(0, length / 8) };
  }
  return { kind: 'matchMasked', selector, comparison, mask: maskBytes(cidr), value: network };
}

/** Continues when the fields together are (or are not) an element of the set. */
export function lookup(
  selectors: readonly Selector[],
  set: string,
  options: { readonly isNegated?: boolean } = {},
): Statement {
  return { kind: 'lookup', selectors, set, isNegated: options.isNegated ?? false };
}

/** Does what the verdict map says for these fields; continues when they are not in it. */
export function verdictMap(selectors: readonly Selector[], map: string): Statement {
  return { kind: 'verdictMap', selectors, map };
}

/**
 * Rewrites the destination to the `address . port` that the map holds for these fields; continues
 * when they are not in it. Only in chains of type nat at prerouting or output, or reached from one.
 */
export function dnatToMap(
  family: 'ip' | 'ip6',
  selectors: readonly Selector[],
  map: string,
): Statement {
  return { kind: 'dnatToMap', family, selectors, map };
}

/** Rewrites the destination to a constant; without a port the packet keeps its own. */
export function dnat(address: IP, port?: number): Statement {
  return { kind: 'dnat', address, port };
}

/**
 * Rewrites the source to the address of the outgoing interface; ends the chain. With `ports`, which
 * nft lists only behind a match of the protocol, the source port becomes one of these.
 */
export function masquerade(
  options: { readonly isFullyRandom?: boolean; readonly ports?: PortRange } = {},
): Statement {
  return {
    kind: 'masquerade',
    isFullyRandom: options.isFullyRandom ?? false,
    ports: options.ports,
  };
}

/**
 * Drops and answers: ICMP port unreachable, what `reason` says, or a TCP reset (match TCP first).
 * Allowed at prerouting since kernel 5.9.
 */
export function reject(reason: RejectReason = 'port'): Statement {
  return { kind: 'reject', reason };
}

/** Gives the first `snapLength` bytes of the packet to whoever listens to the NFLOG group; continues. */
export function log(
  group: number,
  options: { readonly prefix: string; readonly snapLength: number },
): Statement {
  return { kind: 'log', group, ...options };
}

/** Counts packets and bytes that come this far in the rule. */
export function counter(): Statement {
  return { kind: 'counter' };
}

/**
 * `mark = (mark & mask) ^ xor`. To set bits: mask without them, xor with them; to flip: a mask of
 * 0xffffffff; to assign: a mask of 0.
 */
export function setMark(change: { readonly mask: number; readonly xor: number }): Statement {
  return { kind: 'setMark', mask: change.mask >>> 0, xor: change.xor >>> 0 };
}

/** As `setMark`, for the mark of the connection. */
export function setConnectionMark(change: {
  readonly mask: number;
  readonly xor: number;
}): Statement {
  return { kind: 'setConnectionMark', mask: change.mask >>> 0, xor: change.xor >>> 0 };
}

/**
 * Adds the fields to a dynamic set, or renews their timeout when they are in it. With `data` (for
 * maps) also remembers the value of those fields. With `over` the rule goes on only for packets of
 * these fields beyond the rate. When the set is full the rule does not match.
 */
export function updateSet(
  selectors: readonly Selector[],
  set: string,
  options: {
    readonly timeoutMs?: number;
    readonly data?: readonly Selector[];
    readonly over?: Limit;
  } = {},
): Statement {
  const { timeoutMs, data = [], over } = options;
  return { kind: 'updateSet', selectors, set, data, timeoutMs, over };
}

/** Goes on for packets within the rate, or beyond it; all that come here are counted together. */
export function limit(
  rate: Limit,
  { isOver = false }: { readonly isOver?: boolean } = {},
): Statement {
  return { kind: 'limit', limit: rate, isOver };
}

/**
 * A match of xtables, for rules that iptables shall be able to print: it knows few of the kernel's
 * own expressions. `content` is the struct of include/uapi/linux/netfilter/xt_<name>.h.
 */
export function xtMatch(name: string, revision: number, content: string): Statement {
  return { kind: 'xtMatch', name, revision, content: content.padEnd(paddedToEight(content), '\0') };
}

/** Has the kernel report every rule and base chain that the packet meets from here on. */
export const trace: Statement = { kind: 'trace' };
/** Lets the packet pass this hook; later base chains still see it. */
export const accept: Statement = { kind: 'verdict', verdict: 'accept' };
/** Keeps connection tracking, and so NAT, away from the packet. In chains that run before it (raw). */
export const notrack: Statement = { kind: 'notrack' };
/** Discards the packet for good. */
export const drop: Statement = { kind: 'verdict', verdict: 'drop' };
/** Back to the rule after the jump; in a base chain the policy applies. */
export const returnVerdict: Statement = { kind: 'verdict', verdict: 'return' };

/** Continues in another chain and does not come back here. */
export function goTo(chain: string): Statement {
  return { kind: 'verdict', verdict: `goto ${chain}` };
}

/** Continues in another chain and comes back here unless that gives a verdict. */
export function jump(chain: string): Statement {
  return { kind: 'verdict', verdict: `jump ${chain}` };
}

function paddedToEight({ length }: string): number {
  return Math.ceil(length / 8) * 8;
}
