import { isDeepStrictEqual } from 'node:util';
import { guestKey, type ObservedRules } from '../../../iptables/chain-book.ts';
import { chainKey, type RuleChain, type RulesChange } from '../../../iptables/model.ts';
import { rulesDigest } from '../../../iptables/rule-key.ts';
import { inTurns } from '../../../util/turns.ts';
import type { FormerFrontend } from '../../commit-listener.ts';
import type { ServiceSession, SessionAudit, SessionSettings } from '../../session.ts';
import type { ResolvedPort } from '../../state.ts';
import { Rendering } from '../rendering.ts';
import { CHAIN, isServiceChain } from './chain-names.ts';
import {
  type FixedOptions,
  fixedChains,
  jumps,
  loopbackGuard,
  nodePortAddresses,
  nodePortJumps,
} from './fixed-chains.ts';
import { formerFrontends } from './former-frontends.ts';
import { type PortRules, type PortRulesOptions, renderPort } from './fragment.ts';
import { applyInHalves } from './halves.ts';
import type { ServiceRules } from './kernel-rules.ts';
import { joinShared, sharedChains } from './shared-chains.ts';

export interface SessionOptions extends FixedOptions {
  readonly rules: ServiceRules;
  /** Lets packets from 127.0.0.1 leave for pods; called once they are guarded. */
  readonly routeLoopback: () => void;
}

/** What a Service has in the kernel. */
interface ProgrammedService {
  readonly shared: PortRules['shared'];
  readonly chains: readonly string[];
  readonly endpoints: number;
}

/** What all Services are rendered with; comments go by their total. */
type RenderOptions = Omit<PortRulesOptions, 'hasEndpointComments'>;

/** More endpoints than that, and their rules carry no comments: they are most of the memory. */
const MOST_COMMENTED_ENDPOINTS = 1_000;
/** An endpoint that comes back soon finds its chain. */
const UNUSED_CHAIN_MS = 5_000;

/** A session whose rules are chains of iptables. Only chains whose content differs are sent. */
export class RulesSession implements ServiceSession {
  readonly #options: SessionOptions;
  readonly #services = new Map<string, ProgrammedService>();
  /** What the tables had before. */
  #former: readonly FormerFrontend[] = [];
  /** Chains of ServicePorts that nothing leads to, by name; since when, in milliseconds. */
  readonly #unused = new Map<string, number | undefined>();
  readonly #rendering = new Rendering<RenderOptions>();
  readonly audit: SessionAudit = {
    places: ['chains and jumps'],
    compare: async () => (await this.#options.rules.findDrift()).length,
    isAsProgrammed: (service, ports) => this.#isAsProgrammed(service, ports),
  };

  constructor(options: SessionOptions) {
    this.#options = options;
  }

  get former(): readonly FormerFrontend[] {
    return this.#former;
  }

  /**
   * Programs Services, all groups in one run of iptables-restore. Where rules of all Services follow a
   * change of the settings, those that are not named are resolved as well.
   */
  async program(
    settings: SessionSettings,
    groups: Iterable<readonly string[]>,
    resolve: (service: string) => readonly ResolvedPort[],
  ): Promise<void> {
    const observed = this.#rendering.isFirst ? await this.#observe() : undefined;
    const options = this.#optionsFor(settings);
    const named = this.#rendering.begin(options, groups, this.#services.keys());
    const rendered = await this.#render(named, resolve, options);
    const chains = [
      ...fixedChains(this.#options, settings.layout),
      ...this.#sharedChains(options),
      ...rendered,
    ];
    const guests = observed === undefined ? {} : this.#missingGuests(observed);
    this.#former = observed === undefined ? [] : await formerFrontends(observed);
    await this.#options.rules.apply({ chains, ...guests });
    if (this.#options.hasLoopbackNodePorts) this.#options.routeLoopback();
  }

  /**
   * Deletes chains that nothing has led to for a while; `now` in milliseconds. Rules of others may
   * lead to one: it stays, and the others go.
   */
  async removeIdle(now: number, onFailure: (chain: string, error: unknown) => void): Promise<void> {
    const due: string[] = [];
    for (const [name, since] of this.#unused) {
      if (since === undefined) this.#unused.set(name, now);
      else if (now - since >= UNUSED_CHAIN_MS) due.push(name);
    }
    const drop = (names: readonly string[]) =>
      this.#options.rules.apply({ removedChains: names.map(natChain) });
    const dropped = await applyInHalves(due, drop, (name, error) => {
      this.#unused.set(name, now);
      onFailure(name, error);
    });
    for (const name of dropped) this.#unused.delete(name);
  }

  /** What is in the kernel stays. */
  close(): void {
    this.#services.clear();
  }

  async #observe(): Promise<ObservedRules> {
    const observed = await this.#options.rules.observe();
    for (const key of observed.digests.keys()) {
      const [, name = ''] = key.split(' ');
      if (isServiceChain(name)) this.#unused.set(name, undefined);
    }
    return observed;
  }

  #optionsFor({ layout, nodePortIPs }: SessionSettings): RenderOptions {
    const ips = layout.acceptsOnAllAddresses ? undefined : nodePortIPs;
    return {
      localDetector: layout.localDetector,
      masqueradesAll: layout.masqueradesAll,
      nodePortAddresses: nodePortAddresses(layout.family, ips, this.#options),
    };
  }

  /** The chains of these Services, which are known from here on; the total is known before. */
  async #render(
    keys: ReadonlySet<string>,
    resolve: (service: string) => readonly ResolvedPort[],
    options: RenderOptions,
  ): Promise<readonly RuleChain[]> {
    const resolved: { readonly key: string; readonly ports: readonly ResolvedPort[] }[] = [];
    const take = (key: string) => resolved.push({ key, ports: resolve(key) });
    await inTurns(keys, take);
    const others = [...this.#services].filter(([key]) => !keys.has(key));
    const total =
      others.reduce((sum, [, { endpoints }]) => sum + endpoints, 0) +
      resolved.reduce((sum, { ports }) => sum + countEndpoints(ports), 0);
    const hasEndpointComments = total <= MOST_COMMENTED_ENDPOINTS;
    const chains: RuleChain[] = [];
    const render = ({ key, ports }: (typeof resolved)[number]) => {
      const fragments = ports.map((port) => renderPort(port, { ...options, hasEndpointComments }));
      const own = fragments.flatMap((fragment) => fragment.chains);
      this.#note(key, ports, fragments, own);
      chains.push(...own);
    };
    await inTurns(resolved, render);
    return chains;
  }

  #note(
    key: string,
    ports: readonly ResolvedPort[],
    fragments: readonly PortRules[],
    own: readonly RuleChain[],
  ): void {
    for (const name of this.#services.get(key)?.chains ?? []) this.#unused.set(name, undefined);
    for (const { name } of own) this.#unused.delete(name);
    if (ports.length === 0) {
      this.#services.delete(key);
      return;
    }
    this.#services.set(key, {
      shared: joinShared(fragments.map(({ shared }) => shared)),
      chains: own.map(({ name }) => name),
      endpoints: countEndpoints(ports),
    });
  }

  /** With or without comments, as the total was when it was rendered. */
  #isAsProgrammed(service: string, ports: readonly ResolvedPort[]): boolean {
    const { rules } = this.#options;
    const isSame = (known: ProgrammedService, options: PortRulesOptions) => {
      const fragments = ports.map((port) => renderPort(port, options));
      const chains = fragments.flatMap((fragment) => fragment.chains);
      return (
        chains.length === known.chains.length &&
        chains.every((chain) => rules.digestOf(chainKey(chain)) === rulesDigest(chain.rules)) &&
        isDeepStrictEqual(joinShared(fragments.map(({ shared }) => shared)), known.shared)
      );
    };
    return this.#rendering.isAsProgrammed(this.#services.get(service), ports, (known, options) =>
      [true, false].some((hasEndpointComments) =>
        isSame(known, { ...options, hasEndpointComments }),
      ),
    );
  }

  /** In the order of names, so that the same Services always give the same rules. */
  #sharedChains({ nodePortAddresses: addresses }: Pick<PortRulesOptions, 'nodePortAddresses'>) {
    const sorted = [...this.#services].sort(([left], [right]) => (left < right ? -1 : 1));
    const parts = sorted.map(([, { shared }]) => shared);
    return sharedChains(parts, nodePortJumps(addresses));
  }

  #missingGuests({ guests, rulesOf }: ObservedRules): RulesChange {
    const guard = loopbackGuard(this.#options);
    const missing = [...guard, ...jumps()].filter((guest) => !guests.has(guestKey(guest)));
    const firewall = { table: 'filter', name: CHAIN.firewall } as const;
    const isNew = guard.length > 0 && rulesOf(chainKey(firewall)) === undefined;
    return { guests: missing, newChains: isNew ? [firewall] : [] };
  }
}

function natChain(name: string) {
  return { table: 'nat', name } as const;
}

function countEndpoints(ports: readonly ResolvedPort[]): number {
  return ports.reduce((sum, { endpoints }) => sum + endpoints.length, 0);
}
