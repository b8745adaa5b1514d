/** What no plugin can be faster than, and ADD beside a busy proxy. */
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createNetns, type TestNetns } from '../support/netns.ts';
import {
  type Contender,
  callPlugins,
  configurations,
  type Sample,
  startAgent,
  type Tools,
} from './contenders.ts';
import { writeService, writeServices } from './services.ts';
import { median, percentile, table } from './statistics.ts';

const FLOOR_ROUNDS = 40;
const SERVICES = 10_000;
const CHANGING_MS = 10_000;
const CHANGE_EVERY_MS = 100;
const LOADING_MS = 30_000;

/** Medians in ms of the same netlink requests from C, without a process to start. */
export interface Floor {
  readonly addMs: number;
  readonly deleteMs: number;
}

export function measureFloor(tools: Tools): Floor {
  const node = createNetns('floor');
  const pod = createNetns('floorpod');
  try {
    node.run('ip', 'link', 'add', 'br0', 'up', 'type', 'bridge');
    const [bridge] = node.ip<{ ifindex: number }[]>('link', 'show', 'br0');
    const args = [String(FLOOR_ROUNDS), pod.path, String(bridge?.ifindex)];
    const lines = node
      .run(tools.floor, ...args)
      .trim()
      .split('\n');
    const times = lines.map((line) => line.split(' ').map((ns) => Number(ns) / 1e6));
    return {
      addMs: median(times.map(([add = Number.NaN]) => add)),
      deleteMs: median(times.map(([, del = Number.NaN]) => del)),
    };
  } finally {
    node.remove();
    pod.remove();
  }
}

/** ADD beside a proxy: at its start with 10,000 Services, and while they keep changing. */
export async function measureUnderLoad(tools: Tools) {
  console.error(`ADD while the proxy applies ${SERVICES} Services`);
  const home = join(tools.directory, 'load');
  const manifests = join(home, 'manifests');
  mkdirSync(manifests, { recursive: true });
  writeServices(manifests, SERVICES);
  const node = createNetns('load');
  const pod = createNetns('loadpod');
  const contender: Contender = {
    name: 'weft',
    isReference: false,
    runDir: join(home, 'run'),
    node,
  };
  try {
    const flags = ['--components', 'cni,proxy', '--manifests', manifests];
    contender.agent = await startAgent(contender, flags, undefined);
    while (!existsSync(join(contender.runDir, 'cni.sock'))) await sleep(1);
    const loading = await addUntil(tools, contender, pod, () => isLive(node));
    const until = performance.now() + CHANGING_MS;
    let changedAt = 0;
    let round = 0;
    const changing = await addUntil(tools, contender, pod, () => {
      if (performance.now() - changedAt > CHANGE_EVERY_MS) {
        changedAt = performance.now();
        round = (round + 1) % 100;
        writeService(manifests, SERVICES, round);
      }
      return performance.now() > until;
    });
    return describeLoad({ 'until all are live': loading, 'one changes every 100 ms': changing });
  } finally {
    await contender.agent?.end();
    node.remove();
    pod.remove();
  }
}

/** Pods come and go until `isOver`; gives the wall times of ADD. */
async function addUntil(
  tools: Tools,
  contender: Contender,
  pod: TestNetns,
  isOver: () => boolean,
): Promise<readonly number[]> {
  const configuration = configurations.find(({ title }) => title === 'dual stack + ipMasq');
  if (configuration === undefined) throw new Error('no configuration for load');
  const deadline = performance.now() + LOADING_MS;
  const samples: Sample[] = [];
  while (!isOver()) {
    if (performance.now() > deadline) throw new Error('the proxy does not become live');
    const call = { containerId: `load-${samples.length}`, netns: pod };
    samples.push(await callPlugins(tools, contender, configuration, { ...call, verb: 'ADD' }));
    await callPlugins(tools, contender, configuration, { ...call, verb: 'DEL' });
    await sleep(1);
  }
  return samples.map(({ wallMs }) => wallMs);
}

/** Whether the last Service of the last file is in the kernel. */
function isLive(node: TestNetns): boolean {
  const n = SERVICES - 1;
  const key = `172.30.${n >> 8}.${n & 255} . tcp . 80`;
  const element = ['get', 'element', 'ip', 'weft-proxy', 'service-ips', `{ ${key} }`];
  return node.attempt('nft', element).status === 0;
}

function describeLoad(phases: Readonly<Record<string, readonly number[]>>) {
  const rows = Object.entries(phases).map(([phase, walls]) => ({
    phase,
    count: walls.length,
    medianMs: median(walls),
    p99Ms: percentile(walls, 0.99),
    maxMs: Math.max(...walls),
  }));
  const text = table(
    [`ADD beside ${SERVICES} Services`, 'ADDs', 'median ms', 'p99 ms', 'max ms'],
    rows.map(({ phase, count, medianMs, p99Ms, maxMs }) => [
      phase,
      String(count),
      ...[medianMs, p99Ms, maxMs].map((ms) => ms.toFixed(2)),
    ]),
  );
  return { rows, table: `\n${text}` };
}
