/** Which selectors in use mean which classes of parties. Pure. */
import type { Steps } from '../util/turns.ts';
import { BUDGET, policyId } from './budget.ts';
import type { Claims } from './claims.ts';
import { type Overload, overloadOf } from './load.ts';
import { type ActivePeer, meet, type PolicySet } from './policy-set.ts';
import type { PolicySets } from './policy-sets.ts';
import { stepsOf } from './steps.ts';

/** What a pair of a selector and a class counts for. */
const PAIRS_PER_ELEMENT = BUDGET.pairs / BUDGET.total;
/** So many classes are asked about in one step. */
const STEP = 64;

export class Meetings {
  readonly #claims: Claims;
  readonly #sets: PolicySets;
  /** New ones for which there was no room yet. */
  readonly #unmet = new Set<ActivePeer>();

  constructor(claims: Claims, sets: PolicySets) {
    this.#claims = claims;
    this.#sets = sets;
  }

  /** Stops where there are too many pairs. */
  *settle(created: Iterable<ActivePeer>, dropped: Iterable<ActivePeer>): Steps<void> {
    for (const peer of dropped) {
      this.#unmet.delete(peer);
      yield* this.#part(peer);
    }
    for (const peer of created) if (peer.peer.kind === 'parties') this.#unmet.add(peer);
    let pairs = this.#unmet.size === 0 ? 0 : this.#count();
    for (const peer of this.#unmet) {
      if (pairs > BUDGET.pairs) return;
      this.#unmet.delete(peer);
      pairs += yield* this.#meet(peer);
    }
  }

  /** What is too much, if anything: then some policies are to be closed. */
  overload(): Overload | undefined {
    const { peerCount } = this.#sets;
    if (this.#unmet.size === 0 && peerCount * this.#claims.classCount <= BUDGET.pairs * SHARE) {
      return undefined;
    }
    const pairs = this.#count();
    if (this.#unmet.size === 0 && pairs <= BUDGET.pairs * SHARE) return undefined;
    const factor = peerCount / Math.max(1, peerCount - this.#unmet.size);
    return overloadOf(this.#weights(), pairs / PAIRS_PER_ELEMENT, factor);
  }

  *#meet(peer: ActivePeer): Generator<void, number, void> {
    let [asked, met] = [0, 0];
    for (const each of this.#claims.classes()) {
      if (meet(peer, each)) {
        this.#claims.touchClass(each);
        met++;
      }
      if (++asked % STEP === 0) yield;
    }
    yield;
    return met;
  }

  *#part(peer: ActivePeer): Steps<void> {
    let asked = 0;
    for (const each of this.#claims.classes()) {
      if (each.peers.delete(peer)) this.#claims.touchClass(each);
      if (++asked % STEP === 0) yield;
    }
    yield;
  }

  #count(): number {
    let pairs = 0;
    for (const { peers } of this.#claims.classes()) pairs += peers.size;
    return pairs;
  }

  /** By policyId. */
  #weights(): ReadonlyMap<string, number> {
    const byPeer = new Map<string, number>();
    for (const { peers } of this.#claims.classes()) {
      for (const { peer } of peers) byPeer.set(peer.key, (byPeer.get(peer.key) ?? 0) + 1);
    }
    const weights = new Map<string, number>();
    const users = new Set<PolicySet>();
    for (const peer of this.#sets.peers()) for (const set of peer.users) users.add(set);
    const named = new Map<string, Set<string>>();
    for (const { direction, policies } of users) {
      for (const policy of policies) {
        const keys = named.get(policyId(policy)) ?? new Set();
        named.set(policyId(policy), keys);
        for (const { peers } of stepsOf(policy, direction)) {
          if (peers !== 'everybody') for (const { key } of peers) keys.add(key);
        }
      }
    }
    for (const [id, keys] of named) {
      const pairs = [...keys].reduce((sum, key) => sum + (byPeer.get(key) ?? 0), 0);
      weights.set(id, pairs / PAIRS_PER_ELEMENT);
    }
    return weights;
  }
}

const SHARE = BUDGET.share / BUDGET.total;
