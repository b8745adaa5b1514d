/** The data path: new connections, connect time and throughput through each lane, in turns. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { directLane, type Lane, type OpenLane, openLane, staticRuleLane } from './proxy-lanes.ts';
import { median } from './statistics.ts';

/** Medians over the rounds of one lane. */
export interface DataRow {
  readonly lane: string;
  readonly connectionsPerSecond: number;
  /** Against both lanes of the static rule, per slice of a round. */
  readonly ofStaticRule: number;
  readonly ofDirect: number;
  readonly medianUs: number;
  readonly p99Us: number;
  readonly gigabitsPerSecond: number;
}

interface Round {
  readonly rate: number;
  readonly medianUs: number;
  readonly p99Us: number;
}

export interface DataOptions {
  /** flows.c, built. */
  readonly flows: string;
  readonly directory: string;
  readonly rounds: number;
  /** Besides pod to pod and the static rule. */
  readonly lanes: readonly Lane[];
  /** Which program the static rule is made with. */
  readonly staticRuleBy?: 'nft' | 'iptables-legacy';
}

/** Short and many: what else the machine does then meets all lanes alike. */
const CONNECT_MS = 250;
const SLICES_PER_ROUND = 4;
const STREAM_MS = 500;
const STREAM_ROUNDS = 3;
/** The same twice: how far they are apart is how far equals may be. */
const STATIC_RULES = ['one DNAT rule', 'one DNAT rule, again'];
const execute = promisify(execFile);

export async function measureDataPath(options: DataOptions): Promise<readonly DataRow[]> {
  const lanes = [
    directLane,
    ...STATIC_RULES.map((name) => staticRuleLane(name, options.staticRuleBy)),
    ...options.lanes,
  ];
  const open: OpenLane[] = [];
  try {
    for (const lane of lanes) {
      console.error(`data path: ${lane.name}`);
      open.push(await openLane(lane, options.flows, options.directory));
    }
    return await measureLanes(open, options);
  } finally {
    for (const lane of open) await lane.remove();
  }
}

async function measureLanes(
  lanes: readonly OpenLane[],
  { flows, rounds }: DataOptions,
): Promise<readonly DataRow[]> {
  const connects = new Map<string, Round[]>(lanes.map(({ name }) => [name, []]));
  const streams = new Map<string, number[]>(lanes.map(({ name }) => [name, []]));
  // The first round warms up caches, neighbours and the sockets' slabs.
  console.error(`data path: ${rounds} rounds`);
  for (let round = -1; round < rounds * SLICES_PER_ROUND; round++) {
    for (const lane of inTurn(lanes, round)) {
      const result = await measureConnects(flows, lane);
      if (round >= 0) connects.get(lane.name)?.push(result);
    }
  }
  for (let round = 0; round < STREAM_ROUNDS; round++) {
    for (const lane of inTurn(lanes, round)) {
      streams.get(lane.name)?.push(await measureStream(flows, lane));
    }
  }
  return lanes.map(({ name }) => summarizeLane(name, connects, streams.get(name) ?? []));
}

/** Every round starts with another lane, so that none is always behind the same one. */
function inTurn<T>(items: readonly T[], round: number): readonly T[] {
  const first = (round + items.length) % items.length;
  return [...items.slice(first), ...items.slice(0, first)];
}

async function measureConnects(flows: string, lane: OpenLane): Promise<Round> {
  const [count = 0, wallNs = 0, medianNs = 0, p99Ns = 0] = await runFlows(flows, lane, [
    'connect',
    CONNECT_MS,
  ]);
  return { rate: count / (wallNs / 1e9), medianUs: medianNs / 1e3, p99Us: p99Ns / 1e3 };
}

async function measureStream(flows: string, lane: OpenLane): Promise<number> {
  const [bytes = 0, wallNs = 0] = await runFlows(flows, lane, ['stream', STREAM_MS]);
  return (bytes * 8) / wallNs;
}

async function runFlows(
  flows: string,
  { client, host, port }: OpenLane,
  [mode, ms]: readonly [string, number],
): Promise<readonly number[]> {
  const words = [flows, mode, host, String(port), String(ms)];
  const { stdout } = await execute(
    'nsenter',
    [`--net=${client.path}`, 'taskset', '-c', '0', ...words],
    { timeout: 10 * ms },
  );
  return stdout.trim().split(' ').map(Number);
}

function summarizeLane(
  lane: string,
  connects: ReadonlyMap<string, readonly Round[]>,
  streams: readonly number[],
): DataRow {
  const own = connects.get(lane) ?? [];
  const against = (others: readonly string[]) =>
    median(
      own.map(({ rate }, round) => {
        const rates = others.map((other) => connects.get(other)?.[round]?.rate ?? Number.NaN);
        return (rate * rates.length) / rates.reduce((sum, value) => sum + value, 0);
      }),
    );
  return {
    lane,
    connectionsPerSecond: median(own.map(({ rate }) => rate)),
    ofStaticRule: against(STATIC_RULES),
    ofDirect: against([directLane.name]),
    medianUs: median(own.map(({ medianUs }) => medianUs)),
    p99Us: median(own.map(({ p99Us }) => p99Us)),
    gigabitsPerSecond: median(streams),
  };
}
