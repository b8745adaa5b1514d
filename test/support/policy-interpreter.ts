/** Asks the content of table `inet weft-policy` as its rules do, without a kernel. */
import type { Direction } from '../../src/kube/policy/types.ts';
import { type IP, ipFamily } from '../../src/net/ip.ts';
import { ipBytes, portBytes } from '../../src/nftables/bytes.ts';
import type { Element } from '../../src/nftables/model.ts';
import type { TableContent } from '../../src/policy/content.ts';
import type { Traffic } from '../../src/policy/ports.ts';
import { DEFAULTS, DIRECTIONS, ROLES, SETS, VERDICTS } from '../../src/policy/table/sets.ts';

/** IP protocol numbers. */
const NUMBERS = { TCP: 6, UDP: 17, SCTP: 132, ICMP: 1 } as const;

export class ContentInterpreter {
  readonly #exact = new Map<string, ReadonlyMap<string, Element>>();
  readonly #content: TableContent;
  readonly #verdicts: ReadonlyMap<string, readonly Element[]>;

  constructor(content: TableContent) {
    this.#content = content;
    for (const [set, elements] of content) {
      this.#exact.set(set, new Map(elements.map((element) => [element.key, element])));
    }
    this.#verdicts = Map.groupBy(content.get(VERDICTS.name) ?? [], ({ key }) => key.slice(0, 4));
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
    const ranges = this.#content.get(blocks.name) ?? [];
    const found = [
      this.#data(identities.name, ipBytes(peer)),
      ranges.find(({ key, keyEnd = key }) => key <= ipBytes(peer) && ipBytes(peer) <= keyEnd)?.data,
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

  /** Values that begin keys have a field in front. */
  #number(set: string, key: string): string | undefined {
    return this.#data(set, key)?.slice(4);
  }

  #verdict(role: string, { protocol, port }: Traffic): string | undefined {
    const number = NUMBERS[protocol];
    const at = portBytes(port).slice(0, 2);
    const found = (this.#verdicts.get(role) ?? []).filter(({ key, keyEnd = key }) => {
      const isProtocol = key.charCodeAt(4) <= number && number <= keyEnd.charCodeAt(4);
      return isProtocol && key.slice(8, 10) <= at && at <= keyEnd.slice(8, 10);
    });
    if (found.length > 1) throw new Error('two elements of one role overlap');
    return found[0]?.data;
  }
}
