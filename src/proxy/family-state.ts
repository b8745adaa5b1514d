import { type IP, type IPFamily, ipFamily } from '../net/ip.ts';
import { summarized } from '../util/complaints.ts';
import type { Logger } from '../util/log.ts';
import { EndpointsTracker, TwoStates } from './changes.ts';
import { type Conflict, type Frontend, FrontendClaims } from './claims.ts';
import type { NodeFacts } from './node-addresses.ts';
import type { ServiceEntry, ServicePort } from './service.ts';
import { type NodeView, type ResolvedPort, resolvePort } from './state.ts';

export type TrafficPolicy = 'internal' | 'external';

const POLICIES: readonly TrafficPolicy[] = ['internal', 'external'];

/** Lines about frontends that Services share, for one round of changes. */
const MOST_CONFLICTS = 20;

/**
 * What one address family has of the cluster's objects, and what of it is not programmed yet.
 * Events change the present state at any time; what a sync resolves is as it was at `drain`.
 */
export class FamilyState {
  readonly services = new TwoStates<ServiceEntry>();
  readonly endpoints = new EndpointsTracker();
  readonly #family: IPFamily;
  readonly #nodeName: string;
  readonly #log: Logger;
  readonly #claims: FrontendClaims;
  readonly #conflicts: Conflict[] = [];
  /** Keys of the Services drained since the last `committed`. */
  readonly #uncommitted = new Set<string>();
  /** Per policy, how many ports of a Service have endpoints but none here. */
  readonly #withoutLocal = {
    internal: new Map<string, number>(),
    external: new Map<string, number>(),
  };
  #node: NodeFacts | undefined;
  #drainedNode: NodeView;

  constructor(family: IPFamily, nodeName: string, log: Logger) {
    this.#family = family;
    this.#nodeName = nodeName;
    this.#drainedNode = this.nodeView();
    this.#claims = new FrontendClaims((conflict) => this.#conflicts.push(conflict));
    this.#log = log;
  }

  get node(): NodeFacts | undefined {
    return this.#node;
  }

  /** Takes what is now known of this node; undefined when its object is gone. */
  updateNode(node: NodeFacts | undefined): void {
    this.#node = node;
  }

  nodeView(): NodeView {
    const node = this.#node;
    return { nodeName: this.#nodeName, zone: node?.zone, nodeIP: this.#ipOf(node) };
  }

  /** Keys of the Services whose present state is not in the kernel, or not for certain. */
  pendingKeys(): ReadonlySet<string> {
    return new Set([
      ...this.#uncommitted,
      ...this.services.pendingKeys(),
      ...this.endpoints.pendingKeys(),
    ]);
  }

  /**
   * Fixes the state that `resolve` goes by, and gives the Services to program: with `isAll` every
   * one, else those that differ from the last state that was committed. They come in groups for one
   * transaction each: first all those between which a frontend changes hands, as nobody may remove
   * what another has just added; then the others one by one.
   */
  drain(isAll: boolean): readonly (readonly string[])[] {
    const changes = Array.from(this.services.pendingKeys(), (key) => ({
      before: this.services.drained(key)?.ports ?? [],
      after: this.services.get(key),
    }));
    for (const key of this.endpoints.drain()) this.#uncommitted.add(key);
    for (const key of this.services.drain()) this.#uncommitted.add(key);
    const handovers = this.#claims.updateAll(changes);
    this.#reportConflicts();
    for (const key of this.#drainNode(isAll)) this.#uncommitted.add(key);
    const groups = [...this.#uncommitted].filter((key) => !handovers.has(key)).map((key) => [key]);
    for (const key of handovers) this.#uncommitted.add(key);
    return handovers.size === 0 ? groups : [[...handovers], ...groups];
  }

  /** All that was drained is in the kernel. Without this call the next drain gives it again. */
  committed(): void {
    this.#uncommitted.clear();
  }

  /** A Service as it is to be programmed: as everything was at the last drain. */
  resolve(service: string): readonly ResolvedPort[] {
    const slices = [...this.endpoints.drained(service)];
    const ports = (this.services.drained(service)?.ports ?? []).map((port) =>
      resolvePort(port, slices, this.#claims, this.#drainedNode),
    );
    for (const policy of POLICIES) {
      const names = ports.filter(({ policiesWithoutLocal }) =>
        policiesWithoutLocal.includes(policy),
      );
      if (names.length > 0) this.#withoutLocal[policy].set(service, names.length);
      else this.#withoutLocal[policy].delete(service);
    }
    return ports;
  }

  /** Whose a frontend is, as of the last drain. */
  ownerOf(frontend: Frontend): ServicePort | undefined {
    return this.#claims.ownerOf(frontend);
  }

  /** How many ports have endpoints but none here, of the Services resolved. */
  withoutLocal(): ReadonlyMap<TrafficPolicy, number> {
    return new Map(
      POLICIES.map((policy) => {
        const counts = [...this.#withoutLocal[policy].values()];
        return [policy, counts.reduce((sum, count) => sum + count, 0)];
      }),
    );
  }

  /** One line for each two Services, and not more than a few at a time. */
  #reportConflicts(): void {
    const conflicts = this.#conflicts.splice(0);
    const pairs = Map.groupBy(conflicts, ({ owner, loser }) => `${owner.service} ${loser.service}`);
    for (const [i, [pair, each]] of [...pairs].entries()) {
      const [owner, loser] = pair.split(' ');
      const frontends = summarized(each.map(({ frontend }) => frontend));
      const more = i === MOST_CONFLICTS - 1 ? { otherPairs: pairs.size - MOST_CONFLICTS } : {};
      if (i < MOST_CONFLICTS)
        this.#log.warn({ owner, loser, frontends, ...more }, 'frontend claimed twice');
    }
  }

  /**
   * The Services that the node's changes concern: the zone decides on endpoints, the address on who
   * may use a frontend with source ranges.
   */
  #drainNode(isAll: boolean): readonly string[] {
    const before = this.#drainedNode;
    const after = this.nodeView();
    this.#drainedNode = after;
    if (isAll || after.zone !== before.zone) return [...this.services.keys()];
    if (after.nodeIP === before.nodeIP) return [];
    return Array.from(this.services.entries()).flatMap(([key, { ports }]) =>
      hasSourceRanges(ports) ? [key] : [],
    );
  }

  #ipOf(node: NodeFacts | undefined): IP | undefined {
    return node?.addresses.find((ip) => ipFamily(ip) === this.#family);
  }
}

function hasSourceRanges(ports: readonly ServicePort[]): boolean {
  return ports.some(({ policy }) => policy.sourceRanges.length > 0);
}
