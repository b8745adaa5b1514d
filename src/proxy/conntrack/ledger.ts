import type { Flow } from '../../kernel/types.ts';
import type { IP } from '../../net/ip.ts';
import type { Frontend } from '../claims.ts';
import type { ResolvedPort } from '../state.ts';
import {
  canStrand,
  type FlowFrontend,
  flowFrontendKey,
  flowFrontends,
  frontendOfFlow,
  isStranded,
  type SweptProtocol,
} from './frontends.ts';

/**
 * The frontends of one address family whose flows are looked after: as they are in the kernel, and
 * as the sync in progress makes them.
 */
export class FrontendLedger {
  readonly #protocols: ReadonlySet<SweptProtocol>;
  readonly #committed = new Map<string, FlowFrontend>();
  /** Keys of the frontends of each Service that has any. */
  readonly #services = new Map<string, readonly string[]>();
  readonly #pendingServices = new Map<string, readonly FlowFrontend[]>();
  readonly #pending = new Map<string, FlowFrontend>();

  constructor(protocols: ReadonlySet<SweptProtocol>) {
    this.#protocols = protocols;
  }

  /** Notes what a Service is about to become. */
  note(service: string, ports: readonly ResolvedPort[]): void {
    const frontends = flowFrontends(ports, this.#protocols);
    const isUnknown = !this.#services.has(service) && !this.#pendingServices.has(service);
    if (frontends.length === 0 && isUnknown) return;
    this.#pendingServices.set(service, frontends);
    for (const entry of frontends) this.#pending.set(flowFrontendKey(entry), entry);
  }

  /**
   * What was noted is in the kernel; `isFull`: and nothing else. Gives the frontends whose flows may
   * be stale by it: after a full sync all, as nobody knows what the table was like before.
   */
  commit(isFull: boolean): readonly Frontend[] {
    const stranding = [...this.#pendingServices.values()].flat().filter((entry) => {
      const before = isFull ? undefined : this.#committed.get(flowFrontendKey(entry));
      return canStrand(before, entry);
    });
    for (const service of isFull ? [...this.#services.keys()] : this.#pendingServices.keys()) {
      this.#forget(service);
    }
    for (const [service, frontends] of this.#pendingServices) this.#keep(service, frontends);
    this.#pendingServices.clear();
    this.#pending.clear();
    return stranding.map(({ frontend }) => frontend);
  }

  /**
   * Whether a flow may go: no endpoint of its frontend answers it, neither as things are nor as
   * they are about to be.
   */
  isStale(flow: Flow, acceptsNodePorts: (ip: IP) => boolean): boolean {
    const frontend = frontendOfFlow(flow, this.#committed, acceptsNodePorts);
    if (frontend === undefined || !isStranded(flow, frontend)) return false;
    const pending = frontendOfFlow(flow, this.#pending, acceptsNodePorts);
    return pending === undefined || isStranded(flow, pending);
  }

  /** The NodePorts in the kernel. */
  nodePorts(): readonly Frontend[] {
    return [...this.#committed.values()].flatMap(({ frontend }) =>
      frontend.kind === 'nodePort' ? frontend : [],
    );
  }

  /** A frontend that went over to another Service stays. */
  #forget(service: string): void {
    for (const key of this.#services.get(service) ?? []) {
      if (this.#committed.get(key)?.service === service) this.#committed.delete(key);
    }
    this.#services.delete(service);
  }

  #keep(service: string, frontends: readonly FlowFrontend[]): void {
    if (frontends.length === 0) return;
    const keys = frontends.map(flowFrontendKey);
    this.#services.set(service, keys);
    frontends.forEach((entry, i) => {
      const key = keys[i];
      if (key !== undefined) this.#committed.set(key, entry);
    });
  }
}
