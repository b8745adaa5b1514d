/**
 * From a node that has just started to one whose pods reach each other, in this order: fabric and
 * Services are in the kernel, the gate of the CNI opens (its socket is there already), the network
 * configuration is put in place, NetworkUnavailable is set to False. Nothing of it is taken back when
 * the agent ends or waits once more: what is in the kernel goes on working.
 */
import {
  type BootGate,
  type BootGatePlace,
  markReady,
  noteAwaited,
  openBootGate,
  shutGate,
} from '../../cni/boot-gate.ts';
import type { Clock } from '../../util/clock.ts';
import { Reminder } from '../../util/complaints.ts';
import type { Logger } from '../../util/log.ts';
import { BoundedFrequencyRunner } from '../../util/runner.ts';
import type { NodeLifeState } from '../metrics/fabric.ts';
import { type ConflistSettings, renderConflist } from './conflist.ts';
import { type ConflistPlace, placeConflist } from './conflist-file.ts';
import type { FabricFacts, FabricReadiness } from './facts.ts';
import { findFormerPods, formerPodProblems, type PodRecord } from './former-pods.ts';
import { placeLoopback } from './loopback.ts';
import { NETWORK_IS_UP, type NodeCondition } from './node-condition.ts';

export interface NodeLifeOptions {
  readonly fabric: FabricReadiness;
  /** Whether pods reach Services; always, where another proxy sees to that. */
  readonly isProxyServing: () => boolean;
  /** Why no more pods may start, where those that run stay. */
  readonly whyBarred?: () => string | undefined;
  readonly gate: BootGatePlace;
  /** What enforcement of policies waits for; absent where nobody enforces them. */
  readonly policyGate?: BootGate;
  /** Absent: the network configuration is somebody else's. */
  readonly conflist?: ConflistPlace & ConflistSettings;
  /** The runtime's plugin directory; absent: `loopback` is somebody else's. */
  readonly binDirectory?: string;
  /** Absent: there is no API server. */
  readonly condition?: Pick<NodeCondition, 'set' | 'isSet' | 'problem'>;
  readonly records: () => readonly PodRecord[];
  /** Takes gateways from the bridge that no pod needs; gives them. */
  readonly removeFormerGateways: (
    facts: FabricFacts,
    records: readonly PodRecord[],
  ) => readonly string[];
  /** Gives the bridge the MTU of the fabric where it can; the one before if it did. */
  readonly followMtu: (facts: FabricFacts) => number | undefined;
  /** An event about the Node. */
  readonly report: (event: NodeLifeEvent) => void;
  readonly clock: Clock;
  readonly log: Logger;
}

export interface NodeLifeEvent {
  readonly type: 'Normal' | 'Warning';
  readonly reason: 'PodNetworkWaits' | 'PodNetworkReady' | 'NetworkConfiguration' | 'FormerPods';
  readonly note: string;
}

const INTERVALS = { minIntervalMs: 200, retryIntervalMs: 5_000, maxIntervalMs: 30_000 };
/** What is waited for without being told of it. */
const POLL_MS = 200;
/** Every start waits for a moment. */
const GRACE_MS = 3_000;
const SAID_AGAIN_MS = 300_000;
/** A Node that is deleted and made again has lost it. */
const CONDITION_EVERY_MS = 600_000;
const SERVICES = 'Services are not in the kernel yet, see weft status';
const NO_FORMER_PODS = { outside: [], tooLarge: [] };

export class NodeLife {
  readonly #options: NodeLifeOptions;
  readonly #runner: BoundedFrequencyRunner;
  readonly #isShut: () => boolean;
  readonly #said: Readonly<Record<'wait' | 'conflist' | 'pods' | 'error', Reminder>>;
  #facts: FabricFacts | undefined;
  #awaited: string | undefined;
  #waitsSinceMs: number | undefined;
  #hasServed = false;
  #conditionDueAtMs = 0;
  #isConfigured = false;
  #placed: readonly string[] = [];
  #failure: string | undefined;
  #former: ReturnType<typeof findFormerPods> = NO_FORMER_PODS;
  #compared: FabricFacts | undefined;
  #cancelPoll = () => {};

  constructor(options: NodeLifeOptions) {
    const { clock, log } = options;
    this.#options = options;
    const gate = openBootGate(options.gate);
    this.#isShut = () => gate.awaited() !== undefined;
    const reminder = () => new Reminder(clock, SAID_AGAIN_MS);
    const each = { wait: reminder(), conflist: reminder(), pods: reminder(), error: reminder() };
    this.#said = each;
    this.#runner = new BoundedFrequencyRunner(async () => this.#look(), {
      ...INTERVALS,
      clock,
      onError: ({ message }) => {
        this.#failure = message;
        if (each.error.isDue(message)) {
          log.warn({ reason: message }, 'node not prepared for pods, trying again');
        }
      },
    });
    options.fabric.follow((facts) => {
      this.#facts = facts;
      this.#runner.trigger();
    });
  }

  /** What is wrong, in words with the cure; nothing while all is well. */
  problems(): readonly string[] {
    const { condition } = this.#options;
    const facts = this.#facts;
    const waits = this.#awaited !== undefined && this.#isShut();
    return [
      ...(waits ? [`pods do not start yet: ${this.#awaited}`] : []),
      ...(this.#failure === undefined ? [] : [this.#failure]),
      ...this.#placed,
      ...(facts === undefined ? [] : formerPodProblems(this.#former, facts)),
      ...(condition?.problem === undefined ? [] : [condition.problem]),
    ];
  }

  state(): NodeLifeState {
    return {
      isOpen: !this.#isShut(),
      isConfigured: this.#isConfigured,
      isConditionSet: this.#options.condition?.isSet === true,
      podsOutside: this.#former.outside.length,
      podsTooLarge: this.#former.tooLarge.length,
    };
  }

  /** Whether new pods may start may be another matter now. */
  look(): void {
    this.#runner.trigger();
  }

  async close(): Promise<void> {
    this.#cancelPoll();
    await this.#runner.stop();
  }

  #look(): void {
    this.#cancelPoll();
    const facts = this.#facts;
    if (facts === undefined) return;
    const barred = this.#options.whyBarred?.();
    if (barred !== undefined && !this.#isShut()) shutGate(this.#options.gate, barred);
    const awaited = barred ?? this.#whatIsAwaited(facts);
    if (awaited !== undefined) {
      this.#wait(awaited);
      return;
    }
    this.#arrive(facts);
    this.#failure = undefined;
  }

  #whatIsAwaited({ isReady, reason }: FabricFacts): string | undefined {
    if (!isReady) return reason;
    // Services that were there once are looked after by the proxy itself.
    this.#hasServed ||= this.#options.isProxyServing();
    if (!this.#hasServed) return SERVICES;
    const policies = this.#options.policyGate?.awaited();
    return policies === undefined ? undefined : `policies are not enforced yet: ${policies}`;
  }

  #wait(awaited: string): void {
    const { clock, gate, log, report } = this.#options;
    if (awaited !== this.#awaited) noteAwaited(gate, awaited);
    this.#awaited = awaited;
    this.#conditionDueAtMs = 0;
    this.#waitsSinceMs ??= clock.elapsed();
    this.#cancelPoll = clock.schedule(POLL_MS, () => this.#runner.trigger());
    const isShort = clock.elapsed() - this.#waitsSinceMs < GRACE_MS;
    if (isShort || !this.#isShut() || !this.#said.wait.isDue(awaited)) return;
    log.warn({ reason: awaited }, 'pods do not start before the fabric is ready');
    const note = `pods do not start yet: ${awaited}`;
    report({ type: 'Warning', reason: 'PodNetworkWaits', note });
  }

  #arrive(facts: FabricFacts): void {
    const { binDirectory, clock, condition, gate, log, report } = this.#options;
    this.#awaited = undefined;
    this.#waitsSinceMs = undefined;
    const { podCIDRs, mtu } = facts;
    if (this.#isShut()) {
      markReady(gate);
      log.info({ podCIDRs, mtu }, 'fabric ready, pods may start');
      const note = `pods start with addresses of ${podCIDRs.join(', ')}`;
      report({ type: 'Normal', reason: 'PodNetworkReady', note });
    }
    const loopback = binDirectory === undefined ? undefined : placeLoopback(binDirectory);
    if (loopback !== undefined) log.info({ directory: binDirectory }, loopback);
    this.#configure(facts);
    if (clock.elapsed() >= this.#conditionDueAtMs) {
      this.#conditionDueAtMs = clock.elapsed() + CONDITION_EVERY_MS;
      condition?.set(NETWORK_IS_UP);
    }
    const formerMtu = this.#options.followMtu(facts);
    if (formerMtu !== undefined) log.info({ mtu, formerMtu }, 'MTU of the bridge changed');
    this.#compare(facts);
  }

  #configure(facts: FabricFacts): void {
    const { conflist, log, report } = this.#options;
    if (conflist === undefined) return;
    const placed = placeConflist(conflist, renderConflist(facts, conflist));
    const { podCIDRs, mtu } = facts;
    this.#placed = placed.problems;
    this.#isConfigured = placed.problems.length === 0;
    const { directory, name } = conflist;
    if (placed.isWritten) {
      log.info({ directory, name, podCIDRs, mtu }, 'network configuration written');
    }
    if (placed.removed.length > 0) {
      log.info({ files: placed.removed }, 'former network configuration removed');
    }
    const text = placed.problems.join('; ');
    if (!this.#said.conflist.isDue(text) || text === '') return;
    log.warn({ problems: placed.problems }, 'network configuration has no effect');
    report({ type: 'Warning', reason: 'NetworkConfiguration', note: text });
  }

  #compare(facts: FabricFacts): void {
    const { records, removeFormerGateways, log, report } = this.#options;
    const { outside, tooLarge } = this.#former;
    if (facts === this.#compared && outside.length + tooLarge.length === 0) return;
    const present = records();
    this.#compared = facts;
    this.#former = findFormerPods(present, facts);
    if (this.#former.outside.length === 0) {
      const removed = removeFormerGateways(facts, present);
      if (removed.length > 0) log.info({ addresses: removed }, 'former gateways removed');
    }
    const text = formerPodProblems(this.#former, facts).join('; ');
    if (!this.#said.pods.isDue(text) || text === '') return;
    log.warn({ reason: text }, 'pods from before a change');
    report({ type: 'Warning', reason: 'FormerPods', note: text });
  }
}
