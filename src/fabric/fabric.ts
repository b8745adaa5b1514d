import type { Node } from '../kube/types.ts';
import { cidrFamily } from '../net/cidr.ts';
import type { Clock } from '../util/clock.ts';
import { toError, WeftError } from '../util/errors.ts';
import type { Logger } from '../util/log.ts';
import { BoundedFrequencyRunner } from '../util/runner.ts';
import { takeInTurns } from '../util/turns.ts';
import {
  type FabricSettings,
  type Neighbourhood,
  neighbourhoodReader,
  whyWithoutPods,
} from './desired.ts';
import { EntryBook } from './entry-book.ts';
import { FabricLog } from './fabric-log.ts';
import { ensureForwarding } from './forwarding.ts';
import { type KernelState, kernelStateSteps } from './kernel-state.ts';
import { TUNNEL_NAME } from './names.ts';
import { NodeBook } from './node-book.ts';
import type { FabricNode } from './nodes.ts';
import { Planner, type TunnelEnd } from './plan.ts';
import { type FabricReport, type Found, NOTHING_YET, reportOf } from './report.ts';
import type { Known } from './suspicion.ts';
import { type FabricKernel, openTunnel, tunnelFamily, wantedTunnel } from './tunnel.ts';
import type { UnderlayFacts } from './underlay.ts';
import { type HeldFacts, missingText, UnderlayHold } from './underlay-hold.ts';

export interface FabricOptions {
  readonly nodeName: string;
  readonly kernel: FabricKernel;
  readonly settings: FabricSettings;
  readonly clock: Clock;
  readonly log: Logger;
  /**
   * Called before routes lead anywhere new, when there may be more nodes than these (`isPartial`), and
   * again when nothing leads anywhere else any more. Gives what went wrong, in words.
   */
  readonly guard: (
    hood: Neighbourhood,
    facts: UnderlayFacts,
    isPartial: boolean,
  ) => Promise<string | undefined>;
  /** Called after each look at the whole. */
  readonly onReport: (report: FabricReport) => void;
}

/** Many Nodes that change together make one run. */
const MIN_INTERVAL_MS = 10;
const RETRY_MS = 1_000;
/** All is read back and compared at least this often. */
const READ_BACK_MS = 60_000;
/** Two who undo each other's work do not spin. */
const SUSPECT_INTERVAL_MS = 200;

/**
 * Keeps routes, neighbours and forwarding entries to the pods of all other nodes in the kernel: takes
 * Nodes and hints of changes at any time, and brings the kernel up to date in runs. What is there when
 * it starts is adopted, what is there when it stops stays. Nothing is changed before all Nodes were
 * read, or while this node's own Node or address is missing.
 */
export class Fabric {
  readonly #options: FabricOptions;
  readonly #log: FabricLog;
  readonly #nodes = new NodeBook();
  readonly #book = new EntryBook();
  readonly #readNeighbourhood = neighbourhoodReader();
  readonly #planner = new Planner();
  readonly #runner: BoundedFrequencyRunner;
  #settings: FabricSettings;
  #facts: UnderlayFacts | undefined;
  #isSynced = false;
  #isConfirmed = false;
  #readAtMs = Number.NEGATIVE_INFINITY;
  #isReading = false;
  /** Something has changed while it was read, perhaps behind the reader. */
  #isReadStale = false;
  #cancelSuspicion: (() => void) | undefined;
  readonly #hold = new UnderlayHold();
  #cancelHold: (() => void) | undefined;
  #report: FabricReport = NOTHING_YET;

  constructor(options: FabricOptions) {
    this.#options = options;
    this.#settings = options.settings;
    this.#log = new FabricLog(options.log, options.clock);
    this.#runner = new BoundedFrequencyRunner(() => this.#reconcile(), {
      ...{ minIntervalMs: MIN_INTERVAL_MS, retryIntervalMs: RETRY_MS, maxIntervalMs: READ_BACK_MS },
      clock: options.clock,
      onError: (err) => this.#noteError(err),
    });
  }

  get report(): FabricReport {
    return this.#report;
  }

  /** What is believed to be in the kernel; undefined while it is to be read anyway. */
  get known(): Known | undefined {
    return this.#facts && { entries: this.#book.entries, underlay: this.#facts };
  }

  putNode(node: Node): void {
    this.#nodes.put(node);
    this.#trigger();
  }

  deleteNode(name: string): void {
    this.#nodes.delete(name);
    this.#trigger();
  }

  /** All Nodes were put that there are, or were when this was last known. */
  setSynced(): void {
    this.#isSynced = true;
    this.#trigger();
  }

  /** And there are no others: until then what is of no Node stays, as it may be of a newer one. */
  setConfirmed(): void {
    this.#isConfirmed = true;
    this.#trigger();
  }

  reconfigure(settings: FabricSettings): void {
    this.#settings = settings;
    this.suspect();
  }

  /** The kernel may not hold any more what is believed: it is read back soon. */
  suspect(): void {
    const { clock } = this.#options;
    this.#isReadStale ||= this.#isReading;
    if (this.#facts === undefined || this.#cancelSuspicion !== undefined) return;
    const readBack = () => {
      this.#cancelSuspicion = undefined;
      this.#facts = undefined;
      this.#trigger();
    };
    const waitMs = this.#readAtMs + SUSPECT_INTERVAL_MS - clock.elapsed();
    if (waitMs <= 0) readBack();
    else this.#cancelSuspicion = clock.schedule(waitMs, readBack);
  }

  /** Ends all work; the kernel stays as it is. */
  async stop(): Promise<void> {
    this.#cancelSuspicion?.();
    this.#cancelHold?.();
    await this.#runner.stop();
  }

  #trigger(): void {
    if (this.#isSynced) this.#runner.trigger();
  }

  async #reconcile(): Promise<void> {
    const { nodeName, kernel, clock, guard } = this.#options;
    const settings = this.#settings;
    const nodes = this.#nodes.take();
    if (clock.elapsed() - this.#readAtMs >= READ_BACK_MS) this.#facts = undefined;
    const known = this.#facts;
    const read = known ?? (await this.#readBack());
    const { facts, missing } = this.#holdOn(read, nodes.get(nodeName));
    const hood = await takeInTurns(this.#readNeighbourhood(nodeName, nodes, facts, settings));
    const why = whyWithoutPods(nodeName, hood, settings.whyNoNode);
    if (settings.backend !== 'none' && Object.keys(hood.underlay.own).length === 0) {
      this.#tell({ hood, plan: undefined, why: why ?? '', failures: [], notices: [] });
      return;
    }
    if (settings.backend !== 'none') {
      ensureForwarding(kernel, new Set(hood.podCIDRs.map(cidrFamily)), hood.underlay);
    }
    const { tunnel, problem } = this.#openTunnel(hood, settings);
    const { backend } = settings;
    const plan = await takeInTurns(this.#planner.steps({ ...hood, backend, tunnel }));
    const unguarded = await guard(hood, read, true);
    // A device that only could not be changed goes on carrying what it carries.
    const kept = problem === undefined ? undefined : tunnelIndex(read);
    const due = await takeInTurns(this.#book.changesFor(plan));
    const changes = due.filter(
      ({ action, entry }) => action === 'put' || (this.#isConfirmed && entry.link !== kept),
    );
    const { failed, refused } = await this.#book.apply(kernel.rtnl, changes, tunnel?.link);
    const isWhole = failed.length === 0 && this.#isConfirmed;
    const isSettled = isWhole && refused.length === 0 && changes.length === due.length;
    if (isSettled) this.#book.settle(plan, read !== known);
    if (backend === 'none') this.#removeTunnel();
    const unsettled = isWhole ? await guard(hood, read, false) : unguarded;
    const isNeeded = plan.peers.some(({ path }) => backend !== 'host-gw' && path === 'unreachable');
    const failures = [isNeeded ? problem : undefined, unsettled, ...failed].filter(isText);
    const notices = [isNeeded ? undefined : problem, missingText(missing)].filter(isText);
    const told = { notices, failures: [...failures, ...refused] };
    this.#tell({ hood, plan, why: why ?? failures[0] ?? '', ...told });
    if (refused.length > 0)
      this.#log.failed(refused.join('; '), 'the kernel refuses what Nodes ask for');
    if (failures.length > 0) throw new WeftError('EFABRIC', failures.join('; '));
    if (refused.length === 0) this.#log.succeeded();
  }

  /** What goes for a moment is waited for; at the end of the wait the others are looked at. */
  #holdOn(read: UnderlayFacts, own: FabricNode | undefined): HeldFacts {
    const { clock } = this.#options;
    const held = this.#hold.of(read, own?.addresses ?? {}, clock.elapsed());
    this.#cancelHold?.();
    this.#cancelHold =
      held.leftMs === undefined ? undefined : clock.schedule(held.leftMs, () => this.#trigger());
    return held;
  }

  async #readBack(): Promise<UnderlayFacts> {
    const { clock } = this.#options;
    const { underlay, entries } = await this.#readKernel();
    const before = this.#book.repairs;
    this.#book.readBack(entries);
    this.#log.repaired(this.#book.repairs - before);
    this.#facts = underlay;
    this.#readAtMs = clock.elapsed();
    if (this.#isReadStale) this.suspect();
    return underlay;
  }

  async #readKernel(): Promise<KernelState> {
    this.#isReading = true;
    this.#isReadStale = false;
    try {
      return await takeInTurns(kernelStateSteps(this.#options.kernel.rtnl));
    } finally {
      this.#isReading = false;
    }
  }

  /** Where the device cannot be had, peers on this node's own links are still reached. */
  #openTunnel(
    hood: Neighbourhood,
    settings: FabricSettings,
  ): { readonly tunnel?: TunnelEnd; readonly problem?: string } {
    const { nodeName, kernel } = this.#options;
    const wanted = wantedTunnel(nodeName, hood, settings);
    const family = tunnelFamily(hood.underlay);
    if (settings.backend === 'none' || wanted === undefined || family === undefined) return {};
    try {
      const { link, isNew, hasIPv6 } = openTunnel(kernel, wanted);
      if (isNew) this.#book.forgetLink(link.index);
      return { tunnel: { link: link.index, family, hasIPv6 } };
    } catch (thrown) {
      return { problem: `tunnel: ${toError(thrown).message}` };
    }
  }

  #removeTunnel(): void {
    const { rtnl } = this.#options.kernel;
    const link = rtnl.link(TUNNEL_NAME);
    if (link?.kind !== 'vxlan') return;
    rtnl.deleteLink(link.index);
    this.#book.forgetLink(link.index);
  }

  #tell(found: Found): void {
    const { clock, onReport } = this.#options;
    this.#log.noticed(found.notices.join('; '));
    const { entries, writes, repairs } = this.#book;
    const settledAtMs = found.why === '' ? clock.now() : this.#report.settledAtMs;
    const counts = { entries: entries.size, writes, repairs, settledAtMs };
    this.#report = reportOf(found, this.#settings, this.#facts, counts);
    onReport(this.#report);
  }

  #noteError(err: Error): void {
    // What is there may be other than believed, as a change has failed.
    this.#facts = undefined;
    this.#log.failed(err.message, 'the fabric is not complete, trying again');
  }
}

function isText(text: string | undefined): text is string {
  return text !== undefined;
}

function tunnelIndex({ links }: UnderlayFacts): number | undefined {
  return links.find(({ name }) => name === TUNNEL_NAME)?.index;
}
