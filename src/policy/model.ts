/** What the table is to hold, kept in line with what is told: one fact changes little. Pure. */

import { type Cidr, hostCidr, parseSloppyCidr } from '../net/cidr.ts';
import type { IP } from '../net/ip.ts';
import { type Steps, takeAtOnce, takeInTurns } from '../util/turns.ts';
import { policyId, withoutRoomAmong } from './budget.ts';
import type { PolicyChange } from './change.ts';
import { Claims, LOCAL } from './claims.ts';
import { ContentBook } from './content.ts';
import type { PolicyObjects } from './evaluator.ts';
import { namespaceOf, PolicyFacts, policiesIn, type Touched } from './facts.ts';
import { Identities } from './identities.ts';
import { IdBook } from './ids.ts';
import { Inside } from './inside.ts';
import { Meetings } from './meetings.ts';
import { mayLoseByMove, mayLoseByReplacement } from './narrowing.ts';
import { nodeParty, type PartyObjects, type PodParty, podParty } from './parties.ts';
import { type ActivePeer, type Identity, meet, type PolicySet } from './policy-set.ts';
import { PolicySets, type SetChanges } from './policy-sets.ts';
import { type Extent, Room } from './room.ts';
import { settleRows } from './row-changes.ts';
import { Rows } from './rows.ts';
import { Selections } from './selections.ts';
import { Subjects } from './subjects.ts';

export interface ModelOptions {
  readonly nodeName: string;
  /** Networks whose senders are told of a refusal, besides Nodes and pods; undefined: nobody is. */
  readonly inside: readonly Cidr[] | undefined;
}

export class PolicyModel {
  readonly facts: PolicyFacts;
  readonly book: ContentBook;
  readonly selections = new Selections();
  readonly rows: Rows;
  readonly subjects: Subjects;
  readonly inside: Inside;
  readonly #options: ModelOptions;
  readonly #sets: PolicySets;
  readonly #claims: Claims;
  readonly #identities: Identities;
  readonly #meetings: Meetings;
  readonly #room = new Room();
  /** Somebody may have lost what was allowed since the last `settle`. */
  #isNarrowed = false;
  #settling: Steps<void> | undefined;
  /** Why only half of what was told is in the content. */
  #failure: { readonly thrown: unknown } | undefined;

  constructor(options: ModelOptions, before?: Pick<PolicyModel, 'facts' | 'book'>) {
    this.facts = before?.facts ?? new PolicyFacts();
    this.book = before?.book ?? new ContentBook();
    const ids = new IdBook();
    const narrow = () => {
      this.#isNarrowed = true;
    };
    this.#options = options;
    this.rows = new Rows(ids, this.book);
    this.#claims = new Claims((made) => {
      for (const peer of this.#sets.peers()) meet(peer, made);
    });
    this.#identities = new Identities({ ids, book: this.book, claims: this.#claims }, (...moved) =>
      this.#onMove(...moved),
    );
    this.#sets = new PolicySets(ids, (old, made) => this.#onReplace(old, made));
    this.#meetings = new Meetings(this.#claims, this.#sets);
    this.subjects = new Subjects(this.book, this.#sets, narrow);
    this.inside = new Inside(this.book, options.inside);
  }

  get hasFailed(): boolean {
    return this.#failure !== undefined;
  }

  /** One that makes the content anew of all that was told; this one is not to be used any more. */
  anew(): PolicyModel {
    this.facts.touchAll();
    this.book.clear();
    const made = new PolicyModel({ ...this.#options, inside: this.inside.networks }, this);
    made.#isNarrowed = true;
    return made;
  }

  apply(change: PolicyChange): void {
    this.facts.apply(change);
  }

  /**
   * Brings the content in line with the facts; gives whether somebody may lose what was allowed. Once it has
   * thrown it always does, as nobody knows what the content is.
   */
  settle(): boolean {
    if (this.#settling !== undefined) takeAtOnce(this.#settling);
    takeAtOnce(this.#settleInSteps());
    const isNarrowed = this.#isNarrowed;
    this.#isNarrowed = false;
    return isNarrowed;
  }

  /** Most of what the next `settle` would do, others having their turns; they may settle meanwhile. */
  async settleInTurns(): Promise<void> {
    this.#settling ??= this.#settleInSteps();
    await takeInTurns(this.#settling);
  }

  /** What is told meanwhile is for the next time. */
  *#settleInSteps(): Steps<void> {
    try {
      if (this.#failure !== undefined) throw this.#failure.thrown;
      yield* this.#settleTouched(this.facts.takeTouched());
    } catch (thrown) {
      this.#failure = { thrown };
      throw thrown;
    } finally {
      this.#settling = undefined;
    }
  }

  *#settleTouched(touched: Touched): Steps<void> {
    for (const key of touched.pods) {
      this.#setPod(key);
      yield;
    }
    for (const key of touched.nodes) {
      this.#setNode(key);
      yield;
    }
    yield* this.#setPolicies(touched);
    for (const key of touched.locals) {
      this.#setSubject(key);
      yield;
    }
    yield* this.#settleWithinRoom(touched);
    yield* this.rows.settle();
    this.inside.settle();
  }

  /** What was told, pods of this node with the addresses that they have. */
  objects(): PartyObjects & PolicyObjects {
    const { pods, locals, namespaces, nodes, networkPolicies, clusterNetworkPolicies } = this.facts;
    const all = new Map(pods);
    for (const [key, { local, pod }] of locals) {
      if (pod !== undefined) {
        all.set(key, { ...pod, ips: local.ips, nodeName: this.#options.nodeName });
      }
    }
    return {
      pods: all.values(),
      namespaces: namespaces.values(),
      nodes: nodes.values(),
      networkPolicies: networkPolicies.values(),
      clusterNetworkPolicies: clusterNetworkPolicies.values(),
      closed: this.selections.closed,
    };
  }

  #setPod(key: string): void {
    const pod = this.facts.pods.get(key);
    const known = this.facts.locals.get(key);
    const party = known?.pod && this.#localParty(known.pod, known.local.ips);
    const claim = known?.pod?.hasEnded === true ? undefined : party;
    this.#claims.set(LOCAL + key, claim && { party: claim, isOwnNode: false, ips: claim.ips });
    const isElsewhere = pod !== undefined && pod !== known?.pod;
    const isPeer = isElsewhere && !pod.hasEnded && !pod.usesHostNetwork;
    const other = isPeer ? podParty(pod, this.#namespaceLabels(key)) : undefined;
    this.#claims.set(`pod ${key}`, other && { party: other, isOwnNode: false, ips: other.ips });
  }

  #setNode(name: string): void {
    const node = this.facts.nodes.get(name);
    const party = node && nodeParty(node);
    const isOwnNode = name === this.#options.nodeName;
    this.#claims.set(`node ${name}`, party && { party, isOwnNode, ips: party.ips });
    const podCIDRs = (node?.spec?.podCIDRs ?? []).flatMap((text) => parseSloppyCidr(text) ?? []);
    this.inside.set(`node ${name}`, [...(party?.ips ?? []).map(hostCidr), ...podCIDRs]);
  }

  /** Whoever has a policy that has changed, or may have one now, is asked for anew. */
  *#setPolicies({ networkPolicies, clusterNetworkPolicies, locals }: Touched): Steps<void> {
    for (const key of networkPolicies) {
      this.selections.setNetworkPolicy(key, this.facts.networkPolicies.get(key));
      yield;
    }
    const isClusterChanged = clusterNetworkPolicies.size > 0;
    if (isClusterChanged) {
      this.selections.setClusterPolicies(this.facts.clusterNetworkPolicies.values());
    }
    if (networkPolicies.size === 0 && !isClusterChanged) return;
    this.#sets.invalidate(({ tier, key }) =>
      tier === 'NetworkPolicy' ? networkPolicies.has(key) : clusterNetworkPolicies.has(key),
    );
    const namespaces = new Set([...networkPolicies].map(namespaceOf));
    for (const key of this.facts.locals.keys()) {
      if (isClusterChanged || namespaces.has(namespaceOf(key))) locals.add(key);
    }
  }

  #setSubject(key: string): void {
    const known = this.facts.locals.get(key);
    this.inside.set(LOCAL + key, (known?.local.ips ?? []).map(hostCidr));
    if (known === undefined) {
      this.subjects.remove(key);
      return;
    }
    const { pod, local } = known;
    const namespace = namespaceOf(key);
    const of = this.#claims.held(LOCAL + key);
    const party = of?.party.kind === 'pod' ? of.party : pod && this.#localParty(pod, local.ips);
    const unknown = this.selections.concerns(namespace) ? 'closed' : [];
    const selection = party === undefined ? unknown : this.selections.selecting(party, of ?? party);
    this.subjects.set(key, { namespace, ips: local.ips, party }, selection);
  }

  /** Closes policies that there is no room for with all others, and opens those that there is room for again. */
  *#settleWithinRoom(touched: Touched): Steps<void> {
    let isRoomOther = this.#room.open(policiesIn(touched), this.#extent);
    for (let isAgain = false, futile = 0; ; isAgain = true) {
      yield* this.#makeRoom(isRoomOther);
      yield* this.#settleSets(this.#sets.takeChanges(), isAgain);
      const overload = this.#meetings.overload() ?? this.rows.overload();
      if (futile > 1) break;
      if (overload === undefined && !this.rows.isFull) {
        // Only now it is known whom those that are open tell apart.
        isRoomOther = !isAgain && this.#room.open([], this.#extent);
        if (isRoomOther) continue;
        break;
      }
      isRoomOther = overload !== undefined && this.#room.close(overload, this.#extent, futile > 0);
      futile = isRoomOther ? 0 : futile + 1;
      this.rows.resume(futile > 1);
    }
    this.#room.settled(this.#extent);
  }

  get #extent(): Extent {
    const [{ setCount: sets }, { count: identities }] = [this.#sets, this.#identities];
    const [pods, classes] = [this.facts.locals.size, this.#claims.classCount];
    return { pods, sets, classes, identities, elements: this.rows.size };
  }

  *#makeRoom(isRoomOther: boolean): Steps<void> {
    if (!this.#sets.isChanged && !isRoomOther) return;
    const closed = withoutRoomAmong(this.#sets, this.#room.closed());
    const changed = this.selections.setClosed(closed);
    if (changed.size === 0) return;
    this.#sets.invalidate((policy) => changed.has(policyId(policy)));
    for (const key of this.facts.locals.keys()) {
      this.#setSubject(key);
      yield;
    }
  }

  /** `isAgain`: what is dropped leaves its room first. */
  *#settleSets(changes: SetChanges, isAgain: boolean): Steps<void> {
    const { created, dropped, peersCreated, peersDropped } = changes;
    yield* this.#meetings.settle(peersCreated, peersDropped);
    if (created.size + dropped.size > 0) this.#identities.setNames(this.#egressNames());
    const isBlock = ({ peer }: ActivePeer) => peer.kind === 'block';
    if ([...peersCreated, ...peersDropped].some(isBlock)) {
      this.#identities.setBlocks([...this.#sets.peers()].filter(isBlock));
    }
    yield* this.#identities.settle();
    const { rows } = this;
    const book = { rows, identities: this.#identities, sets: this.#sets };
    yield* settleRows(book, { created, dropped }, isAgain);
  }

  #egressNames(): ReadonlySet<string> {
    const names = new Set<string>();
    for (const set of this.#sets) {
      if (set.direction === 'egress') for (const name of set.names) names.add(name);
    }
    return names;
  }

  #onMove(
    from: Identity | undefined,
    to: Identity | undefined,
    blocks: readonly ActivePeer[],
  ): void {
    this.#isNarrowed ||= mayLoseByMove(from, to, blocks, this.#sets);
  }

  #onReplace(old: PolicySet, made: PolicySet): void {
    this.#isNarrowed ||= mayLoseByReplacement(old, made, this.#identities);
  }

  #localParty(pod: Parameters<typeof podParty>[0], ips: readonly IP[]): PodParty {
    const namespaceLabels = this.#namespaceLabels(pod.metadata.namespace);
    return { ...podParty(pod, namespaceLabels), ips, nodeName: this.#options.nodeName };
  }

  #namespaceLabels(key: string) {
    const namespace = key.includes('/') ? namespaceOf(key) : key;
    return this.facts.namespaces.get(namespace)?.metadata.labels ?? {};
  }
}
