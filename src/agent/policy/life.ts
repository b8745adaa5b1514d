/**
 * From an agent that has just started to one whose policies hold: pods of this node are known from the
 * CNI's records, everything that decides about them was read, what is in the kernel is what is known,
 * and the gate of the CNI opens. Until then the kernel goes on with what the last run left.
 */
import { type BootGatePlace, markReady, noteAwaited, openBootGate } from '../../cni/boot-gate.ts';
import type { Bypass } from '../../cni/upkeep/same-node.ts';
import type { ObjectSource } from '../../kube/source.ts';
import type { IP } from '../../net/ip.ts';
import type { Clock } from '../../util/clock.ts';
import { Reminder, summarized } from '../../util/complaints.ts';
import type { Logger } from '../../util/log.ts';
import { BoundedFrequencyRunner } from '../../util/runner.ts';
import type { PolicyAdmission } from './admission.ts';
import type { Enforcement } from './enforcement.ts';
import { PolicyFeed } from './feed.ts';
import type { LocalPods } from './local-pods.ts';
import { Unrecorded } from './unrecorded.ts';

export interface PolicyLifeOptions {
  readonly source: ObjectSource;
  readonly nodeName: string;
  readonly enforcement: Enforcement;
  readonly admission: PolicyAdmission;
  readonly localPods: LocalPods;
  readonly gate: BootGatePlace;
  /** Why no policy holds for connections to Services; undefined where they hold. */
  readonly obstacle: () => string | undefined;
  /** Ways by which packets of pods pass by the rules; undefined while nobody has looked yet. */
  readonly bypasses: () => readonly Pick<Bypass, 'what' | 'cure'>[] | undefined;
  readonly onPodWaited: (seconds: number, isInTime: boolean) => void;
  readonly clock: Clock;
  readonly log: Logger;
}

/** What other processes attach is found so often. */
const RECORDS_INTERVALS = { minIntervalMs: 200, retryIntervalMs: 2_000, maxIntervalMs: 2_000 };
const COMMIT_INTERVALS = { minIntervalMs: 200, retryIntervalMs: 1_000 };
const SAID_AGAIN_MS = 300_000;

const NOT_READ = 'policies and what they are about are not read yet';
const NOT_CONFIRMED =
  'the API server has not confirmed what the last run knew; what that left in the kernel holds';
const NOT_LOOKED = 'ways by which packets pass by policies are not looked for yet';
const HELD_BACK = 'a policy is new, and the pods that it is about are not read yet';

export class PolicyLife {
  readonly #options: PolicyLifeOptions;
  readonly #feed: PolicyFeed;
  readonly #records: BoundedFrequencyRunner;
  readonly #beginning: BoundedFrequencyRunner;
  readonly #unrecorded: Unrecorded;
  readonly #said: Reminder;
  /** Nothing of this boot is in the kernel: what the last boot knew can only close. */
  readonly #isFirstOfBoot: boolean;
  #isSynced = false;
  #isEnforced = false;
  #failure: string | undefined;
  #noted: string | undefined;

  constructor(options: PolicyLifeOptions) {
    const { source, nodeName, enforcement, admission, localPods, gate, clock, log } = options;
    this.#options = options;
    this.#said = new Reminder(clock, SAID_AGAIN_MS);
    this.#isFirstOfBoot = openBootGate(gate).awaited() !== undefined;
    const onError = (error: Error) => this.#fail(error);
    this.#beginning = new BoundedFrequencyRunner(() => this.#begin(), {
      ...{ ...COMMIT_INTERVALS, clock, onError },
    });
    localPods.follow((key, now) => {
      enforcement.apply({ kind: 'localPod', key, ...(now && { now }) });
    });
    this.#feed = new PolicyFeed({
      ...{ source, nodeName, clock },
      apply: (change) => enforcement.apply(change),
      onProgress: () => this.#progress(),
    });
    admission.serve({
      awaited: (namespace) => this.#awaitedFor(namespace),
      obstacle: options.obstacle,
      concerns: (namespace) => enforcement.concerns(namespace),
      knows: (pod) => enforcement.knows(pod),
      localPod: (key) => localPods.get(key),
      rivalOf: (key, addresses) => this.#rivalOf(key, addresses),
      commit: () => enforcement.commit(),
      onWaited: options.onPodWaited,
    });
    this.#unrecorded = new Unrecorded({
      pods: () => this.#feed.ownPods(),
      isRecorded: (key) => localPods.get(key) !== undefined,
      clock,
    });
    this.#records = new BoundedFrequencyRunner(async () => this.#readRecords(), {
      ...RECORDS_INTERVALS,
      clock,
      onError: ({ message }) => log.warn({ reason: message }, 'records of pods not read'),
    });
    this.#records.trigger();
    this.note();
  }

  get feed(): Pick<PolicyFeed, 'policies' | 'readsAllPods'> {
    return this.#feed;
  }

  /** Why policies do not hold on this node, in words with the cure; empty while they do. */
  whyNotReady(): string {
    const { obstacle } = this.#options;
    return obstacle() ?? this.#awaited() ?? this.#refused() ?? this.#bypassed()[0] ?? '';
  }

  /** All that is wrong, in words with the cure. */
  problems(): readonly string[] {
    const obstacle = this.#options.obstacle();
    return [...(obstacle === undefined ? [] : [obstacle]), ...this.#bypassed()];
  }

  /** Writes what is waited for to where the CNI of this node tells it; for whoever finds it changed. */
  note(): void {
    const { gate } = this.#options;
    const awaited = this.#isEnforced ? undefined : this.#awaited();
    if (awaited === this.#noted) return;
    this.#noted = awaited;
    if (awaited !== undefined) noteAwaited(gate, awaited);
  }

  async close(): Promise<void> {
    this.#feed.close();
    await Promise.all([this.#records.stop(), this.#beginning.stop()]);
  }

  #progress(): void {
    if (!this.#isSynced && this.#mayBegin()) {
      this.#isSynced = true;
      this.#options.enforcement.setSynced();
      this.#beginning.trigger();
    }
    this.note();
    this.#options.admission.wake();
  }

  #readRecords(): void {
    this.#options.localPods.read();
    this.#unrecorded.look();
  }

  /** What was last known may lack what the kernel has since: nothing is replaced by that. */
  #mayBegin(): boolean {
    return this.#isFirstOfBoot ? this.#feed.isRead : this.#feed.isConfirmed;
  }

  async #begin(): Promise<void> {
    const { enforcement, gate, log } = this.#options;
    await enforcement.prepare();
    enforcement.commit();
    if (!this.#isEnforced) log.info({ ...this.#feed.policies }, 'policies are enforced');
    markReady(gate);
    this.#isEnforced = true;
    this.#failure = undefined;
    this.note();
  }

  #fail({ message }: Error): void {
    this.#failure = `policies are not in the kernel: ${message}`;
    this.note();
    if (this.#said.isDue(message)) {
      this.#options.log.error({ reason: message }, 'policies are not in the kernel, trying again');
    }
  }

  #refused(): string | undefined {
    const { error } = this.#options.enforcement.report;
    return error === undefined ? undefined : `policies are not in the kernel: ${error}`;
  }

  #bypassed(): readonly string[] {
    const bypasses = this.#options.bypasses();
    if (bypasses === undefined) return [NOT_LOOKED];
    const shared = this.#sharedAddresses().map(({ address, pods }) => {
      const what = `pods ${pods.join(' and ')} have one address, ${address}, and policies cannot tell them apart`;
      return { what, cure: 'give their networks other ranges, and delete one of them' };
    });
    const unrecorded = this.#unrecorded.names.map((pod) => {
      const what = `${pod}: it runs on this node, and the CNI has no record of it`;
      return { what, cure: 'attach its network by type weft or bridge, and delete the pod' };
    });
    const all = [...bypasses, ...shared, ...unrecorded];
    return summarized(all.map(({ what, cure }) => `${what}: ${cure}`));
  }

  /** What another process has detached since the last look is nobody's. */
  #rivalOf(key: string, addresses: readonly IP[]): string | undefined {
    const { localPods } = this.#options;
    if (!this.#hasPolicies || localPods.rivalOf(key, addresses) === undefined) return undefined;
    localPods.read();
    return localPods.rivalOf(key, addresses);
  }

  #sharedAddresses(): ReturnType<LocalPods['shared']> {
    return this.#hasPolicies ? this.#options.localPods.shared() : [];
  }

  get #hasPolicies(): boolean {
    const { network, cluster } = this.#feed.policies;
    return network + cluster > 0;
  }

  #awaited(): string | undefined {
    if (this.#isSynced) return this.#isEnforced ? undefined : (this.#failure ?? NOT_READ);
    return this.#feed.isRead ? NOT_CONFIRMED : NOT_READ;
  }

  #awaitedFor(namespace: string): string | undefined {
    if (!this.#isSynced) return this.#awaited();
    return this.#feed.holdsBackFor(namespace) ? HELD_BACK : undefined;
  }
}
