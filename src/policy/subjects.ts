/** Pods of this node and the policy sets that they have. */
import type { Direction } from '../kube/policy/types.ts';
import { type IP, ipFamily } from '../net/ip.ts';
import { ipBytes } from '../nftables/bytes.ts';
import type { CompiledPolicy } from './compiled-policy.ts';
import type { ContentBook } from './content.ts';
import type { PodParty } from './parties.ts';
import { concerning, type PolicySet } from './policy-set.ts';
import type { PolicySets } from './policy-sets.ts';
import { DIRECTIONS, SETS } from './table/sets.ts';

type OwnSets = Readonly<Partial<Record<Direction, PolicySet>>>;

/** As policies see a pod of this node. */
export interface Subject {
  readonly namespace: string;
  readonly ips: readonly IP[];
  /** Undefined while its object is not known. */
  readonly party: PodParty | undefined;
}

/** The policies that select a pod; `closed` for one of which that cannot be known. */
export type Selection = readonly CompiledPolicy[] | 'closed';

const NO_SETS: OwnSets = {};

interface Known {
  readonly subject: Subject;
  readonly sets: OwnSets;
}

export class Subjects {
  readonly #book: ContentBook;
  readonly #sets: PolicySets;
  /** A pod is asked more than before. */
  readonly #onNarrow: () => void;
  readonly #known = new Map<string, Known>();
  readonly #concerned: Record<Direction, WeakMap<object, readonly CompiledPolicy[]>> = {
    egress: new WeakMap(),
    ingress: new WeakMap(),
  };
  readonly #owners = new Map<IP, readonly string[]>();
  /** Of addresses whose owners are asked differently. */
  readonly #closed = new Map<IP, OwnSets>();

  constructor(book: ContentBook, sets: PolicySets, onNarrow: () => void) {
    this.#book = book;
    this.#sets = sets;
    this.#onNarrow = onNarrow;
  }

  get count(): number {
    let count = 0;
    for (const { sets } of this.#known.values()) count += Object.keys(sets).length > 0 ? 1 : 0;
    return count;
  }

  keys(): Iterable<string> {
    return this.#known.keys();
  }

  subjectOf(key: string): Subject | undefined {
    return this.#known.get(key)?.subject;
  }

  addresses(): Iterable<IP> {
    return this.#owners.keys();
  }

  set(key: string, subject: Subject, selection: Selection): void {
    const before = this.#known.get(key);
    const sets: { -readonly [D in Direction]?: PolicySet } = {};
    for (const direction of DIRECTIONS) {
      const set = this.#obtain(direction, subject, selection);
      if (set === undefined) continue;
      this.#sets.attach(set, key);
      sets[direction] = set;
    }
    this.#known.set(key, { subject, sets });
    for (const ip of subject.ips) this.#own(key, ip);
    for (const ip of before?.subject.ips ?? []) {
      if (!subject.ips.includes(ip)) this.#disown(key, ip);
    }
    for (const ip of subject.ips) this.#render(ip);
    this.#detach(key, before?.sets ?? {}, sets);
  }

  remove(key: string): void {
    const before = this.#known.get(key);
    this.#known.delete(key);
    for (const ip of before?.subject.ips ?? []) this.#disown(key, ip);
    this.#detach(key, before?.sets ?? {}, {});
  }

  #obtain(direction: Direction, { party }: Subject, selection: Selection): PolicySet | undefined {
    if (selection === 'closed') return this.#sets.obtain(direction, [], []);
    const policies = this.#concerning(selection, direction);
    if (policies.length === 0) return undefined;
    return this.#sets.obtain(direction, policies, party?.ports ?? []);
  }

  /** The same value for the same selection. */
  #concerning(selection: readonly CompiledPolicy[], direction: Direction) {
    const known = this.#concerned[direction].get(selection) ?? concerning(selection, direction);
    this.#concerned[direction].set(selection, known);
    return known;
  }

  #detach(key: string, before: OwnSets, now: OwnSets): void {
    for (const direction of DIRECTIONS) {
      const set = before[direction];
      if (set !== undefined && set !== now[direction]) this.#sets.detach(set, key);
    }
  }

  #own(key: string, ip: IP): void {
    const owners = this.#owners.get(ip);
    if (owners === undefined) this.#owners.set(ip, [key]);
    else if (!owners.includes(key)) this.#owners.set(ip, [...owners, key]);
  }

  #disown(key: string, ip: IP): void {
    const left = (this.#owners.get(ip) ?? []).filter((owner) => owner !== key);
    if (left.length === 0) this.#owners.delete(ip);
    else this.#owners.set(ip, left);
    this.#render(ip);
  }

  #render(ip: IP): void {
    const sets = this.#setsAt(ip);
    const { subjects, selves } = SETS[ipFamily(ip)];
    const key = ipBytes(ip);
    for (const direction of DIRECTIONS) {
      const set = sets[direction];
      const { name } = subjects[direction];
      if (set === undefined) this.#book.remove(name, key);
      else if (this.#book.put(name, { key, data: set.data })) this.#onNarrow();
    }
    if (sets.egress === undefined && sets.ingress === undefined)
      this.#book.remove(selves.name, key + key);
    else this.#book.put(selves.name, { key: key + key });
  }

  /** Nobody can tell which of several pods with one address sent a packet: where one is isolated, it talks to nobody. */
  #setsAt(ip: IP): OwnSets {
    const owners = this.#owners.get(ip) ?? [];
    if (owners.length === 1 && !this.#closed.has(ip))
      return this.#known.get(owners[0] ?? '')?.sets ?? NO_SETS;
    const all = owners.map((owner) => this.#known.get(owner)?.sets ?? NO_SETS);
    const [first = NO_SETS] = all;
    const closed = DIRECTIONS.filter((each) => all.some((sets) => sets[each] !== first[each]));
    const before = this.#closed.get(ip) ?? {};
    const own: { -readonly [D in Direction]?: PolicySet } = {};
    for (const direction of closed) own[direction] = this.#sets.obtain(direction, [], []);
    for (const set of Object.values(own)) this.#sets.attach(set, `address ${ip}`);
    this.#closed.set(ip, own);
    if (closed.length === 0) this.#closed.delete(ip);
    this.#detach(`address ${ip}`, before, own);
    return closed.length === 0 ? first : { ...first, ...own };
  }
}
