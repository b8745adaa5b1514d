/** Which role a policy set gives to whom, as elements; and the verdicts of the roles in use. */

import type { Steps } from '../util/turns.ts';
import { BUDGET } from './budget.ts';
import type { ContentBook } from './content.ts';
import { type IdBook, idBytes, idData } from './ids.ts';
import { type Overload, overloadOf, Tellers, weightsOf } from './load.ts';
import type { Identity, PolicySet } from './policy-set.ts';
import { OTHER_PROTOCOLS, PORT_PROTOCOLS, PortClasses, restOf } from './port-classes.ts';
import { type Outcome, otherProtocols, partsOf, type Role, type RolePart } from './role.ts';
import { CLASSES, DEFAULTS, ROLES, VERDICTS } from './table/sets.ts';

interface UsedRole {
  /** Of its number: as a key begins with it, and as it is data. */
  readonly bytes: string;
  readonly data: string;
  readonly role: Role;
  readonly parts: readonly RolePart[];
  readonly exceptionCount: number;
  /** Keys of its verdicts. */
  keys: ReadonlySet<string>;
  uses: number;
}

/** Of each role for protocols as a whole. */
const RESTS = PORT_PROTOCOLS.length + 1;
/** So many identities are given their roles in one step, or fewer with so many ports each. */
const STEP = 8;
const PORTS_PER_ROLE = 64;
/** Once there are many, after so many more it is looked at whose they are. */
const LOOK_AFTER = BUDGET.share / 16;

export class Rows {
  readonly #ids: IdBook;
  readonly #book: ContentBook;
  readonly #roles = new Map<string, UsedRole>();
  readonly #defaults = new Map<PolicySet, Role>();
  readonly #outcomes = new Map<string, Outcome>();
  readonly #classes = new PortClasses<UsedRole>();
  /** Whose verdicts are not what they are to be. */
  readonly #unsettled = new Set<UsedRole>();
  /** Elements of roles, one each, and of verdicts those that ports make where nothing cuts them. */
  #uses = 0;
  #exceptionCount = 0;
  #limit = BUDGET.share;
  #isFull = false;
  /** Identities that had no place, and the sets that want one for them. */
  #skipped = 0;
  #incomplete = new Set<PolicySet>();

  constructor(ids: IdBook, book: ContentBook) {
    this.#ids = ids;
    this.#book = book;
  }

  /** Elements, as far as it is known without a `settle`. */
  get size(): number {
    return this.#uses + this.#exceptionCount + RESTS * this.#roles.size;
  }

  /** What is too much, if anything: then some policies are to be closed, and `resume` is due. */
  overload(): Overload | undefined {
    const verdicts = this.#classes.count();
    const elements = this.#uses + verdicts + RESTS * this.#roles.size;
    this.#limit = Math.min(this.#limit, Math.max(BUDGET.share, elements + LOOK_AFTER));
    if (elements <= this.#limit && !this.#isFull) return undefined;
    this.#limit = elements + LOOK_AFTER;
    const factor = (this.#uses + this.#skipped) / Math.max(1, this.#uses);
    return overloadOf(this.#weights(verdicts), elements, factor);
  }

  /** Nothing is added before `resume`. */
  get isFull(): boolean {
    return this.#isFull;
  }

  /** There is room again, or there has to be. */
  resume(isUnlimited: boolean): void {
    this.#isFull = false;
    this.#skipped = 0;
    this.#limit = isUnlimited ? Number.POSITIVE_INFINITY : BUDGET.share;
  }

  /** Gives the sets that want roles for identities that had no place. */
  takeIncomplete(): ReadonlySet<PolicySet> {
    const incomplete = this.#incomplete;
    this.#incomplete = new Set();
    return incomplete;
  }

  /** Who an element of the verdicts counts for, by its key. */
  outcomeAt(key: string): Outcome | undefined {
    return this.#outcomes.get(key);
  }

  *addSet(set: PolicySet, identities: ReadonlySet<Identity>): Steps<void> {
    const role = set.defaultRole;
    this.#defaults.set(set, role);
    this.#book.put(DEFAULTS[set.direction].name, { key: set.bytes, data: this.#take(role).data });
    yield* this.addIdentities(set, identities);
  }

  *addIdentities(set: PolicySet, identities: ReadonlySet<Identity>): Steps<void> {
    // A role takes its time by how many ports there are to be laid over each other.
    const work = 1 + set.portCount / PORTS_PER_ROLE;
    let done = 0;
    for (const identity of identities) {
      this.addIdentity(set, identity);
      done += work;
      if (done < STEP) continue;
      done = 0;
      yield;
    }
    yield;
  }

  removeSet(set: PolicySet): void {
    const role = this.#defaults.get(set);
    if (role === undefined) return;
    this.#defaults.delete(set);
    this.#incomplete.delete(set);
    this.#book.remove(DEFAULTS[set.direction].name, set.bytes);
    this.#release(role);
    for (const identity of [...set.row.keys()]) this.removeIdentity(set, identity);
  }

  /** One set stands for another with the same number: what both say of an identity stays as it is. */
  *replaceSet(old: PolicySet, set: PolicySet, identities: ReadonlySet<Identity>): Steps<void> {
    const kept = new Map<Identity, Role>();
    for (const identity of identities) {
      const before = old.row.get(identity);
      const role = before && this.#ownRole(set, identity);
      if (before?.text === role?.text && role !== undefined) kept.set(identity, role);
      yield;
    }
    for (const [identity, role] of kept) {
      old.row.delete(identity);
      identity.sets.delete(old);
      set.row.set(identity, role);
      identity.sets.add(set);
    }
    this.removeSet(old);
    yield* this.addSet(set, identities);
  }

  addIdentity(set: PolicySet, identity: Identity): void {
    if (set.row.has(identity)) return;
    if (!this.#hasRoom()) {
      this.#incomplete.add(set);
      this.#skipped++;
      return;
    }
    const role = this.#ownRole(set, identity);
    if (role === undefined) return;
    set.row.set(identity, role);
    identity.sets.add(set);
    const { data } = this.#take(role);
    this.#book.put(ROLES[set.direction].name, { key: keyOf(set, identity), data });
  }

  removeIdentity(set: PolicySet, identity: Identity): void {
    const role = set.row.get(identity);
    if (role === undefined) return;
    set.row.delete(identity);
    identity.sets.delete(set);
    this.#book.remove(ROLES[set.direction].name, keyOf(set, identity));
    this.#release(role);
  }

  /** Where many are there it is looked, now and then, whether they are too many of somebody. */
  #hasRoom(): boolean {
    if (this.#isFull) return false;
    if (this.size <= this.#limit) return true;
    this.#limit = this.size + LOOK_AFTER;
    this.#isFull = overloadOf(this.#weights(this.#exceptionCount), this.size, 1) !== undefined;
    return !this.#isFull;
  }

  /** By policyId. */
  #weights(verdicts: number): ReadonlyMap<string, number> {
    const tellers = new Tellers();
    for (const [set, role] of this.#defaults) {
      tellers.add(role, undefined, 1);
      const bases = new Map<Identity['blocks'], Role>();
      for (const [identity, own] of set.row) {
        const base = bases.get(identity.blocks) ?? set.strangerRole(identity);
        bases.set(identity.blocks, base);
        tellers.add(own, isBlockAlone(identity) ? role : base, 1);
      }
    }
    const used = Array.from(this.#roles.values(), ({ role, parts }) => {
      return { tellers: tellers.of(role), parts };
    });
    return weightsOf(used, verdicts);
  }

  /** Brings the verdicts in line with the roles in use. */
  *settle(): Steps<void> {
    const touched = this.#classes.settle();
    if (touched !== undefined) {
      this.#book.fill(CLASSES.name, this.#classes.elements());
      for (const role of touched) this.#unsettled.add(role);
    }
    for (const role of this.#unsettled) {
      this.#unsettled.delete(role);
      this.#render(role);
      yield;
    }
  }

  /** Undefined where falling through would give the same. */
  #ownRole(set: PolicySet, identity: Identity): Role | undefined {
    const role = set.roleOf(identity);
    return role.text === this.#fallThrough(set, identity).text ? undefined : role;
  }

  /** Somebody with an entry in the map of blocks alone falls through to the default. */
  #fallThrough(set: PolicySet, identity: Identity): Role {
    return isBlockAlone(identity) ? set.defaultRole : set.strangerRole(identity);
  }

  #take(role: Role): UsedRole {
    this.#uses++;
    const known = this.#roles.get(role.text);
    if (known !== undefined) {
      known.uses++;
      return known;
    }
    const id = this.#ids.take(`role ${role.text}`);
    const parts = partsOf(role);
    const exceptionCount = parts.reduce((sum, { exceptions }) => sum + exceptions.length, 0);
    const numbers = { bytes: idBytes(id), data: idData(id) };
    const used = { ...numbers, role, parts, exceptionCount, keys: new Set<string>(), uses: 1 };
    this.#exceptionCount += exceptionCount;
    this.#roles.set(role.text, used);
    this.#unsettled.add(used);
    for (const { protocol, exceptions } of used.parts) {
      for (const range of exceptions) this.#classes.hold(protocol, range, used);
    }
    return used;
  }

  #release({ text }: Role): void {
    this.#uses--;
    const used = this.#roles.get(text);
    if (used === undefined || --used.uses > 0) return;
    this.#roles.delete(text);
    this.#exceptionCount -= used.exceptionCount;
    this.#unsettled.delete(used);
    this.#ids.release(`role ${text}`);
    for (const { protocol, exceptions } of used.parts) {
      for (const range of exceptions) this.#classes.release(protocol, range, used);
    }
    for (const key of used.keys) this.#removeVerdict(key);
  }

  /** Of classes that are not named the rest of their protocol is true. */
  #render(used: UsedRole): void {
    const { bytes, role, parts, keys: before } = used;
    const keys = new Set<string>();
    const put = (className: string, outcome: Outcome) => {
      const key = bytes + className;
      keys.add(key);
      this.#book.put(VERDICTS.name, { key, data: outcome.isAllowed ? 'return' : 'continue' });
      this.#outcomes.set(key, outcome);
    };
    put(OTHER_PROTOCOLS, otherProtocols(role));
    for (const { protocol, rest, exceptions } of parts) {
      put(restOf(protocol), rest);
      for (const range of exceptions) {
        for (const name of this.#classes.classesOf(protocol, range)) put(name, range.outcome);
      }
    }
    for (const key of before) if (!keys.has(key)) this.#removeVerdict(key);
    used.keys = keys;
  }

  #removeVerdict(key: string): void {
    this.#book.remove(VERDICTS.name, key);
    this.#outcomes.delete(key);
  }
}

function isBlockAlone({ blocks, peers, ports, isOwnNode }: Identity): boolean {
  return blocks.length === peers.length && ports.length === 0 && !isOwnNode;
}

function keyOf(set: PolicySet, identity: Identity): string {
  return set.bytes + identity.bytes;
}
