import type { Node } from '../kube/types.ts';
import { cidrFamily } from '../net/cidr.ts';
import type { Clock } from '../util/clock.ts';
import { Reminder } from '../util/complaints.ts';
import { toError, WeftError } from '../util/errors.ts';
import type { Logger } from '../util/log.ts';
import { BoundedFrequencyRunner } from '../util/runner.ts';
import {
  type FabricSettings,
  type Neighbourhood,
  neighbourhoodReader,
  whyWithoutPods,
} from './desired.ts';
import { entryChanges } from './entries.ts';
import { EntryBook } from './entry-book.ts';
import { ensureForwarding } from './forwarding.ts';
import { readKernelState } from './kernel-state.ts';
import { TUNNEL_NAME } from './names.ts';
import { type FabricNode, readFabricNode } from './nodes.ts';
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
  ) => string | undefined;
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
/** Nor do they fill the log: what was not said is counted with the next. */
const REPAIRS_SAID_MS = 60_000;
const ERRORS_SAID_MS = 10_000;

/**
 * Keeps routes, neighbours and forwarding entries to the pods of all other nodes in the kernel: takes
 * Nodes and hints of changes at any time, and brings the kernel up to date in runs. What is there when
 * it starts is adopted, what is there when it stops stays. Nothing is changed before all Nodes were
 * read, or while this node's own Node or address is missing.
 */
export class Fabric {
  readonly #options: FabricOptions;
  readonly #log: Logger;
  readonly #nodes = new Map<string, FabricNode>();
  readonly #book = new EntryBook();
  readonly #readNeighbourhood = neighbourhoodReader();
  readonly #planner = new Planner();
  readonly #runner: BoundedFrequencyRunner;
  #settings: FabricSettings;
  #facts: UnderlayFacts | undefined;
  #isSynced = false;
  #isConfirmed = false;
  #readAtMs = Number.NEGATIVE_INFINITY;
  #cancelSuspicion: (() => void) | undefined;
  readonly #hold = new UnderlayHold();
  #cancelHold: (() => void) | undefined;
  #report: FabricReport = NOTHING_YET;
  #lastError = '';
  #lastNotices = '';
  #unsaidRepairs = 0;
  readonly #repairsSaid: Reminder;
  readonly #errorSaid: Reminder;

  constructor(options: FabricOptions) {
    this.#options = options;
    this.#settings = options.settings;
    this.#log = options.log;
    this.#repairsSaid = new Reminder(options.clock, REPAIRS_SAID_MS);
    this.#errorSaid = new Reminder(options.clock, ERRORS_SAID_MS);
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
    this.#nodes.set(node.metadata.name, readFabricNode(node));
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
    if (clock.elapsed() - this.#readAtMs >= READ_BACK_MS) this.#facts = undefined;
    const known = this.#facts;
    const read = known ?? this.#readBack();
    const { facts, missing } = this.#holdOn(read);
    const hood = this.#readNeighbourhood(nodeName, this.#nodes, facts, settings);
    const why = whyWithoutPods(nodeName, hood);
    if (settings.backend !== 'none' && Object.keys(hood.underlay.own).length === 0) {
      this.#tell({ hood, plan: undefined, why: why ?? '', failures: [], notices: [] });
      return;
    }
    if (settings.backend !== 'none') {
      ensureForwarding(kernel, new Set(hood.podCIDRs.map(cidrFamily)), hood.underlay);
    }
    const { tunnel, problem } = this.#openTunnel(hood, settings);
    const { backend } = settings;
    const plan = this.#planner.plan({ ...hood, backend, tunnel });
    const unguarded = guard(hood, read, true);
    // A device that only could not be changed goes on carrying what it carries.
    const kept = problem === undefined ? undefined : tunnelIndex(read);
    const due = entryChanges(this.#book.entries, plan.entries);
    const changes = due.filter(
      ({ action, entry }) => action === 'put' || (this.#isConfirmed && entry.link !== kept),
    );
    const { failed, refused } = await this.#book.apply(kernel.rtnl, changes, tunnel?.link);
    const isWhole = failed.length === 0 && this.#isConfirmed;
    const isSettled = isWhole && refused.length === 0 && changes.length === due.length;
    if (isSettled && read !== known) this.#book.settle(plan.entries);
    if (backend === 'none') this.#removeTunnel();
    const unsettled = isWhole ? guard(hood, read, false) : unguarded;
    const isNeeded = plan.peers.some(({ path }) => backend !== 'host-gw' && path === 'unreachable');
    const failures = [isNeeded ? problem : undefined, unsettled, ...failed].filter(isText);
    const notices = [isNeeded ? undefined : problem, missingText(missing)].filter(isText);
    const told = { notices, failures: [...failures, ...refused] };
    this.#tell({ hood, plan, why: why ?? failures[0] ?? '', ...told });
    if (refused.length > 0)
      this.#complain(refused.join('; '), 'the kernel refuses what Nodes ask for');
    if (failures.length > 0) throw new WeftError('EFABRIC', failures.join('; '));
    if (refused.length === 0) this.#lastError = '';
  }

  /** What goes for a moment is waited for; at the end of the wait the others are looked at. */
  #holdOn(read: UnderlayFacts): HeldFacts {
    const { nodeName, clock } = this.#options;
    const { addresses = {} } = this.#nodes.get(nodeName) ?? {};
    const held = this.#hold.of(read, addresses, clock.elapsed());
    this.#cancelHold?.();
    this.#cancelHold =
      held.leftMs === undefined ? undefined : clock.schedule(held.leftMs, () => this.#trigger());
    return held;
  }

  #readBack(): UnderlayFacts {
    const { kernel, clock } = this.#options;
    const { underlay, entries } = readKernelState(kernel.rtnl);
    const before = this.#book.repairs;
    this.#book.readBack(entries);
    this.#unsaidRepairs += this.#book.repairs - before;
    if (this.#unsaidRepairs > 0 && this.#repairsSaid.isDue('')) {
      this.#log.warn({ repairs: this.#unsaidRepairs }, 'somebody changed entries of the fabric');
      this.#unsaidRepairs = 0;
    }
    this.#facts = underlay;
    this.#readAtMs = clock.elapsed();
    return underlay;
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
    this.#note(found.notices.join('; '));
    const { entries, writes, repairs } = this.#book;
    const settledAtMs = found.why === '' ? clock.now() : this.#report.settledAtMs;
    const counts = { entries: entries.size, writes, repairs, settledAtMs };
    this.#report = reportOf(found, this.#settings, this.#facts, counts);
    onReport(this.#report);
  }

  #note(notices: string): void {
    if (notices === this.#lastNotices) return;
    this.#lastNotices = notices;
    if (notices !== '') this.#log.info({ notices }, 'about the fabric');
  }

  /** The same words are told once. */
  #noteError(err: Error): void {
    // What is there may be other than believed, as a change has failed.
    this.#facts = undefined;
    this.#complain(err.message, 'the fabric is not complete, trying again');
  }

  #complain(reason: string, message: string): void {
    if (reason === this.#lastError || !this.#errorSaid.isDue('')) return;
    this.#lastError = reason;
    this.#log.error({ reason }, message);
  }
}

function isText(text: string | undefined): text is string {
  return text !== undefined;
}

function tunnelIndex({ links }: UnderlayFacts): number | undefined {
  return links.find(({ name }) => name === TUNNEL_NAME)?.index;
}
