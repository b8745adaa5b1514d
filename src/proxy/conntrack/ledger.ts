import type { Flow } from '../../kernel/types.ts';
import type { IP } from '../../net/ip.ts';
import { type Frontend, frontendKey } from '../claims.ts';
import type { FormerFrontend } from '../commit-listener.ts';
import type { ResolvedPort } from '../state.ts';
import {
  canStrand,
  type FlowFrontend,
  flowFrontendKey,
  flowFrontends,
  frontendOfFlow,
  isStranded,
  wasLedTo,
} from './frontends.ts';

/** Whether an address accepts NodePorts. */
export type AcceptsNodePorts = (ip: IP) => boolean;

/**
 * The frontends of one address family whose flows are looked after: as they are in the kernel, and
 * as the sync in progress makes them.
 */
export class FrontendLedger {
  readonly #endsLedTcp: boolean;
  readonly #committed = new Map<string, FlowFrontend>();
  /** Keys of the frontends of each Service that has any. */
  readonly #services = new Map<string, readonly string[]>();
  readonly #pendingServices = new Map<string, readonly FlowFrontend[]>();
  readonly #pending = new Map<string, FlowFrontend>();
  /** Endpoints that a frontend has had since its flows were last swept. */
  readonly #former = new Map<string, FlowFrontend>();

  /** `endsLedTcp`: TCP connections to endpoints that are gone are stale too. */
  constructor({ endsLedTcp }: { readonly endsLedTcp: boolean }) {
    this.#endsLedTcp = endsLedTcp;
  }

  /** Notes what a Service is about to become. */
  note(service: string, ports: readonly ResolvedPort[]): void {
    const frontends = flowFrontends(ports, this.#endsLedTcp);
    const isUnknown = !this.#services.has(service) && !this.#pendingServices.has(service);
    if (frontends.length === 0 && isUnknown) return;
    this.#pendingServices.set(service, frontends);
    for (const entry of frontends) this.#pending.set(flowFrontendKey(entry), entry);
  }

  /**
   * What was noted is in the kernel; `isFull`: and nothing else. Gives the frontends whose flows may
   * be stale by it, those that are gone among them: after a full sync all, as nobody knows what the
   * table was like before; `former` are those that it had besides.
   */
  commit(isFull: boolean, former: readonly FormerFrontend[] = []): readonly Frontend[] {
    const told = isFull ? [...this.#services.keys()] : [...this.#pendingServices.keys()];
    const before = new Map<string, FlowFrontend>();
    for (const service of told) for (const entry of this.#forget(service)) keep(before, entry);
    const after = [...this.#pendingServices.values()].flat();
    const stranding = after.filter((entry) => {
      const key = flowFrontendKey(entry);
      const known = before.get(key) ?? this.#committed.get(key);
      return isFull || canStrand(known, entry);
    });
    for (const [service, frontends] of this.#pendingServices) this.#keep(service, frontends);
    this.#pendingServices.clear();
    this.#pending.clear();
    const gone = [...before].flatMap(([key, entry]) =>
      this.#committed.has(key) || entry.frontend.protocol === 'tcp' ? [] : entry,
    );
    const asked = [...gone, ...stranding];
    for (const entry of asked) {
      const known = before.get(flowFrontendKey(entry));
      if (known !== undefined) this.#noteFormer(known);
    }
    const adopted = former.filter(({ frontend }) => !this.#committed.has(frontendKey(frontend)));
    for (const entry of adopted) this.#noteFormer({ service: '', ...entry });
    return [...asked, ...adopted].map(({ frontend }) => frontend);
  }

  /** The flows of these frontends were looked at. */
  swept(frontends: Iterable<Frontend>): void {
    for (const frontend of frontends) this.#former.delete(frontendKey(frontend));
  }

  /**
   * Whether a flow may go: no endpoint of its frontend answers it, neither as things are nor as
   * they are about to be; or an endpoint of a frontend that is gone does. `accepted` tells which
   * addresses took NodePorts before.
   */
  isStale(flow: Flow, accepts: AcceptsNodePorts, accepted: AcceptsNodePorts = accepts): boolean {
    const frontend = frontendOfFlow(flow, this.#committed, accepts);
    if (frontend === undefined) {
      const former = frontendOfFlow(flow, this.#former, accepted);
      if (former === undefined || !wasLedTo(flow, former.endpoints)) return false;
    } else if (!isStranded(flow, frontend, this.#endsLedTcp)) return false;
    const pending = frontendOfFlow(flow, this.#pending, accepts);
    return pending === undefined || isStranded(flow, pending, this.#endsLedTcp);
  }

  /** The NodePorts in the kernel. */
  nodePorts(): readonly Frontend[] {
    return [...this.#committed.values()].flatMap(({ frontend }) =>
      frontend.kind === 'nodePort' ? frontend : [],
    );
  }

  /** NodePorts are about to be taken at other addresses: flows to the old ones lead to these. */
  noteFormerNodePorts(): void {
    for (const entry of this.#committed.values()) {
      if (entry.frontend.kind === 'nodePort') this.#noteFormer(entry);
    }
  }

  #noteFormer(entry: FlowFrontend): void {
    const key = flowFrontendKey(entry);
    const known = this.#former.get(key);
    if (known?.endpoints === entry.endpoints) return;
    this.#former.set(
      key,
      known === undefined
        ? entry
        : { ...entry, endpoints: new Set([...known.endpoints, ...entry.endpoints]) },
    );
  }

  /** Gives what was the Service's; a frontend that went over to another one stays. */
  #forget(service: string): readonly FlowFrontend[] {
    const forgotten: FlowFrontend[] = [];
    for (const key of this.#services.get(service) ?? []) {
      const entry = this.#committed.get(key);
      if (entry?.service !== service) continue;
      forgotten.push(entry);
      this.#committed.delete(key);
    }
    this.#services.delete(service);
    return forgotten;
  }

  #keep(service: string, frontends: readonly FlowFrontend[]): void {
    if (frontends.length === 0) return;
    this.#services.set(service, frontends.map(flowFrontendKey));
    for (const entry of frontends) keep(this.#committed, entry);
  }
}

function keep(frontends: Map<string, FlowFrontend>, entry: FlowFrontend): void {
  frontends.set(flowFrontendKey(entry), entry);
}
