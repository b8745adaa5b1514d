/**
 * Ports cut into classes, so that the kernel finds a verdict by an exact key. Of most ports a role says what
 * it says of the rest of their protocol; the others are the ranges that are held here. Where they overlap,
 * each part between two ends is a class, called after its first port; so a range that comes or goes
 * concerns the classes that it cuts and no other ones. Pure.
 */
import { portBytes } from '../nftables/bytes.ts';
import type { Element } from '../nftables/model.ts';

/** Numbers of the protocols with ports: IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP. */
export const PORT_PROTOCOLS = [6, 17, 132] as const;
export type PortProtocol = (typeof PORT_PROTOCOLS)[number];

export interface PortRange {
  readonly first: number;
  readonly last: number;
}

interface Held<T> extends PortRange {
  readonly users: Set<T>;
  /** First ports of the classes that it consists of. */
  classes: readonly number[];
}

const LAST_PORT = 0xffff;
const KEY_BYTES = 6;

/** Ranges of ports held by users, and the classes that they make. */
export class PortClasses<T> {
  readonly #protocols = new Map(
    PORT_PROTOCOLS.map((number) => [number, new ProtocolClasses<T>()] as const),
  );

  hold(protocol: PortProtocol, range: PortRange, user: T): void {
    this.#of(protocol).hold(range, user);
  }

  release(protocol: PortProtocol, range: PortRange, user: T): void {
    this.#of(protocol).release(range, user);
  }

  /** How many classes all ranges consist of, each as often as it has users; without a `settle`. */
  count(): number {
    let count = 0;
    for (const classes of this.#protocols.values()) count += classes.count();
    return count;
  }

  /** Gives the users of ranges that consist of other classes than before; undefined without any change. */
  settle(): ReadonlySet<T> | undefined {
    const touched = new Set<T>();
    let isChanged = false;
    for (const classes of this.#protocols.values()) {
      if (classes.settle(touched)) isChanged = true;
    }
    return isChanged ? touched : undefined;
  }

  /** The classes of a range that is held, as of the last `settle`. */
  classesOf(protocol: PortProtocol, range: PortRange): readonly string[] {
    return this.#of(protocol)
      .classesOf(range)
      .map((port) => className(protocol, port));
  }

  /** Every protocol and port to its class. */
  elements(): readonly Element[] {
    const elements: Element[] = [];
    let nextProtocol = 0;
    for (const [protocol, { all }] of this.#protocols) {
      elements.push(element(keyOf(nextProtocol, 0), endOf(protocol - 1), OTHER_PROTOCOLS));
      let next = 0;
      const rest = (end: number) => {
        if (next >= end) return;
        const last = end > LAST_PORT ? endOf(protocol) : keyOf(protocol, end - 1);
        elements.push(element(keyOf(protocol, next), last, restOf(protocol)));
      };
      for (const { first, last } of all) {
        rest(first);
        const end = last === LAST_PORT ? endOf(protocol) : keyOf(protocol, last);
        elements.push(element(keyOf(protocol, first), end, className(protocol, first)));
        next = last + 1;
      }
      rest(LAST_PORT + 1);
      nextProtocol = protocol + 1;
    }
    elements.push(element(keyOf(nextProtocol, 0), '\xff'.repeat(KEY_BYTES), OTHER_PROTOCOLS));
    return elements;
  }

  #of(protocol: PortProtocol): ProtocolClasses<T> {
    const classes = this.#protocols.get(protocol);
    if (classes === undefined) throw new RangeError(`protocol ${protocol}: it has no ports`);
    return classes;
  }
}

class ProtocolClasses<T> {
  readonly #ranges = new Map<number, Held<T>>();
  #firsts: readonly number[] = [];
  #isCut = false;
  #isSettled = false;
  /** Disjoint, in order; what is in none of them is the rest. */
  all: readonly PortRange[] = [];

  hold({ first, last }: PortRange, user: T): void {
    const key = keyOfRange(first, last);
    let held = this.#ranges.get(key);
    if (held === undefined) {
      held = { first, last, users: new Set(), classes: [] };
      this.#ranges.set(key, held);
      this.#isCut = false;
    }
    held.users.add(user);
  }

  release({ first, last }: PortRange, user: T): void {
    const key = keyOfRange(first, last);
    const users = this.#ranges.get(key)?.users;
    users?.delete(user);
    if (users?.size !== 0) return;
    this.#ranges.delete(key);
    this.#isCut = false;
  }

  count(): number {
    this.#cut();
    let count = 0;
    for (const { first, last, users } of this.#ranges.values()) {
      const [from, to] = this.#classesAt(first, last);
      count += (to - from) * users.size;
    }
    return count;
  }

  settle(touched: Set<T>): boolean {
    this.#cut();
    if (this.#isSettled) return false;
    this.#isSettled = true;
    for (const held of this.#ranges.values()) {
      const classes = this.#firsts.slice(...this.#classesAt(held.first, held.last));
      const isSame =
        classes.length === held.classes.length && classes.every((p, i) => p === held.classes[i]);
      if (isSame) continue;
      held.classes = classes;
      for (const user of held.users) touched.add(user);
    }
    return true;
  }

  classesOf({ first, last }: PortRange): readonly number[] {
    return this.#ranges.get(keyOfRange(first, last))?.classes ?? [];
  }

  #cut(): void {
    if (this.#isCut) return;
    this.#isCut = true;
    this.#isSettled = false;
    this.all = cut(this.#ranges.values());
    this.#firsts = this.all.map(({ first }) => first);
  }

  /** Indices of the first one of a range, and of the one behind it. */
  #classesAt(first: number, last: number): [number, number] {
    return [lowerBound(this.#firsts, first), lowerBound(this.#firsts, last + 1)];
  }
}

function keyOfRange(first: number, last: number): number {
  return first * (LAST_PORT + 1) + last;
}

/** Parts between the ends of all ranges, those that are in one. */
function cut(ranges: Iterable<PortRange>): readonly PortRange[] {
  const depths = new Map<number, number>();
  const change = (at: number, by: number) => depths.set(at, (depths.get(at) ?? 0) + by);
  for (const { first, last } of ranges) {
    change(first, 1);
    change(last + 1, -1);
  }
  const ends = [...depths.keys()].sort((a, b) => a - b);
  let depth = 0;
  return ends.flatMap((first, i) => {
    depth += depths.get(first) ?? 0;
    return depth === 0 ? [] : [{ first, last: (ends[i + 1] ?? 0) - 1 }];
  });
}

/** Index of the first number that is not below. */
function lowerBound(numbers: readonly number[], at: number): number {
  let [low, high] = [0, numbers.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((numbers[middle] ?? 0) < at) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** What of a protocol no range is about: the bytes that `ct protocol` loads. */
export function restOf(protocol: PortProtocol): string {
  return String.fromCharCode(protocol, 0, 0, 0);
}

/** Protocols without ports, and those whose ports policies do not know. */
export const OTHER_PROTOCOLS = '\0\0\0\0';

function className(protocol: PortProtocol, port: number): string {
  return String.fromCharCode(protocol, 1, port >>> 8, port & 0xff);
}

/** As the registers have them: a protocol in four bytes, a port in two. */
function keyOf(protocol: number, port: number): string {
  return String.fromCharCode(protocol, 0, 0, 0) + portBytes(port).slice(0, 2);
}

function endOf(protocol: number): string {
  return String.fromCharCode(protocol).padEnd(KEY_BYTES, '\xff');
}

function element(first: string, last: string, data: string): Element {
  const padded = (bytes: string) => `${bytes}\0\0`;
  return first === last
    ? { key: padded(first), data }
    : { key: padded(first), keyEnd: padded(last), data };
}
