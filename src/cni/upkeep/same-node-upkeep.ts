import type { LinkEvent } from '../../kernel/link-monitor.ts';
import type { NodeEvents, Watch } from '../../kernel/node-events.ts';
import type { Link, ProxyNeighbour } from '../../kernel/types.ts';
import type { Clock } from '../../util/clock.ts';
import type { Logger } from '../../util/log.ts';
import { BoundedFrequencyRunner, type RunnerIntervals } from '../../util/runner.ts';
import { Turn } from '../../util/turns.ts';
import { hostVethName } from '../attachment.ts';
import type { AttachmentRecord } from '../attachment-records.ts';
import { forgetOwnQuestions } from '../bridge/own-addresses.ts';
import { gatewayLink, PROXY_PROTOCOL } from '../bridge/same-node.ts';
import { type UpkeepNode, withNftables, withRtnl } from '../node.ts';
import type { SysctlSetting } from '../node-plan.ts';
import {
  BRIDGE_CALLS,
  keepForOthers,
  type StoppedCalls,
  startBridgeCalls,
  stopBridgeCalls,
} from './bridge-calls.ts';
import { HOST_VETH } from './repair.ts';
import { livingRecords, type Repair } from './repair-model.ts';
import { type Bypass, conversionsOf, findBypasses, type SameNodeFacts } from './same-node.ts';
import { routeSameNode, switchSameNode, wrongSettings } from './same-node-conversion.ts';
import { tieSenders, untieSenders } from './sender-ties.ts';

export interface SameNodeUpkeepOptions {
  /** With policies, every pod is to send through the node; without, those that do are kept doing so. */
  readonly node: UpkeepNode;
  readonly events: NodeEvents;
  readonly bootId: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly intervals: RunnerIntervals;
  /** Of br_netfilter. */
  readonly stoppedCalls: StoppedCalls;
  readonly onRepair: (repair: Repair) => void;
  /** Told of the ways past the policies whenever they are others than before. */
  readonly onBypasses?: (bypasses: readonly Bypass[]) => void;
}

interface Living {
  readonly records: readonly AttachmentRecord[];
  /** Of what was to be done with them. */
  readonly error: Error | undefined;
}

const RECORDS_PER_READ = 32;

/**
 * Has pods of one bridge send to each other through the node, those that ran before too, and looks for ways by
 * which they do not: when something of a bridge changes, and every minute, since not all of it is told.
 */
export class SameNodeUpkeep {
  readonly #options: SameNodeUpkeepOptions;
  readonly #runner: BoundedFrequencyRunner;
  readonly #watch: Watch;
  #bypasses: readonly Bypass[] | undefined;
  /** Of the last look: what an event has to change to matter. */
  #isolatedPorts = new Set<number>();
  #bridges: ReadonlySet<number> = new Set();
  /** Ports that are no pod's. */
  #strangers: ReadonlySet<number> = new Set();
  #settings: readonly SysctlSetting[] = [];
  /** By the last look br_netfilter shows bridged packets to the rules of IP. */
  #areBridgedSeen = false;
  /** Ifindexes of the last look. */
  #seenBridges: ReadonlySet<number> | undefined;

  constructor(options: SameNodeUpkeepOptions) {
    const { clock, log, intervals, events } = options;
    this.#options = options;
    this.#runner = new BoundedFrequencyRunner(() => this.#look(), {
      ...intervals,
      clock,
      onError: (err) => log.error({ err }, 'pods of one bridge may not reach each other'),
    });
    this.#watch = events.onLinks(['link', 'forwarding'], (told) => {
      // All of them: each says what has to change next time.
      if (told === 'overflow' || told.map((event) => this.#matters(event)).includes(true))
        this.trigger();
    });
  }

  /** Something of bridges, ports or pods may have changed. */
  trigger(): void {
    this.#runner.trigger();
  }

  /** Ways past the policies; undefined before the first look, and where there are no policies. */
  get bypasses(): readonly Bypass[] | undefined {
    return this.#bypasses;
  }

  /**
   * Lets bridges send from port to port again, and pods send under any address. For where nobody enforces
   * policies any more.
   */
  async switchSameNode(): Promise<void> {
    const { node, stoppedCalls } = this.#options;
    // First: answers from a port that is not isolated any more pass the bridge.
    startBridgeCalls(node, stoppedCalls);
    switchSameNode(node, await this.#living());
    untieSenders(node, await this.#living());
  }

  async stop(): Promise<void> {
    this.#watch.close();
    await this.#runner.stop();
  }

  async #look(): Promise<void> {
    const { node, log, onRepair } = this.#options;
    const isEnforced = node.policies !== undefined;
    const { records, error } = await this.#tie(isEnforced);
    const wanted = records.filter(({ plan }) => isEnforced || plan?.sameNode !== undefined);
    const before = this.#facts(wanted);
    const { converted, repairs } = await routeSameNode(node, conversionsOf(wanted, before), before);
    for (const repair of repairs) onRepair(repair);
    if (converted.length > 0)
      log.info({ pods: converted.length }, 'pods are sent through the node');
    const isChanged = converted.length + repairs.length > 0;
    const now = isChanged ? await this.#living() : records;
    const facts = isChanged ? this.#facts(now) : before;
    this.#removeOrphans(now, facts);
    this.#remember(now, facts);
    this.#note(isEnforced ? this.#sendThroughNode(now, facts) : undefined);
    if (error !== undefined) throw error;
  }

  /** What pods send takes one way alone, where none of them needs the other. Gives the ways past the policies. */
  #sendThroughNode(records: readonly AttachmentRecord[], facts: SameNodeFacts): readonly Bypass[] {
    const { node, log, stoppedCalls } = this.#options;
    const { bridgedFamilies } = facts;
    this.#keepForNewBridges(facts);
    const unbridged = findBypasses(records, { ...facts, bridgedFamilies: [] });
    const routed = facts.links.filter(({ name, port }) => port?.isolated && HOST_VETH.test(name));
    if (bridgedFamilies.length === 0 || unbridged.length > 0 || routed.length === 0) {
      return findBypasses(records, facts);
    }
    const bridges = new Set(routed.flatMap(({ master }) => master ?? []));
    const settings = stopBridgeCalls(node, bridges, stoppedCalls);
    this.#areBridgedSeen = false;
    log.info(
      { settings },
      'bridged packets do not pass the rules of IP: pods are sent through the node',
    );
    return unbridged;
  }

  /** A bridge that somebody else makes gets what it would have without us, once. */
  #keepForNewBridges({ links }: SameNodeFacts): void {
    const { kernel } = this.#options.node;
    const bridges = links.filter(({ kind }) => kind === 'bridge').map(({ index }) => index);
    const seen = this.#seenBridges;
    this.#seenBridges = new Set(bridges);
    if (seen === undefined || bridges.every((index) => seen.has(index))) return;
    const stopped = this.#options.stoppedCalls.read();
    const families = ([4, 6] as const).filter((family) => stopped.includes(BRIDGE_CALLS[family]));
    if (families.length === 0) return;
    const ofPods = links.flatMap(({ name, master }) =>
      HOST_VETH.test(name) ? (master ?? []) : [],
    );
    withRtnl(kernel, undefined, (host) =>
      keepForOthers(host, new Set([...ofPods, ...seen]), families),
    );
  }

  /** Before anything else: what a pod sends as is what policies go by. Gives the records as they are then. */
  async #tie(isEnforced: boolean): Promise<Living> {
    const { node, log } = this.#options;
    const records = await this.#living();
    if (!isEnforced) return { records, error: undefined };
    const { tied, error } = await tieSenders(node, records, this.#facts(records));
    if (tied === 0) return { records, error };
    log.info({ pods: tied }, 'pods send under their own addresses alone');
    return { records: await this.#living(), error };
  }

  /** In turns: reading one takes up to 0.15 ms. */
  async #living(): Promise<readonly AttachmentRecord[]> {
    const { node, bootId } = this.#options;
    const keys = node.records.keys();
    const records: AttachmentRecord[] = [];
    const turn = new Turn();
    for (let first = 0; first < keys.length; first += RECORDS_PER_READ) {
      records.push(...livingRecords({ node, bootId }, keys.slice(first, first + RECORDS_PER_READ)));
      if (turn.isOver) await turn.next();
    }
    return records;
  }

  #facts(records: readonly AttachmentRecord[]): SameNodeFacts {
    const { kernel, journal } = this.#options.node;
    return withRtnl(kernel, undefined, (host) => {
      const links = host.links();
      const names = new Set(records.flatMap(({ plan }) => (plan ? gatewayLink(plan) : [])));
      const gateways = links.filter(({ name }) => names.has(name));
      const hasForeign = records.some(({ plan }) => plan === undefined);
      return {
        links,
        proxies: host.proxyNeighbours(),
        neighbours: gateways.flatMap(({ index }) => host.neighbours(index)),
        routes: hasForeign ? [...host.routes(4), ...host.routes(6)] : [],
        bridgedFamilies: ([4, 6] as const).filter((family) => {
          return kernel.sysctls.read(undefined, BRIDGE_CALLS[family]) === '1';
        }),
        unfinishedPorts: new Set(journal.unfinished().map(hostVethName)),
      };
    });
  }

  /** Of a DEL that another process made while a pod was converted. */
  #removeOrphans(living: readonly AttachmentRecord[], { proxies }: SameNodeFacts): void {
    const { kernel, records } = this.#options.node;
    const suspects = orphansAmong(proxies, living);
    // Of pods that come or go at this moment are some; all records are read where it matters.
    const orphans = suspects.length === 0 ? [] : orphansAmong(suspects, records.list());
    if (orphans.length === 0) return;
    withRtnl(kernel, undefined, (host) => {
      for (const orphan of orphans) host.deleteProxyNeighbour(orphan);
    });
    const addresses = orphans.map(({ address }) => address);
    withNftables(kernel, (nft) => forgetOwnQuestions(nft, addresses));
  }

  #remember(records: readonly AttachmentRecord[], { links, bridgedFamilies }: SameNodeFacts): void {
    this.#areBridgedSeen = bridgedFamilies.length > 0;
    const names = new Set(records.flatMap(({ plan }) => plan?.host.name ?? []));
    const own = links.filter(({ name }) => names.has(name));
    const bridges = new Set(own.flatMap(({ master }) => master ?? []));
    const ports = links.filter(({ master }) => master !== undefined && bridges.has(master));
    this.#bridges = bridges;
    this.#isolatedPorts = indexesOf(ports.filter(({ port }) => port?.isolated));
    this.#strangers = indexesOf(ports.filter(({ name }) => !names.has(name)));
    const settings = records.flatMap(({ plan }) => plan?.sameNode?.sysctls ?? []);
    this.#settings = [...new Map(settings.map((one) => [one.path, one])).values()];
  }

  #note(bypasses: readonly Bypass[] | undefined): void {
    const { log, onBypasses } = this.#options;
    const before = this.#bypasses;
    this.#bypasses = bypasses;
    if (bypasses === undefined || JSON.stringify(before) === JSON.stringify(bypasses)) return;
    const [first] = bypasses;
    if (first !== undefined)
      log.warn({ count: bypasses.length, ...first }, 'policies are bypassed');
    else if (before !== undefined) log.info('policies are no longer bypassed');
    onBypasses?.(bypasses);
  }

  /** Pods that come and go make no such event: a port of theirs that was not isolated is no news. */
  #matters(event: LinkEvent): boolean {
    switch (event.kind) {
      case 'address':
        return false;
      case 'forwarding':
        return wrongSettings(this.#options.node, this.#settings).length > 0;
      case 'port':
        return this.#isNews(event.index, event.port.isolated);
      case 'link': {
        const { index, port, master, kind, name } = event.link;
        if (this.#strangers.has(index)) return true;
        if (event.isGone) return this.#bridges.has(index);
        if (port !== undefined && this.#isNews(index, port.isolated)) return true;
        const isOfPod = kind === 'veth' && HOST_VETH.test(name);
        return master !== undefined && this.#bridges.has(master) && !isOfPod;
      }
    }
  }

  #isNews(index: number, isIsolated: boolean): boolean {
    if (!isIsolated) return this.#isolatedPorts.delete(index);
    const isNew = !this.#isolatedPorts.has(index);
    this.#isolatedPorts.add(index);
    // What goes from it to a Service would be dropped: see bridge-calls.ts.
    return isNew && this.#areBridgedSeen;
  }
}

function orphansAmong(
  proxies: readonly ProxyNeighbour[],
  records: readonly AttachmentRecord[],
): readonly ProxyNeighbour[] {
  const owned = new Set(records.flatMap(({ addresses }) => addresses));
  return proxies.filter(({ protocol, address }) => {
    return protocol === PROXY_PROTOCOL && !owned.has(address);
  });
}

function indexesOf(links: readonly Link[]): Set<number> {
  return new Set(links.map(({ index }) => index));
}
