/** Asks the content of table `inet weft-policy` as its rules do, without a kernel. */
import type { Direction } from '../../src/kube/policy/types.ts';
import { type IP, ipFamily } from '../../src/net/ip.ts';
import { ipBytes, portBytes } from '../../src/nftables/bytes.ts';
import type { Element } from '../../src/nftables/model.ts';
import type { TableContent } from '../../src/policy/content.ts';
import type { Traffic } from '../../src/policy/ports.ts';
import {
  CLASSES,
  DEFAULTS,
  DIRECTIONS,
  ROLES,
  SETS,
  VERDICTS,
} from '../../src/policy/table/sets.ts';

/** IP protocol numbers. */
const NUMBERS = { TCP: 6, UDP: 17, SCTP: 132, ICMP: 1 } as const;

export class ContentInterpreter {
  readonly #exact = new Map<string, ReadonlyMap<string, Element>>();
  readonly #content: TableContent;
  constructor(content: TableContent) {
    this.#content = content;
    for (const [set, elements] of content) {
      this.#exact.set(set, new Map(elements.map((element) => [element.key, element])));
    }
  }

  allows(from: IP, to: IP, traffic: Traffic): boolean {
    const { selves } = SETS[ipFamily(from)];
    if (this.#exact.get(selves.name)?.has(ipBytes(from) + ipBytes(to)) === true) return true;
    return DIRECTIONS.every((direction) => this.#side(direction, from, to, traffic));
  }

  #side(direction: Direction, from: IP, to: IP, traffic: Traffic): boolean {
    const { subjects, identities, blocks } = SETS[ipFamily(from)];
    const [subject, peer] = direction === 'egress' ? [from, to] : [to, from];
    const set = this.#number(subjects[direction].name, ipBytes(subject));
    if (set === undefined) return true;
    const found = [
      this.#data(identities.name, ipBytes(peer)),
      this.#inRange(blocks.name, ipBytes(peer)),
    ];
    for (const identity of found) {
      const role = identity && this.#number(ROLES[direction].name, set + identity);
      const verdict = role && this.#verdict(role, traffic);
      if (verdict !== undefined && verdict !== '') return verdict === 'return';
    }
    const role = this.#number(DEFAULTS[direction].name, set);
    return role !== undefined && this.#verdict(role, traffic) === 'return';
  }

  #data(set: string, key: string): string | undefined {
    return this.#exact.get(set)?.get(key)?.data;
  }

  #inRange(set: string, at: string): string | undefined {
    const found = (this.#content.get(set) ?? []).filter(
      ({ key, keyEnd = key }) => key <= at && at <= keyEnd,
    );
    if (found.length > 1) throw new Error(`two elements of ${set} overlap`);
    return found[0]?.data;
  }

  /** Values that begin keys have a field in front. */
  #number(set: string, key: string): string | undefined {
    return this.#data(set, key)?.slice(4);
  }

  #verdict(role: string, { protocol, port }: Traffic): string | undefined {
    const number = String.fromCharCode(NUMBERS[protocol], 0, 0, 0);
    const known = this.#inRange(CLASSES.name, number + portBytes(port));
    return this.#data(VERDICTS.name, role + known) ?? this.#data(VERDICTS.name, role + number);
  }
}
