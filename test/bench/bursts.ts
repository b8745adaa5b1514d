/** Many pods at once, as after a node's restart. */
import { execFileSync } from 'node:child_process';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { CNI_BINARY } from '../support/cluster.ts';
import {
  bridgeConfiguration,
  type Contender,
  configurations,
  cpuMsOf,
  environmentOf,
  referenceDirectory,
  runTool,
  type Tools,
  type Verb,
} from './contenders.ts';

const PODS = 100;
const CONCURRENCIES = [8, 32];

export interface Burst {
  readonly contender: string;
  readonly concurrency: number;
  /** Pods per second. */
  readonly rate: Readonly<Record<Verb, number>>;
  readonly cpuMsPerPod: Readonly<Record<Verb, number>>;
}

/** 100 pods, dual stack with masquerading, ADD then DEL, per contender and concurrency. */
export async function measureBursts(
  tools: Tools,
  contenders: readonly Contender[],
): Promise<readonly Burst[]> {
  const bursts: Burst[] = [];
  for (const concurrency of CONCURRENCIES) {
    for (const contender of contenders) {
      bursts.push(await measureBurst(tools, contender, concurrency));
    }
  }
  return bursts;
}

async function measureBurst(
  tools: Tools,
  contender: Contender,
  concurrency: number,
): Promise<Burst> {
  console.error(`${PODS} pods, ${concurrency} at a time: ${contender.name}`);
  const prefix = `wb${process.pid}`;
  const pods = Array.from({ length: PODS }, (_, number) => `${prefix}-${number}`);
  const made: string[] = [];
  try {
    for (const pod of pods) {
      execFileSync('ip', ['netns', 'add', pod]);
      made.push(pod);
    }
    const add = await runBurst(tools, contender, { concurrency, prefix, verb: 'ADD' });
    const del = await runBurst(tools, contender, { concurrency, prefix, verb: 'DEL' });
    return {
      contender: contender.name,
      concurrency,
      rate: { ADD: add.rate, DEL: del.rate },
      cpuMsPerPod: { ADD: add.cpuMsPerPod, DEL: del.cpuMsPerPod },
    };
  } finally {
    for (const pod of made) execFileSync('ip', ['netns', 'del', pod]);
  }
}

interface BurstCall {
  readonly concurrency: number;
  readonly prefix: string;
  readonly verb: Verb;
}

async function runBurst(tools: Tools, contender: Contender, call: BurstCall) {
  const configuration = configurations.find(({ title }) => title === 'dual stack + ipMasq');
  if (configuration === undefined) throw new Error('no configuration for bursts');
  const input = join(tools.directory, 'burst-stdin');
  const output = join(tools.directory, 'burst-stdout');
  writeFileSync(input, JSON.stringify(bridgeConfiguration(configuration, contender)));
  const binary = contender.isReference ? join(referenceDirectory, 'bridge') : CNI_BINARY;
  const program = [tools.burst, String(PODS), String(call.concurrency)];
  const agentBefore = cpuMsOf(contender.agent?.pid);
  const [failures = 0, wallNs = 0, cpuUs = 0] = await runTool(
    contender,
    [...program, call.prefix, input, output, binary],
    environmentOf(contender, call.verb),
  );
  const agentMs = cpuMsOf(contender.agent?.pid) - agentBefore;
  const outputs = Array.from({ length: PODS }, (_, number) => `${output}.${number}`);
  const error = outputs
    .map((file) => readFileSync(file, 'utf8'))
    .find((text) => /"code"/.test(text));
  for (const file of outputs) rmSync(file);
  if (failures > 0) {
    throw new Error(`${contender.name}: ${failures} of ${PODS} ${call.verb} failed: ${error}`);
  }
  return { rate: PODS / (wallNs / 1e9), cpuMsPerPod: (cpuUs / 1e3 + agentMs) / PODS };
}
