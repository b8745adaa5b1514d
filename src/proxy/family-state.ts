import { type IP, type IPFamily, ipFamily } from '../net/ip.ts';
import type { Logger } from '../util/log.ts';
import { EndpointsTracker, ServiceTracker } from './changes.ts';
import { FrontendClaims } from './claims.ts';
import type { NodeFacts } from './node-addresses.ts';
import type { ServicePort } from './service.ts';
import { type NodeView, type ResolvedPort, resolvePort } from './state.ts';

export type TrafficPolicy = 'internal' | 'external';

const POLICIES: readonly TrafficPolicy[] = ['internal', 'external'];

/** What one address family has of the cluster's objects, and what of it is not programmed yet. */
export class FamilyState {
  readonly services: ServiceTracker;
  readonly endpoints: EndpointsTracker;
  readonly #family: IPFamily;
  readonly #nodeName: string;
  readonly #claims: FrontendClaims;
  /** The ports each Service has claims for, as of the last sync. */
  readonly #claimed = new Map<string, readonly ServicePort[]>();
  /** Per policy, how many ports of a Service have endpoints but none here. */
  readonly #withoutLocal = {
    internal: new Map<string, number>(),
    external: new Map<string, number>(),
  };
  #node: NodeFacts | undefined;
  #isZoneNew = false;
  #isNodeIPNew = false;

  constructor(family: IPFamily, nodeName: string, log: Logger) {
    this.#family = family;
    this.#nodeName = nodeName;
    this.services = new ServiceTracker(family);
    this.endpoints = new EndpointsTracker(family, nodeName, (slice, warnings) =>
      log.warn({ slice, warnings }, 'endpoints ignored'),
    );
    this.#claims = new FrontendClaims((conflict) => log.warn(conflict, 'frontend claimed twice'));
  }

  get node(): NodeFacts | undefined {
    return this.#node;
  }

  /** Takes what is now known of this node; undefined when its object is gone. */
  updateNode(node: NodeFacts | undefined): void {
    if (node?.zone !== this.#node?.zone) this.#isZoneNew = true;
    if (this.#ipOf(node) !== this.#ipOf(this.#node)) this.#isNodeIPNew = true;
    this.#node = node;
  }

  nodeView(): NodeView {
    const node = this.#node;
    return { nodeName: this.#nodeName, zone: node?.zone, nodeIP: this.#ipOf(node) };
  }

  /**
   * The Services to program now, in groups for one transaction each: first all those between which
   * a frontend changes hands, as nobody may remove what another has just added; then the others
   * one by one. With `isAll` every Service; else those that differ from the last call.
   */
  takeChanges(isAll: boolean): readonly (readonly string[])[] {
    const changed = this.services.drain();
    const touched = new Set([...this.endpoints.drain(), ...changed]);
    const handovers = this.#claims.updateAll(
      changed.map((key) => ({
        before: this.#claimed.get(key) ?? [],
        after: this.services.get(key),
      })),
    );
    for (const key of changed) {
      const entry = this.services.get(key);
      if (entry === undefined) this.#claimed.delete(key);
      else this.#claimed.set(key, entry.ports);
    }
    for (const key of this.#takeNodeChanges(isAll)) touched.add(key);
    const groups = [...touched].filter((key) => !handovers.has(key)).map((key) => [key]);
    return handovers.size === 0 ? groups : [[...handovers], ...groups];
  }

  /** A Service as it is to be programmed, by the claims of the last takeChanges. */
  resolve(service: string): readonly ResolvedPort[] {
    const node = this.nodeView();
    const slices = [...this.endpoints.slices(service)];
    const ports = (this.#claimed.get(service) ?? []).map((port) =>
      resolvePort(port, slices, this.#claims, node),
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

  /** How many ports have endpoints but none here, of the Services resolved. */
  withoutLocal(): ReadonlyMap<TrafficPolicy, number> {
    return new Map(
      POLICIES.map((policy) => {
        const counts = [...this.#withoutLocal[policy].values()];
        return [policy, counts.reduce((sum, count) => sum + count, 0)];
      }),
    );
  }

  /** The zone decides on endpoints, the node's address on who may use an address with ranges. */
  #takeNodeChanges(isAll: boolean): readonly string[] {
    const isWanted = isAll || this.#isZoneNew ? () => true : hasSourceRanges;
    const isNew = isAll || this.#isZoneNew || this.#isNodeIPNew;
    this.#isZoneNew = false;
    this.#isNodeIPNew = false;
    if (!isNew) return [];
    return [...this.#claimed].flatMap(([key, ports]) => (isWanted(ports) ? [key] : []));
  }

  #ipOf(node: NodeFacts | undefined): IP | undefined {
    return node?.addresses.find((ip) => ipFamily(ip) === this.#family);
  }
}

function hasSourceRanges(ports: readonly ServicePort[]): boolean {
  return ports.some(({ policy }) => policy.sourceRanges.length > 0);
}
