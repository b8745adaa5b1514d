/** The policy sets in use, and the peers that their rules name. */
import type { Direction, NamedPort } from '../kube/policy/types.ts';
import type { CompiledPolicy } from './compiled-policy.ts';
import type { IdBook } from './ids.ts';
import type { RulePeer } from './peers.ts';
import {
  type ActivePeer,
  activePeer,
  namesIn,
  PolicySet,
  portsText,
  setText,
} from './policy-set.ts';

/** What has changed since it was taken last. */
export interface SetChanges {
  readonly created: ReadonlySet<PolicySet>;
  readonly dropped: ReadonlySet<PolicySet>;
  readonly peersCreated: ReadonlySet<ActivePeer>;
  readonly peersDropped: ReadonlySet<ActivePeer>;
}

export class PolicySets {
  readonly #ids: IdBook;
  readonly #sets = new Map<string, PolicySet>();
  readonly #peers = new Map<string, ActivePeer>();
  /** With a policy that is another one now; by text. */
  readonly #stale = new Map<string, PolicySet>();
  /** What was obtained for the same policies; it may be given up meanwhile. */
  #obtained = new WeakMap<object, Map<string, PolicySet>>();
  #created = new Set<PolicySet>();
  #dropped = new Set<PolicySet>();
  #peersCreated = new Set<ActivePeer>();
  #peersDropped = new Set<ActivePeer>();
  /** Sees a set that stands for another one with the same policies, one of which has changed. */
  readonly #onReplace: (old: PolicySet, made: PolicySet) => void;

  constructor(ids: IdBook, onReplace: (old: PolicySet, made: PolicySet) => void) {
    this.#ids = ids;
    this.#onReplace = onReplace;
  }

  [Symbol.iterator](): IterableIterator<PolicySet> {
    return this.#sets.values();
  }

  get setCount(): number {
    return this.#sets.size;
  }

  get peerCount(): number {
    return this.#peers.size;
  }

  peers(): Iterable<ActivePeer> {
    return this.#peers.values();
  }

  /** `ports` are the subject's. */
  obtain(
    direction: Direction,
    policies: readonly CompiledPolicy[],
    ports: readonly NamedPort[],
  ): PolicySet {
    const key = direction + portsText(ports);
    const known = this.#obtained.get(policies)?.get(key);
    if (known !== undefined && this.#sets.get(known.text) === known) return known;
    const set = this.#obtain(direction, policies, ports);
    const obtained = this.#obtained.get(policies) ?? new Map<string, PolicySet>();
    this.#obtained.set(policies, obtained.set(key, set));
    return set;
  }

  #obtain(
    direction: Direction,
    policies: readonly CompiledPolicy[],
    ports: readonly NamedPort[],
  ): PolicySet {
    const names = direction === 'ingress' ? new Set(namesIn(policies, direction)) : new Set();
    const used = ports.filter(({ name }) => names.has(name));
    const text = setText(direction, policies, used);
    const known = this.#sets.get(text);
    if (known !== undefined && hasPolicies(known, policies)) return known;
    if (known !== undefined) this.#invalidate(known);
    const id = this.#ids.take(`set ${text}`);
    const made = new PolicySet({ id, text, direction, policies, ports: used }, (peer) =>
      this.#activate(peer),
    );
    for (const peer of made.peers) peer.users.add(made);
    this.#sets.set(text, made);
    this.#created.add(made);
    const stale = this.#stale.get(text);
    if (stale !== undefined) this.#onReplace(stale, made);
    return made;
  }

  /** Sets with these policies are made anew for whoever asks again; all who have one have to. */
  invalidate(isChanged: (policy: CompiledPolicy) => boolean): void {
    for (const set of this.#sets.values()) {
      if (set.policies.some(isChanged)) this.#invalidate(set);
    }
  }

  attach(set: PolicySet, subject: string): void {
    set.subjects.add(subject);
  }

  detach(set: PolicySet, subject: string): void {
    set.subjects.delete(subject);
    if (set.subjects.size > 0) return;
    if (this.#sets.get(set.text) === set) {
      this.#sets.delete(set.text);
      this.#ids.release(`set ${set.text}`);
    }
    if (!this.#created.delete(set)) this.#dropped.add(set);
    for (const peer of set.peers) {
      peer.users.delete(set);
      if (peer.users.size === 0) this.#deactivate(peer);
    }
  }

  /** Whether some set has come or gone since they were taken. */
  get isChanged(): boolean {
    return this.#created.size + this.#dropped.size > 0;
  }

  takeChanges(): SetChanges {
    const changes = {
      created: this.#created,
      dropped: this.#dropped,
      peersCreated: this.#peersCreated,
      peersDropped: this.#peersDropped,
    };
    this.#created = new Set();
    this.#dropped = new Set();
    this.#peersCreated = new Set();
    this.#peersDropped = new Set();
    for (const text of this.#stale.keys()) {
      if (!this.#sets.has(text)) this.#ids.release(`set ${text}`);
    }
    this.#stale.clear();
    return changes;
  }

  #invalidate(set: PolicySet): void {
    this.#sets.delete(set.text);
    this.#stale.set(set.text, set);
  }

  #activate(peer: RulePeer): ActivePeer {
    const known = this.#peers.get(peer.key);
    if (known !== undefined) return known;
    // Identities still have the one that has just been given up.
    const dropped = [...this.#peersDropped].find((each) => each.peer.key === peer.key);
    const active = dropped ?? activePeer(peer);
    this.#peers.set(peer.key, active);
    if (!this.#peersDropped.delete(active)) this.#peersCreated.add(active);
    return active;
  }

  #deactivate(peer: ActivePeer): void {
    if (this.#peers.get(peer.peer.key) === peer) this.#peers.delete(peer.peer.key);
    if (!this.#peersCreated.delete(peer)) this.#peersDropped.add(peer);
  }
}

function hasPolicies({ policies }: PolicySet, wanted: readonly CompiledPolicy[]): boolean {
  return policies.length === wanted.length && policies.every((policy, i) => policy === wanted[i]);
}
