/** An Enforcer's start with many pods and policies and no table, and single changes after it. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { createNetns } from '../support/netns.ts';
import type { PolicyEventKind, PolicyProcessResult } from './policy-process.ts';
import type { BenchSize } from './policy-world.ts';
import { median, percentile } from './statistics.ts';

/** Medians over rounds; times of single changes over all of them. */
export interface PolicyColdRow extends BenchSize {
  readonly elements: number;
  readonly wallMs: number;
  readonly cpuMs: number;
  readonly kernelMs: number;
  readonly heapMiB: number;
  readonly changes: readonly PolicyChangeRow[];
}

export interface PolicyChangeRow {
  readonly kind: PolicyEventKind;
  readonly medianMs: number;
  readonly p99Ms: number;
  readonly kernelMedianMs: number;
  readonly kernelP99Ms: number;
}

const PROCESS = new URL('policy-process.ts', import.meta.url).pathname;
const PROCESS_TIMEOUT_MS = 240_000;
const execute = promisify(execFile);

export async function measurePolicyCold(
  size: BenchSize,
  { events, rounds }: { readonly events: number; readonly rounds: number },
): Promise<PolicyColdRow> {
  const runs: PolicyProcessResult[] = [];
  for (let round = 0; round < rounds; round += 1) {
    console.error(`${size.localPods} local pods: round ${round + 1} of ${rounds}`);
    runs.push(await runProcess(size, events));
  }
  const middle = (field: 'wallMs' | 'cpuMs' | 'kernelMs' | 'heapMiB' | 'elements') =>
    median(runs.map((run) => run[field]));
  return {
    ...size,
    elements: middle('elements'),
    wallMs: middle('wallMs'),
    cpuMs: middle('cpuMs'),
    kernelMs: middle('kernelMs'),
    heapMiB: middle('heapMiB'),
    changes: changeRows(runs),
  };
}

function changeRows(runs: readonly PolicyProcessResult[]): readonly PolicyChangeRow[] {
  const byKind = Map.groupBy(
    runs.flatMap(({ events }) => events),
    ({ kind }) => kind,
  );
  return [...byKind].map(([kind, events]) => {
    const all = events.map(({ ms }) => ms);
    const kernel = events.map(({ kernelMs }) => kernelMs);
    return {
      kind,
      medianMs: median(all),
      p99Ms: percentile(all, 0.99),
      kernelMedianMs: median(kernel),
      kernelP99Ms: percentile(kernel, 0.99),
    };
  });
}

async function runProcess(size: BenchSize, events: number): Promise<PolicyProcessResult> {
  const netns = createNetns('policy');
  try {
    const { localPods, remotePods, policies } = size;
    const numbers = [localPods, remotePods, policies, events].map(String);
    const words = [process.execPath, '--expose-gc', PROCESS, ...numbers];
    const { stdout } = await execute('nsenter', [`--net=${netns.path}`, ...words], {
      timeout: PROCESS_TIMEOUT_MS,
      maxBuffer: 1 << 26,
    });
    // What the program prints is a PolicyProcessResult.
    return JSON.parse(stdout) as PolicyProcessResult;
  } finally {
    netns.remove();
  }
}
