/**
 * cni.ts [ROUNDS] [DIRECTORY]: ADD and DEL through the real exec protocol: weft with its agent, weft
 * standalone and the reference plugins of Debian, interleaved in one run, each in a node namespace of
 * its own; bursts of pods; ADD while the proxy applies 10,000 Services; and what the kernel alone
 * takes. Prints tables and writes cni.json and cni.svg to DIRECTORY.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { cpus, release, tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createNetns } from '../support/netns.ts';
import { measureBursts } from './bursts.ts';
import { drawCharts } from './cni-charts.ts';
import { measureFloor, measureUnderLoad } from './cni-floor-and-load.ts';
import { burstTable, callTables, summarize } from './cni-tables.ts';
import {
  buildTools,
  CallError,
  type Configuration,
  type Contender,
  callPlugins,
  configurations,
  createContenders,
  type Sample,
  startAgent,
  type Tools,
  type Verb,
} from './contenders.ts';

const WARM_UP = 3;
/** What others left the kernel to free later, under locks that a call needs, is over by then. */
const POD_LIFE_MS = 50;

/** By configuration, contender and verb; no samples where a build does not have the plugin. */
export type CallSamples = Record<string, Record<string, Record<Verb, Sample[]>>>;

const [rounds = '30', resultDirectory = 'bench-results'] = process.argv.slice(2);
const directory = mkdtempSync(join(tmpdir(), 'weft-bench-'));
const contenders = createContenders(directory);
try {
  await run();
} finally {
  for (const { agent, node } of contenders) {
    await agent?.end();
    node.remove();
  }
  rmSync(directory, { recursive: true });
}

async function run(): Promise<void> {
  const tools = buildTools(directory);
  const [served] = contenders;
  if (served === undefined) throw new Error('no contenders');
  served.agent = await startAgent(served);
  const calls = await measureCalls(tools, Number(rounds));
  const bursts = await measureBursts(tools, contenders);
  await served.agent.end();
  delete served.agent;
  const floor = measureFloor(tools);
  const load = await measureUnderLoad(tools);
  const results = {
    machine: { cpus: cpus().length, model: cpus()[0]?.model, kernel: release() },
    rounds: Number(rounds),
    floor,
    calls: summarize(calls),
    bursts,
    load,
  };
  console.log(callTables(results.calls, floor));
  console.log(burstTable(bursts));
  console.log(load.table);
  mkdirSync(resultDirectory, { recursive: true });
  writeFileSync(join(resultDirectory, 'cni.json'), JSON.stringify(results, undefined, 2));
  writeFileSync(join(resultDirectory, 'cni.svg'), drawCharts(results.calls, floor, bursts));
  console.log(`\nwritten to ${resultDirectory}: cni.json, cni.svg`);
}

async function measureCalls(tools: Tools, count: number): Promise<CallSamples> {
  const samples: CallSamples = {};
  for (const configuration of configurations) {
    const { title } = configuration;
    console.error(`${title}: ${count} rounds`);
    const byContender: Record<string, Record<Verb, Sample[]>> = {};
    for (const { name } of contenders) byContender[name] = { ADD: [], DEL: [] };
    for (let round = -WARM_UP; round < count; round++) {
      for (const contender of contenders) {
        const pair = await measurePair(tools, contender, configuration, round + WARM_UP);
        if (round < 0 || pair === undefined) continue;
        byContender[contender.name]?.ADD.push(pair.ADD);
        byContender[contender.name]?.DEL.push(pair.DEL);
      }
    }
    samples[title] = byContender;
  }
  return samples;
}

/** Undefined when this build does not serve the configuration (CNI code 2). */
async function measurePair(
  tools: Tools,
  contender: Contender,
  configuration: Configuration,
  round: number,
): Promise<Record<Verb, Sample> | undefined> {
  const netns = createNetns('benchpod');
  const call = { containerId: `bench-${round}`, netns };
  try {
    await sleep(POD_LIFE_MS);
    const ADD = await callPlugins(tools, contender, configuration, { ...call, verb: 'ADD' });
    await sleep(POD_LIFE_MS);
    const DEL = await callPlugins(tools, contender, configuration, { ...call, verb: 'DEL' });
    return { ADD, DEL };
  } catch (thrown) {
    if (thrown instanceof CallError && thrown.code === 2) return undefined;
    throw thrown;
  } finally {
    netns.remove();
  }
}
