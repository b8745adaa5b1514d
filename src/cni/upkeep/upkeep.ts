import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { StoreOptions } from '../../ipam/store.ts';
import { watchLinks } from '../../kernel/link-monitor.ts';
import { NetlinkSocket } from '../../netlink/socket.ts';
import { wire } from '../../netlink/wire.ts';
import { NftablesConnection } from '../../nftables/connection.ts';
import { type TableEvent, watchTables } from '../../nftables/monitor.ts';
import { tableText } from '../../nftables/text.ts';
import type { Clock } from '../../util/clock.ts';
import { toError } from '../../util/errors.ts';
import type { Logger } from '../../util/log.ts';
import { BoundedFrequencyRunner } from '../../util/runner.ts';
import type { Attachment } from '../attachment.ts';
import { masqueradeTable } from '../bridge/masquerade.ts';
import { spoofTable } from '../bridge/spoof.ts';
import { openExecPlugin } from '../exec-plugin.ts';
import { filterTables } from '../firewall/layout.ts';
import { openForeignIpam } from '../foreign-ipam.ts';
import type { ForeignIpam, UpkeepNode } from '../node.ts';
import { hostPortTable } from '../portmap/layout.ts';
import { fallback } from '../registry.ts';
import { listSandboxes } from './cri.ts';
import { type FactSources, gatherFacts, withUsedAddresses } from './facts.ts';
import { readBootId } from './machine.ts';
import { fieldsOf, remove } from './removal.ts';
import { mayNeedRepair, type RepairKind, repair } from './repair.ts';
import { decideSweep } from './sweep.ts';
import type { Removal, Sandboxes, SweepDecision, SweepFacts } from './sweep-model.ts';

export interface UpkeepMetrics {
  /** Something of nobody's was removed. */
  leaked(kind: Removal['kind']): void;
  /** Reservations that look lost without proof, now. */
  suspected(count: number): void;
  repaired(kind: RepairKind): void;
}

export interface UpkeepOptions {
  readonly node: UpkeepNode;
  /** Where the journal is. */
  readonly runDirectory: string;
  /** An address store that is always looked at. */
  readonly ipamDirectory: string;
  /** Network configurations of the runtime, which name further stores. */
  readonly confDirectory: string;
  /** Unix socket of a container runtime; absent: nobody is asked. */
  readonly criSocket?: string;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics: UpkeepMetrics;
  /** Nothing younger is swept; default 5 minutes, more than a runtime lets any call take. */
  readonly gracePeriodMs?: number;
  /** Default one minute. */
  readonly sweepIntervalMs?: number;
}

const defaultGracePeriodMs = 5 * 60_000;
const defaultSweepIntervalMs = 60_000;
const criTimeoutMs = 5_000;
const lockTimeoutMs = 1_000;

/** How long an IPAM plugin may take for an address that nobody asks for any more. */
const execTimeoutMs = 5_000;

/** Changes come in bursts; a repair every so often keeps within a second. */
const repairPauseMs = 250;
const repairRetryMs = 5_000;
const repairIntervalMs = 60_000;

/** RTNLGRP_IPV4_NETCONF and RTNLGRP_IPV6_NETCONF: forwarding was switched on or off. */
const netconfGroups = [24, 25] as const;

const NETLINK_ROUTE = 0;

const ownTables: ReadonlySet<string> = new Set(
  [masqueradeTable, spoofTable, hostPortTable.table].map(tableText),
);

const ownAndFilterTables: ReadonlySet<string> = new Set([
  ...ownTables,
  ...Object.values(filterTables).map(tableText),
]);

/**
 * The agent's own care of attachments: removes what belongs to none that lives, at start and every
 * minute, and brings back what somebody took from those that do, within a second.
 */
export class Upkeep {
  readonly #options: UpkeepOptions;
  readonly #sources: FactSources;
  readonly #foreignIpam: ForeignIpam;
  readonly #sweeper: BoundedFrequencyRunner;
  readonly #repairer: BoundedFrequencyRunner;
  readonly #watches: readonly { close(): void }[];
  #connection: NftablesConnection | undefined;
  /** Processes that changed our tables since the last repair. */
  #authors = new Set<string>();
  #suspected = 0;
  /** A change of these is a reason to look. */
  #watched = ownTables;

  private constructor(options: UpkeepOptions) {
    const { clock, log, sweepIntervalMs = defaultSweepIntervalMs } = options;
    this.#options = options;
    this.#sources = sourcesOf(options);
    const { pause } = options.node.kernel;
    this.#foreignIpam = openForeignIpam(openExecPlugin({ timeoutMs: execTimeoutMs, pause }));
    this.#sweeper = new BoundedFrequencyRunner(() => this.#sweep(), {
      minIntervalMs: Math.min(1_000, sweepIntervalMs),
      retryIntervalMs: sweepIntervalMs,
      maxIntervalMs: sweepIntervalMs,
      clock,
      onError: (err) => log.error({ err }, 'sweep failed'),
    });
    this.#repairer = new BoundedFrequencyRunner(async () => this.#repair(), {
      minIntervalMs: repairPauseMs,
      retryIntervalMs: repairRetryMs,
      maxIntervalMs: repairIntervalMs,
      clock,
      onError: (err) => log.error({ err }, 'repair failed'),
    });
    this.#watches = this.#watch();
  }

  static start(options: UpkeepOptions): Upkeep {
    const upkeep = new Upkeep(options);
    upkeep.#repairer.trigger();
    upkeep.#sweeper.trigger();
    return upkeep;
  }

  /** What is in the kernel stays. */
  async close(): Promise<void> {
    for (const watch of this.#watches) watch.close();
    await Promise.all([this.#sweeper.stop(), this.#repairer.stop()]);
    this.#connection?.close();
  }

  async #sweep(): Promise<void> {
    const { node, log } = this.#options;
    const sandboxes = await this.#askRuntime();
    // From here on nothing else of this process runs: what is decided is done on the same facts.
    const known = gatherFacts(this.#sources, sandboxes);
    const first = decideSweep(known);
    const facts = first.needsAddresses ? withUsedAddresses(known, node) : known;
    const decision = first.needsAddresses ? decideSweep(facts) : first;
    for (const removal of decision.removals) this.#remove(removal, facts);
    this.#noteSuspected(decision);
    log.debug({ removed: decision.removals.length }, 'attachments swept');
  }

  /** No answer is no information: then nothing is removed on the runtime's account. */
  async #askRuntime(): Promise<Sandboxes | undefined> {
    const { criSocket, log } = this.#options;
    if (criSocket === undefined) return undefined;
    try {
      return await listSandboxes(criSocket, criTimeoutMs);
    } catch (thrown) {
      log.warn(
        { criSocket, reason: toError(thrown).message },
        'runtime did not list its sandboxes',
      );
      return undefined;
    }
  }

  #remove(removal: Removal, facts: SweepFacts): void {
    const { log, metrics, node } = this.#options;
    const { store } = this.#sources;
    const foreignIpam = this.#foreignIpam;
    const fields = fieldsOf(removal);
    const dataDirsOf = (attachment: Attachment) => storesOf(attachment, facts);
    try {
      if (!remove(removal, { node, plugin: fallback.plugin, foreignIpam, store, dataDirsOf }))
        return;
      metrics.leaked(removal.kind);
      log.warn(fields, 'leak removed');
    } catch (thrown) {
      log.error({ ...fields, err: toError(thrown) }, 'leak not removed');
    }
  }

  #noteSuspected({ suspected }: SweepDecision): void {
    const { log, metrics } = this.#options;
    metrics.suspected(suspected.length);
    if (suspected.length === this.#suspected) return;
    this.#suspected = suspected.length;
    const examples = suspected.slice(0, 10).map(({ network, address }) => `${network}/${address}`);
    log.warn({ count: suspected.length, examples }, 'addresses reserved but not seen in use');
  }

  #repair(): void {
    const { node, log, metrics } = this.#options;
    const { bootId } = this.#sources;
    const by = [...this.#authors];
    this.#authors = new Set();
    this.#connection ??= NftablesConnection.open();
    const { repairs, error, usesIptables } = repair({
      node,
      connection: this.#connection,
      bootId,
    });
    this.#watched = usesIptables ? ownAndFilterTables : ownTables;
    for (const { kind, what } of repairs) {
      metrics.repaired(kind);
      log.warn({ kind, what, ...(by.length === 0 ? {} : { by }) }, 'repaired');
    }
    if (error !== undefined) throw error;
  }

  #watch(): readonly { close(): void }[] {
    const trigger = () => this.#repairer.trigger();
    const netconf = NetlinkSocket.open(NETLINK_ROUTE);
    for (const group of netconfGroups) netconf.join(group);
    netconf.subscribe(trigger);
    const ownName = readFileSync('/proc/self/comm', 'utf8').trim();
    return [
      netconf,
      watchTables(undefined, (event) => this.#onTables(event, ownName)),
      watchLinks(undefined, (events) => {
        if (events === 'overflow' || events.some(mayNeedRepair)) trigger();
      }),
    ];
  }

  /** Our own calls and those of the standalone are many, and right. */
  #onTables(event: TableEvent | 'overflow', ownName: string): void {
    if (event !== 'overflow') {
      if (event.byProcess === ownName || !hasAny(event.tables, this.#watched)) return;
      this.#authors.add(event.byProcess);
    }
    this.#repairer.trigger();
  }
}

function hasAny(tables: ReadonlySet<string>, wanted: ReadonlySet<string>): boolean {
  return Array.from(tables).some((name) => wanted.has(name));
}

function sourcesOf(options: UpkeepOptions): FactSources {
  const { node, runDirectory, ipamDirectory, confDirectory, clock } = options;
  const store: StoreOptions = {
    flock: wire.flock,
    timeoutMs: lockTimeoutMs,
    keepsIndex: false,
    isDurable: false,
  };
  return {
    node,
    journalDirectory: join(runDirectory, 'adding'),
    dataDirs: [ipamDirectory],
    confDirectory,
    store,
    bootId: readBootId(),
    now: () => clock.now(),
    gracePeriodMs: options.gracePeriodMs ?? defaultGracePeriodMs,
  };
}

/** Where a killed ADD without a record holds addresses. */
function storesOf(attachment: Attachment, { reservations }: SweepFacts): readonly string[] {
  const own = reservations.filter(({ network, containerId, ifName }) => {
    if (network !== attachment.network || containerId !== attachment.containerId) return false;
    return ifName === undefined || ifName === attachment.ifName;
  });
  return [...new Set(own.map(({ dataDir }) => dataDir))];
}
