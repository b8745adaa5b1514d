/**
 * Conditions in the syntax of nft, as the configuration gives them. Each word is read and becomes a
 * statement of ours: nothing of the text reaches a rule. Understood are, in any number,
 *
 *     ip|ip6 saddr|daddr              address, prefix, range
 *     tcp|udp|sctp|th sport|dport     number, range; also behind < <= > >=
 *     iifname|oifname                 name, beginning of a name with `*`
 *     meta mark [& mask]              number
 *     meta l4proto, ip protocol       name, number
 *     fib saddr|daddr type            unicast, local, broadcast, multicast
 *
 * with `==` or `!=` in front of a value or of a set `{ a, b }`.
 */
import { cidrFamily, hostCidr, tryParseCidr } from '../../net/cidr.ts';
import { type IPFamily, ipFamily, tryParseIP } from '../../net/ip.ts';
import {
  ifnameBytes,
  ipBytes,
  portBytes,
  protocolBytes,
  u8Bytes,
  u32Bytes,
} from '../../nftables/bytes.ts';
import { fib, ip, ip6, meta, type Selector, th } from '../../nftables/selectors.ts';
import {
  type Comparison,
  match,
  matchBits,
  matchCidr,
  matchOrder,
  type Ordering,
  type Statement,
} from '../../nftables/statements.ts';
import { ConfigError } from '../../util/errors.ts';
import { type Condition, eitherOf, NO_CONDITION, together } from './alternatives.ts';

/** Where a condition comes from, for its errors and for what its addresses must be. */
export interface ConditionPlace {
  /** Of the configuration. */
  readonly key: string;
  readonly family: IPFamily;
}

/** What a value stands for, and everything else. */
interface Values {
  readonly is: Condition;
  readonly isNot: Condition;
}

type ValueReader = (text: string) => Values | undefined;

const TOKEN = /"[^"]*"|[!=<>]=|[<>&{},]|[^\s{},"!=<>&]+|\S/g;
const ORDERINGS: readonly Ordering[] = ['<', '<=', '>', '>='];
const ADDRESSES = { ip, ip6 } as const;
const PORT_OWNERS: readonly string[] = ['tcp', 'udp', 'sctp', 'th'];
const IFNAME_BYTES = 16;
const PROTOCOLS: ReadonlyMap<string, number> = new Map(
  Object.entries({ icmp: 1, tcp: 6, udp: 17, dccp: 33, esp: 50, ah: 51, icmpv6: 58, sctp: 132 }),
);
/** uapi/linux/rtnetlink.h RTN_* */
const ADDRESS_TYPES: ReadonlyMap<string, number> = new Map(
  Object.entries({ unicast: 1, local: 2, broadcast: 3, multicast: 5 }),
);

/** The words with one space between them: equal for conditions that differ in spaces alone. */
export function conditionText(words: readonly string[]): string {
  return tokensOf(words.join(' ')).join(' ');
}

/** Throws ConfigError (CNI code 7) that names the first word which is not understood. */
export function parseCondition(text: string, place: ConditionPlace): Condition {
  const reader = new ConditionReader(tokensOf(text), place);
  let condition = NO_CONDITION;
  while (!reader.isAtEnd) condition = together(condition, reader.readMatch(), place.key);
  return condition;
}

function tokensOf(text: string): readonly string[] {
  return text.match(TOKEN) ?? [];
}

class ConditionReader {
  readonly #tokens: readonly string[];
  readonly #place: ConditionPlace;
  #position = 0;

  constructor(tokens: readonly string[], place: ConditionPlace) {
    this.#tokens = tokens;
    this.#place = place;
  }

  get isAtEnd(): boolean {
    return this.#position >= this.#tokens.length;
  }

  /** A field and what it is compared with. */
  readMatch(): Condition {
    const first = this.#take();
    const word = first === 'meta' ? this.#take() : first;
    if (first === 'ip' || first === 'ip6') return this.#readHeader(first);
    if (PORT_OWNERS.includes(first)) return this.#readPort(first);
    if (word === 'iifname' || word === 'oifname') return this.#readValues(interfaces(meta[word]));
    if (word === 'mark') return this.#readMark();
    if (first === 'meta' && word === 'l4proto') return this.#readValues(readProtocol);
    if (first === 'fib') return this.#readAddressType();
    return this.#refuse();
  }

  #readHeader(header: 'ip' | 'ip6'): Condition {
    if ((header === 'ip' ? 4 : 6) !== this.#place.family) this.#refuse();
    const field = this.#take();
    if (header === 'ip' && field === 'protocol') return this.#readValues(readProtocol);
    if (field !== 'saddr' && field !== 'daddr') return this.#refuse();
    return this.#readValues(addresses(ADDRESSES[header][field], this.#place.family));
  }

  #readPort(owner: string): Condition {
    const field = this.#take();
    if (field !== 'sport' && field !== 'dport') return this.#refuse();
    const ordering = ORDERINGS.find((each) => each === this.#next);
    const condition =
      ordering === undefined
        ? this.#readValues(portsOf(th[field]))
        : this.#readOrder(th[field], ordering);
    if (owner !== 'tcp' && owner !== 'udp' && owner !== 'sctp') return condition;
    const isOwner = match(meta.l4proto, '==', protocolBytes(owner));
    return together([[isOwner]], condition, this.#place.key);
  }

  #readOrder(selector: Selector, ordering: Ordering): Condition {
    this.#position += 1;
    const port = parseNumber(this.#take(), 0xffff) ?? this.#refuse();
    return [[matchOrder(selector, ordering, portBytes(port))]];
  }

  #readMark(): Condition {
    let mask = 0xffffffff;
    if (this.#next === '&' || this.#next === 'and') {
      this.#position += 1;
      mask = parseNumber(this.#take(), 0xffffffff) ?? this.#refuse();
    }
    return this.#readValues((text) => {
      const mark = parseNumber(text, 0xffffffff);
      if (mark === undefined) return undefined;
      return mask === 0xffffffff
        ? only((comparison) => match(meta.mark, comparison, u32Bytes(mark)))
        : only((comparison) => matchBits(meta.mark, mask, comparison, mark));
    });
  }

  #readAddressType(): Condition {
    const field = this.#take();
    if (field !== 'saddr' && field !== 'daddr') return this.#refuse();
    if (this.#take() !== 'type') this.#refuse();
    const selector = field === 'saddr' ? fib.saddrType : fib.daddrType;
    return this.#readValues((text) => {
      const type = ADDRESS_TYPES.get(text);
      if (type === undefined) return undefined;
      return only((comparison) => match(selector, comparison, u32Bytes(type)));
    });
  }

  #readValues(read: ValueReader): Condition {
    const isNegated = this.#next === '!=';
    if (isNegated || this.#next === '==') this.#position += 1;
    const values = this.#readSet(read);
    if (!isNegated) return eitherOf(values.map(({ is }) => is));
    const { key } = this.#place;
    return values.reduce((all, { isNot }) => together(all, isNot, key), NO_CONDITION);
  }

  /** One value, or several in braces. */
  #readSet(read: ValueReader): readonly Values[] {
    const readOne = () => read(this.#take().replaceAll('"', '')) ?? this.#refuse();
    if (this.#next !== '{') return [readOne()];
    this.#position += 1;
    for (const values = [readOne()]; ; values.push(readOne())) {
      const separator = this.#take();
      if (separator === '}') return values;
      if (separator !== ',') this.#refuse();
    }
  }

  get #next(): string | undefined {
    return this.#tokens[this.#position];
  }

  #take(): string {
    const token = this.#next ?? '';
    this.#position += 1;
    return token;
  }

  /** The last word taken. */
  #refuse(): never {
    const token = this.#tokens[this.#position - 1];
    const what =
      token === undefined ? 'ends too early' : `${JSON.stringify(token)} is not understood`;
    throw new ConfigError(
      this.#place.key,
      `${what}: say it in the syntax of iptables, with backend "iptables"`,
    );
  }
}

function only(build: (comparison: Comparison) => Statement): Values {
  return { is: [[build('==')]], isNot: [[build('!=')]] };
}

function between(selector: Selector, low: string, high: string): Values {
  return {
    is: [[matchOrder(selector, '>=', low), matchOrder(selector, '<=', high)]],
    isNot: [[matchOrder(selector, '<', low)], [matchOrder(selector, '>', high)]],
  };
}

/** Bits behind a prefix do not matter, as in nft. */
function addresses(selector: Selector, family: IPFamily): ValueReader {
  return (text) => {
    const [low, high, ...more] = text.split('-').map(tryParseIP);
    if (low === undefined || high === undefined || more.length > 0) {
      const cidr = tryParseCidr(text) ?? (low && !text.includes('-') ? hostCidr(low) : undefined);
      if (cidr === undefined || cidrFamily(cidr) !== family) return undefined;
      return only((comparison) => matchCidr(selector, comparison, cidr));
    }
    const isOfFamily = ipFamily(low) === family && ipFamily(high) === family;
    return isOfFamily ? between(selector, ipBytes(low), ipBytes(high)) : undefined;
  };
}

function portsOf(selector: Selector): ValueReader {
  return (text) => {
    const [low, high, ...more] = text.split('-').map((part) => parseNumber(part, 0xffff));
    if (low === undefined || more.length > 0) return undefined;
    if (!text.includes('-'))
      return only((comparison) => match(selector, comparison, portBytes(low)));
    return high === undefined ? undefined : between(selector, portBytes(low), portBytes(high));
  };
}

function interfaces(selector: Selector): ValueReader {
  return (text) => {
    const name = text.replace(/\*$/, '');
    if (name === '' || /[*\\/]/.test(name) || Buffer.byteLength(name) >= IFNAME_BYTES)
      return undefined;
    const padded = ifnameBytes(name);
    const bytes = name === text ? padded : padded.replace(/\0+$/, '');
    return only((comparison) => match(selector, comparison, bytes));
  };
}

const readProtocol: ValueReader = (text) => {
  const number = PROTOCOLS.get(text) ?? parseNumber(text, 0xff);
  if (number === undefined) return undefined;
  return only((comparison) => match(meta.l4proto, comparison, u8Bytes(number)));
};

/** Decimal or hexadecimal. */
function parseNumber(text: string, most: number): number | undefined {
  const number = /^(?:\d{1,10}|0x[\da-f]{1,8})$/i.test(text) ? Number(text) : Number.NaN;
  return number <= most ? number : undefined;
}
