import type { PodIdentity } from '../../cni/attachment-records.ts';
import type { PodPolicies } from '../../cni/pod-policies.ts';
import { podOf } from '../../cni/protocol/args.ts';
import { CNI_ERROR_CODE, CniError } from '../../cni/protocol/errors.ts';
import type { Environment } from '../../cni/protocol/request.ts';
import type { IP } from '../../net/ip.ts';
import type { LocalPod } from '../../policy/change.ts';
import { namespaceOf } from '../../policy/facts.ts';
import type { Clock } from '../../util/clock.ts';
import { toError } from '../../util/errors.ts';
import type { Enforcement } from './enforcement.ts';
import { podKeyOf } from './local-pods.ts';

export interface AdmissionOptions {
  readonly clock: Clock;
  /** Milliseconds that a call waits for what decides about its pod. */
  readonly waitMs: () => number;
}

/** Who enforces, once there is somebody. */
export interface AdmittingPolicies extends Pick<Enforcement, 'commit' | 'concerns' | 'knows'> {
  /** What has to be there before anything is known of pods of a namespace; undefined for nothing. */
  readonly awaited: (namespace: string) => string | undefined;
  /** Why policies do not hold on this node whatever is programmed; undefined where they do. */
  readonly obstacle: () => string | undefined;
  /** Of this key, as it is on record. */
  readonly localPod: (key: string) => LocalPod | undefined;
  /** Another pod of this node that has one of these addresses. */
  readonly rivalOf: (key: string, addresses: readonly IP[]) => string | undefined;
  /** Told of each pod that had to wait: for so long, and whether in vain. */
  readonly onWaited: (seconds: number, isInTime: boolean) => void;
}

interface Waiting {
  readonly key: string;
  readonly uid: string | undefined;
  readonly go: () => void;
}

/**
 * Lets pods start when the policies that select them are in the kernel. A call is served at once where no
 * policy can select its pod; else it waits, without holding up others, until everything is known that
 * decides about the pod, and is refused where that takes too long.
 */
export class PolicyAdmission implements PodPolicies {
  readonly #options: AdmissionOptions;
  readonly #waiting = new Set<Waiting>();
  #policies: AdmittingPolicies | undefined;

  constructor(options: AdmissionOptions) {
    this.#options = options;
  }

  /** Calls that wait now. */
  get waiting(): number {
    return this.#waiting.size;
  }

  serve(policies: AdmittingPolicies): void {
    this.#policies = policies;
    this.wake();
  }

  /** Something became known: who waited for it goes on. */
  wake(): void {
    for (const waiting of this.#waiting) {
      if (this.#missing(waiting.key, waiting.uid) === undefined) waiting.go();
    }
  }

  /** What an ADD waits for before it is served; undefined for nothing. */
  waitFor(env: Environment): Promise<void> | undefined {
    if (env['CNI_COMMAND'] !== 'ADD' || isLoopback(env)) return undefined;
    const { podUid: uid, ...pod } = podOf(env['CNI_ARGS'] ?? '');
    const key = podKeyOf(pod);
    if (key === undefined || this.#missing(key, uid) === undefined) return undefined;
    return this.#wait(key, uid);
  }

  admit(pod: PodIdentity, addresses: readonly IP[]): void {
    const key = podKeyOf(pod);
    if (key === undefined || addresses.length === 0) return;
    const missing = this.#missing(key, pod.podUid) ?? this.#obstacleOf(key);
    if (missing !== undefined) throw later(`pod ${key} has to wait for its policies: ${missing}`);
    const rival = this.#policies?.rivalOf(key, addresses);
    if (rival !== undefined) {
      const text = 'which policies could not tell from it: give their networks other ranges';
      throw later(`pod ${key} was given an address of pod ${rival} of this node, ${text}`);
    }
    try {
      this.#policies?.commit();
    } catch (thrown) {
      if (!this.#policies?.concerns(namespaceOf(key))) return;
      throw later(`policies of pod ${key} are not in the kernel: ${toError(thrown).message}`);
    }
  }

  check(pod: PodIdentity): void {
    const key = podKeyOf(pod);
    if (key === undefined) return;
    const missing = this.#missing(key, pod.podUid) ?? this.#obstacleOf(key);
    if (missing !== undefined) throw new Error(`policies of pod ${key} do not hold: ${missing}`);
  }

  /** Of a pod that some policy may select. */
  #obstacleOf(key: string): string | undefined {
    return this.#policies?.concerns(namespaceOf(key)) ? this.#policies.obstacle() : undefined;
  }

  #missing(key: string, uid: string | undefined): string | undefined {
    const policies = this.#policies;
    if (policies === undefined) return 'the agent has just started';
    const awaited = policies.awaited(namespaceOf(key));
    if (awaited !== undefined) return awaited;
    if (!policies.concerns(namespaceOf(key))) return undefined;
    const { ips = [] } = policies.localPod(key) ?? {};
    if (policies.knows({ key, uid, ips })) return undefined;
    return 'the API has not told of the pod or its namespace yet';
  }

  #wait(key: string, uid: string | undefined): Promise<void> {
    const { clock, waitMs } = this.#options;
    const { promise, resolve } = Promise.withResolvers<void>();
    const since = clock.elapsed();
    const end = (isInTime: boolean) => {
      cancel();
      this.#waiting.delete(waiting);
      this.#policies?.onWaited((clock.elapsed() - since) / 1_000, isInTime);
      resolve();
    };
    const waiting: Waiting = { key, uid, go: () => end(true) };
    const cancel = clock.schedule(waitMs(), () => end(false));
    this.#waiting.add(waiting);
    return promise;
  }
}

/** Executed under that name for each pod beside its network; it has no addresses of others. */
function isLoopback({ WEFT_ARGV0: program = '' }: Environment): boolean {
  return /(^|\/)loopback$/.test(program);
}

function later(message: string): CniError {
  return new CniError(CNI_ERROR_CODE.tryAgainLater, message);
}
