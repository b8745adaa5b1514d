import { isDeepStrictEqual } from 'node:util';
import type { ObservedRules } from '../../../iptables/chain-book.ts';
import type { IpvsChange, VirtualServer } from '../../../kernel/ipvs-types.ts';
import type { Cidr } from '../../../net/cidr.ts';
import type { IP } from '../../../net/ip.ts';
import { formatServerKey } from '../../../netlink/ipvs/server-key.ts';
import { inTurns } from '../../../util/turns.ts';
import {
  NO_PLACES,
  type ServiceSession,
  type SessionAudit,
  type SessionSettings,
} from '../../session.ts';
import type { ResolvedPort } from '../../state.ts';
import { applyInHalves } from '../iptables/halves.ts';
import { Rendering } from '../rendering.ts';
import { destinationKey } from './difference.ts';
import { type IpvsPartOptions, joinParts, renderPort } from './fragment.ts';
import type { IpvsKernel } from './kernel.ts';
import type { KnownState } from './known.ts';
import { portalKey, portalOf } from './model.ts';
import { knownServer, observe } from './observe.ts';
import { type Changes, noChanges, Planner } from './planner.ts';
import { refusedDestinations } from './refused.ts';
import { ipvsChains } from './rules.ts';
import { leftServiceChains, planRules, type RulesPlan } from './rules-plan.ts';
import { chooseScheduling, type Scheduling } from './schedulers.ts';

export interface IpvsSessionOptions {
  readonly kernel: IpvsKernel;
  /** What this session reads and writes; the caller keeps it for a look at drift. */
  readonly known: KnownState;
  /** Number of the bit, 0 to 31, that marks packets to masquerade. */
  readonly masqueradeBit: number;
  /** For Services that ask for nothing else. */
  readonly scheduling: Scheduling;
  readonly excludeCIDRs: readonly Cidr[];
  /** A Service asks for a scheduler that the kernel does not have: told once for each. */
  readonly onMissingScheduler: (scheduler: string) => void;
  /** An endpoint has an address that the kernel refuses; `TCP 172.30.0.1:80`, `10.1.0.255 8080`. */
  readonly onRefusedDestination: (server: string, destination: string) => void;
}

/** A session whose rules are virtual servers, sets, addresses and what leads to them. */
export class IpvsSession implements ServiceSession {
  readonly #options: IpvsSessionOptions;
  readonly #planner: Planner;
  /** Virtual servers of others; one at a Service's portal becomes the Service's. */
  #foreign = new Map<string, VirtualServer>();
  /** Chains of the iptables mode that are to be deleted. */
  #leftChains: readonly string[] = [];
  readonly #rendering = new Rendering<IpvsPartOptions>();
  /** The kernel is looked at every few seconds: nothing tells of changes in IPVS. */
  readonly audit: SessionAudit = {
    ...NO_PLACES,
    isAsProgrammed: (service, ports) => this.#isAsProgrammed(service, ports),
  };

  constructor(options: IpvsSessionOptions) {
    const { kernel, known } = options;
    this.#options = options;
    this.#planner = new Planner({
      known,
      chooseScheduling: (wanted) =>
        chooseScheduling(wanted, (scheduler) => kernel.schedulers.has(scheduler)),
    });
  }

  /**
   * Programs Services, all groups together: sets first, by which rules masquerade and refuse, then
   * virtual servers, then the addresses that bring packets to them; what goes, in the other order.
   */
  async program(
    settings: SessionSettings,
    groups: Iterable<readonly string[]>,
    resolve: (service: string) => readonly ResolvedPort[],
  ): Promise<void> {
    const { known, kernel, masqueradeBit } = this.#options;
    known.unsettle();
    const { isFirst } = this.#rendering;
    const observed = isFirst ? await this.#observe(settings) : undefined;
    const others = new Set(kernel.addresses.others());
    this.#planner.setOtherAddresses(others);
    await this.#render(this.#fragmentOptionsFor(settings, others), groups, resolve);
    this.#adopt();
    const changes = await this.#planner.plan(isFirst);
    const chains = ipvsChains({ masqueradeBit, settings });
    const rules = planRules(chains, kernel.rules, observed);
    await this.#apply(changes, rules);
    if (observed !== undefined) this.#leftChains = leftServiceChains(observed);
    known.settle();
  }

  /** Removes destinations and virtual servers that have no connections any more. */
  async removeIdle(now: number, onFailure: (name: string, error: unknown) => void): Promise<void> {
    await this.#dropLeftChains(onFailure);
    const { kernel, known } = this.#options;
    const due = this.#planner.draining.due(now);
    if (due.length === 0) return;
    known.unsettle();
    const changes = noChanges();
    for (const key of due) {
      const server = known.servers.get(key)?.server.key;
      const observed = server === undefined ? [] : kernel.ipvs.destinations(server);
      this.#planner.planIdle(key, observed, changes);
    }
    await this.#apply(changes, undefined);
    known.settle();
  }

  /** What is in the kernel stays. */
  close(): void {
    this.#options.known.unsettle();
  }

  async #observe({ layout: { family } }: SessionSettings): Promise<ObservedRules> {
    const { kernel, known, excludeCIDRs } = this.#options;
    this.#foreign = await observe(kernel, known, { family, excludeCIDRs });
    return kernel.rules.observe();
  }

  #fragmentOptionsFor(
    { layout, nodePortIPs }: SessionSettings,
    others: ReadonlySet<IP>,
  ): IpvsPartOptions {
    const { scheduling, excludeCIDRs } = this.#options;
    const ips = layout.acceptsOnAllAddresses ? [...others] : nodePortIPs;
    return { scheduling, excludeCIDRs, nodePortIPs: ips.toSorted() };
  }

  async #render(
    options: IpvsPartOptions,
    groups: Iterable<readonly string[]>,
    resolve: (service: string) => readonly ResolvedPort[],
  ): Promise<void> {
    const { wanted } = this.#planner;
    const schedulers = new Set<string>();
    const services = this.#rendering.begin(options, groups, wanted.services());
    const render = (key: string) => {
      const ports = resolve(key);
      const fragments = ports.map((port) => renderPort(port, options));
      const fragment = joinParts(fragments);
      for (const { schedulings } of fragment.servers) {
        for (const { scheduler } of schedulings) schedulers.add(scheduler);
      }
      wanted.update(key, ports.length === 0 ? undefined : fragment);
    };
    await inTurns(services, render);
    const { kernel, onMissingScheduler } = this.#options;
    for (const missing of await kernel.schedulers.learn(schedulers)) onMissingScheduler(missing);
  }

  #isAsProgrammed(service: string, ports: readonly ResolvedPort[]): boolean {
    const known = this.#planner.wanted.fragment(service);
    return this.#rendering.isAsProgrammed(known, ports, (part, options) =>
      isDeepStrictEqual(part, joinParts(ports.map((port) => renderPort(port, options)))),
    );
  }

  /** Whoever made it, a virtual server where a Service wants one is the Service's. */
  #adopt(): void {
    const { kernel, known } = this.#options;
    for (const [key, server] of this.#foreign) {
      if (this.#planner.wanted.server(key) === undefined) continue;
      const destinations = kernel.ipvs.destinations(server.key);
      known.servers.set(key, knownServer({ server, destinations }));
      this.#foreign.delete(key);
    }
  }

  async #apply(changes: Changes, rules: RulesPlan | undefined): Promise<void> {
    const { sets, rules: kernelRules, addresses } = this.#options.kernel;
    await sets.add(changes.addedEntries);
    if (rules?.isLast === false) await kernelRules.apply(rules.change);
    await this.#applyServers(changes.ipvs);
    await addresses.add(changes.addedAddresses);
    if (rules?.isLast === true) await kernelRules.apply(rules.change);
    await addresses.remove(changes.removedAddresses);
    await sets.remove(changes.removedEntries);
  }

  /** An endpoint with an impossible address does not keep the others from being served. */
  async #applyServers(changes: readonly IpvsChange[]): Promise<void> {
    const { kernel, known, onRefusedDestination } = this.#options;
    try {
      await kernel.ipvs.apply(changes);
    } catch (thrown) {
      const refused = refusedDestinations(thrown);
      if (refused === undefined) throw thrown;
      for (const { key, destination } of refused) {
        known.forgetDestination(portalKey(portalOf(key)), destinationKey(destination));
        onRefusedDestination(formatServerKey(key), destinationKey(destination));
      }
    }
  }

  async #dropLeftChains(onFailure: (name: string, error: unknown) => void): Promise<void> {
    const names = this.#leftChains;
    if (names.length === 0) return;
    this.#leftChains = [];
    const { rules } = this.#options.kernel;
    const toChain = (name: string) => ({ table: 'nat', name }) as const;
    const drop = (some: readonly string[]) => rules.apply({ removedChains: some.map(toChain) });
    await applyInHalves(names, drop, onFailure);
  }
}
