/** Conditions of the own Node: what schedulers, dashboards and people see of it without asking the agent. */
import { ApiError } from '../../kube/api/api-error.ts';
import { Backoff } from '../../kube/api/backoff.ts';
import type { ApiClient } from '../../kube/api/client.ts';
import { failureWords } from '../../kube/api/failure-words.ts';
import type { Clock } from '../../util/clock.ts';
import { Reminder } from '../../util/complaints.ts';
import { toError } from '../../util/errors.ts';
import type { Logger } from '../../util/log.ts';

export interface NodeConditionOptions {
  readonly client: Pick<ApiClient, 'read' | 'patch'>;
  readonly nodeName: string;
  readonly clock: Clock;
  /** Uniform in [0, 1). */
  readonly random: () => number;
  readonly log: Logger;
  readonly signal: AbortSignal;
}

/** As a NodeCondition of core/v1 has it. */
export interface ConditionValue {
  readonly type: string;
  readonly status: 'True' | 'False';
  readonly reason: string;
  readonly message: string;
}

/**
 * Schedulers and dashboards then know that the pods of the node can be reached. Cloud providers and other
 * agents set it to True; the node lifecycle controller makes a taint of that. Never set back: what is in the
 * kernel goes on working without the agent.
 */
export const NETWORK_IS_UP: ConditionValue = {
  ...{ type: 'NetworkUnavailable', status: 'False', reason: 'WeftIsUp' },
  message: 'weft serves the pod network of this node',
};
const BACKOFF = { minMs: 1_000, maxMs: 60_000 };
const SAID_AGAIN_MS = 600_000;

/** Sets the condition, and tries again until it could be set. */
export class NodeCondition {
  readonly #options: NodeConditionOptions;
  readonly #path: string;
  readonly #reminder: Reminder;
  #backoff: Backoff;
  #isRunning = false;
  #isDue = false;
  #isSet = false;
  #problem: string | undefined;
  #wanted: ConditionValue | undefined;

  constructor(options: NodeConditionOptions) {
    this.#options = options;
    this.#path = `/api/v1/nodes/${encodeURIComponent(options.nodeName)}`;
    this.#reminder = new Reminder(options.clock, SAID_AGAIN_MS);
    this.#backoff = new Backoff(BACKOFF, options.random);
  }

  /** Why it is not set, with the cure. */
  get problem(): string | undefined {
    return this.#problem;
  }

  /** It was set, or found to be, when it was looked at last. */
  get isSet(): boolean {
    return this.#isSet;
  }

  /** Sees to it that the condition is set, whoever had set it otherwise. Never blocks, never throws. */
  set(wanted: ConditionValue): void {
    this.#wanted = wanted;
    this.#isDue = true;
    if (!this.#isRunning) void this.#run();
  }

  async #run(): Promise<void> {
    const { clock, signal } = this.#options;
    this.#isRunning = true;
    while (this.#wanted !== undefined && this.#isDue && !signal.aborted) {
      this.#isDue = false;
      if (await this.#try(this.#wanted)) {
        this.#backoff.reset();
        continue;
      }
      this.#isDue = true;
      const { promise, resolve } = Promise.withResolvers<void>();
      const cancel = clock.schedule(this.#backoff.next(), resolve);
      const end = () => resolve();
      signal.addEventListener('abort', end, { once: true });
      await promise;
      signal.removeEventListener('abort', end);
      cancel();
    }
    this.#isRunning = false;
  }

  async #try(wanted: ConditionValue): Promise<boolean> {
    const { client, clock, log, nodeName: node, signal } = this.#options;
    let verb: 'get' | 'patch' = 'get';
    try {
      const found = conditionOf(await client.read(this.#path, signal), wanted.type);
      verb = 'patch';
      const change = conditionChange(found, wanted, clock.now());
      if (change !== undefined) {
        await client.patch(`${this.#path}/status`, change, signal);
        log.info({ node, condition: conditionText(wanted) }, 'condition of the node set');
      }
      this.#isSet = true;
      this.#problem = undefined;
      return true;
    } catch (thrown) {
      if (!signal.aborted) this.#complain(toError(thrown), verb, wanted);
      return false;
    }
  }

  #complain(error: Error, verb: 'get' | 'patch', wanted: ConditionValue): void {
    const { log, nodeName: node } = this.#options;
    const { words, cure } = wordsOf(error, verb, node);
    this.#isSet = false;
    this.#problem = `condition ${conditionText(wanted)} of the node is not set: ${words}; ${cure}`;
    if (this.#reminder.isDue(this.#problem)) {
      log.warn({ node, why: words, cure }, 'condition of the node not set, trying again');
    }
  }
}

function conditionText({ type, status }: ConditionValue): string {
  return `${type}=${status}`;
}

function wordsOf(error: Error, verb: 'get' | 'patch', node: string) {
  if (error instanceof ApiError && error.status === 404) {
    return {
      words: `no Node is called "${node}"`,
      cure: 'set nodeName to the name that kubectl get nodes shows for this node',
    };
  }
  const resource = verb === 'get' ? 'nodes' : 'nodes/status';
  const { kind, words, cure } = failureWords(error, { verb, resource });
  if (kind !== 'forbidden') return { words, cure };
  const rule = `{apiGroups: [""], resources: [${resource}], verbs: [${verb}]}`;
  return { words, cure: `add to the ClusterRole of this account: ${rule}` };
}

interface Condition {
  readonly type?: unknown;
  readonly status?: unknown;
  readonly reason?: unknown;
  readonly message?: unknown;
}

function conditionOf(node: unknown, type: string): Condition | undefined {
  // Any object may lack these properties; what is used of them is compared with fixed texts.
  const { status } = Object(node) as { status?: { conditions?: unknown } | null };
  const conditions = status?.conditions;
  if (!Array.isArray(conditions)) return undefined;
  return (conditions as (Condition | null)[]).find((each) => each?.type === type) ?? undefined;
}

/**
 * What has to be merged into the Node, undefined when it says so already. The time of the transition
 * changes with the status only (core/v1 NodeCondition).
 */
export function conditionChange(
  found: Condition | undefined,
  wanted: ConditionValue,
  nowMs: number,
): object | undefined {
  const { status, reason, message } = wanted;
  const isSame = found?.status === status;
  if (isSame && found.reason === reason && found.message === message) return undefined;
  const now = new Date(nowMs).toISOString().replace(/\.\d+Z$/, 'Z');
  const condition = {
    ...wanted,
    lastHeartbeatTime: now,
    ...(isSame ? {} : { lastTransitionTime: now }),
  };
  return { status: { conditions: [condition] } };
}
