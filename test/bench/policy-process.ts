/**
 * policy-process.ts LOCAL REMOTE POLICIES EVENTS: an Enforcer in a process and a namespace of its own.
 * Starts with so many pods and policies and no table in the kernel, then changes pods and policies
 * EVENTS times, one after the other. Prints a PolicyProcessResult as JSON.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { NftablesConnection } from '../../src/nftables/connection.ts';
import type { PolicyChange } from '../../src/policy/change.ts';
import { createEnforcer } from '../support/policy-enforcer.ts';
import {
  BENCH_NODE,
  type BenchSize,
  benchChanges,
  localPod,
  podChange,
  podGone,
  policyChange,
} from './policy-world.ts';

/** What a change was about. */
export type PolicyEventKind = 'pod' | 'labels' | 'policy';

export interface PolicyEvent {
  readonly kind: PolicyEventKind;
  /** From telling it until it is in the kernel. */
  readonly ms: number;
  /** Of that, inside the kernel's transaction. */
  readonly kernelMs: number;
}

export interface PolicyProcessResult {
  readonly elements: number;
  /** From the first object told to the last element in the kernel. */
  readonly wallMs: number;
  readonly cpuMs: number;
  readonly kernelMs: number;
  readonly heapMiB: number;
  readonly events: readonly PolicyEvent[];
}

const MIB = 1 << 20;
/** For what the kernel tells of our own transaction. */
const CALM_MS = 300;
const BETWEEN_EVENTS_MS = 5;
const EVENT_KINDS: readonly PolicyEventKind[] = ['pod', 'labels', 'policy'];

const [localPods = 0, remotePods = 0, policies = 0, events = 0] = process.argv.slice(2).map(Number);
console.log(JSON.stringify(await run({ localPods, remotePods, policies })));

async function run(size: BenchSize): Promise<PolicyProcessResult> {
  const changes = benchChanges(size);
  const kernel = timedConnection();
  const enforcer = createEnforcer({ connection: kernel.connection, nodeName: BENCH_NODE });
  const heapBefore = heapMiB();
  const cpu = process.cpuUsage();
  const startedAt = performance.now();
  for (const change of changes) enforcer.apply(change);
  enforcer.setSynced();
  enforcer.commit();
  const wallMs = performance.now() - startedAt;
  const { user, system } = process.cpuUsage(cpu);
  const kernelMs = kernel.takeMs();
  const grownMiB = heapMiB() - heapBefore;
  await sleep(CALM_MS);
  const done: PolicyEvent[] = [];
  for (let i = 0; i < events; i += 1) {
    const kind = EVENT_KINDS[i % EVENT_KINDS.length] ?? 'pod';
    const told = eventChanges(kind, i, size);
    kernel.takeMs();
    const toldAt = performance.now();
    for (const change of told) enforcer.apply(change);
    enforcer.commit();
    done.push({ kind, ms: performance.now() - toldAt, kernelMs: kernel.takeMs() });
    await sleep(BETWEEN_EVENTS_MS);
  }
  const { elements } = enforcer.report;
  await enforcer.close();
  return {
    ...{ elements, wallMs, kernelMs, events: done },
    cpuMs: (user + system) / 1000,
    heapMiB: grownMiB,
  };
}

/** A pod that is replaced by itself, one with other labels, a policy with another port. */
function eventChanges(kind: PolicyEventKind, i: number, size: BenchSize): readonly PolicyChange[] {
  const pod = (i * 7) % size.localPods;
  if (kind === 'pod') return [...podGone(pod), localPod(pod), podChange(pod)];
  if (kind === 'labels') return [podChange(pod, `app-${i % 10}`)];
  return [policyChange(i % size.policies, 1000 + i)];
}

function timedConnection() {
  const connection = NftablesConnection.open();
  const commit = connection.commit.bind(connection);
  let totalMs = 0;
  connection.commit = (...words) => {
    const startedAt = performance.now();
    try {
      commit(...words);
    } finally {
      totalMs += performance.now() - startedAt;
    }
  };
  return {
    connection,
    takeMs() {
      const ms = totalMs;
      totalMs = 0;
      return ms;
    },
  };
}

function heapMiB(): number {
  globalThis.gc?.();
  return process.memoryUsage().heapUsed / MIB;
}
