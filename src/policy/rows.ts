/** Which role a policy set gives to whom, as elements; and the verdicts of the roles in use. */

import type { ContentBook } from './content.ts';
import { type IdBook, idBytes, idData } from './ids.ts';
import type { Identity, PolicySet } from './policy-set.ts';
import { type Outcome, type Role, type RoleElement, roleElements } from './role.ts';
import { DEFAULTS, ROLES, VERDICTS } from './table/sets.ts';

interface UsedRole {
  readonly id: number;
  readonly elements: readonly RoleElement[];
  uses: number;
}

export class Rows {
  readonly #ids: IdBook;
  readonly #book: ContentBook;
  readonly #roles = new Map<string, UsedRole>();
  readonly #defaults = new Map<PolicySet, Role>();
  readonly #outcomes = new Map<string, Outcome>();

  constructor(ids: IdBook, book: ContentBook) {
    this.#ids = ids;
    this.#book = book;
  }

  /** Who an element of the verdicts counts for, by its key. */
  outcomeAt(key: string): Outcome | undefined {
    return this.#outcomes.get(key);
  }

  addSet(set: PolicySet, identities: Iterable<Identity>): void {
    const role = set.defaultRole;
    this.#defaults.set(set, role);
    const data = idData(this.#take(role));
    this.#book.put(DEFAULTS[set.direction].name, { key: idBytes(set.id), data });
    for (const identity of identities) this.addIdentity(set, identity);
  }

  removeSet(set: PolicySet): void {
    const role = this.#defaults.get(set);
    if (role === undefined) return;
    this.#defaults.delete(set);
    this.#book.remove(DEFAULTS[set.direction].name, idBytes(set.id));
    this.#release(role);
    for (const identity of [...set.row.keys()]) this.removeIdentity(set, identity);
  }

  /** An entry of its own only where falling through would give another role. */
  addIdentity(set: PolicySet, identity: Identity): void {
    if (set.row.has(identity)) return;
    const role = set.roleOf(identity);
    if (role.text === this.#fallThrough(set, identity).text) return;
    set.row.set(identity, role);
    identity.sets.add(set);
    const data = idData(this.#take(role));
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

  /** Somebody with an entry in the map of blocks alone falls through to the default. */
  #fallThrough(set: PolicySet, identity: Identity): Role {
    const isBlock = identity.blocks.length === identity.peers.length && !identity.isOwnNode;
    return isBlock && identity.ports.length === 0 ? set.defaultRole : set.strangerRole(identity);
  }

  #take(role: Role): number {
    const known = this.#roles.get(role.text);
    if (known !== undefined) {
      known.uses++;
      return known.id;
    }
    const id = this.#ids.take(`role ${role.text}`);
    const elements = roleElements(id, role);
    this.#roles.set(role.text, { id, elements, uses: 1 });
    for (const { element, outcome } of elements) {
      this.#book.put(VERDICTS.name, element);
      this.#outcomes.set(element.key, outcome);
    }
    return id;
  }

  #release({ text }: Role): void {
    const used = this.#roles.get(text);
    if (used === undefined || --used.uses > 0) return;
    this.#roles.delete(text);
    this.#ids.release(`role ${text}`);
    for (const { element } of used.elements) {
      this.#book.remove(VERDICTS.name, element.key);
      this.#outcomes.delete(element.key);
    }
  }
}

function keyOf(set: PolicySet, identity: Identity): string {
  return idBytes(set.id) + idBytes(identity.id);
}
