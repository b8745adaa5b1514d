/** Connections and throughput from client to server namespaces, through several lanes in turns. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { TestNetns } from '../support/netns.ts';
import { median } from './statistics.ts';

/** One way from a client to a server that runs `flows serve`. */
export interface FlowLane {
  readonly name: string;
  readonly client: TestNetns;
  readonly host: string;
  readonly port: number;
}

/** One slice of connections. */
export interface ConnectRound {
  readonly rate: number;
  readonly medianUs: number;
  readonly p99Us: number;
  /** CPU time of one connection: what else the machine does hardly touches it. */
  readonly cpuUs: number;
}

/** What was measured of a lane; equal positions of two lanes were measured after each other. */
export interface LaneRounds {
  readonly connects: readonly ConnectRound[];
  readonly gigabitsPerSecond: readonly number[];
}

/** Short and many: what else the machine does then meets all lanes alike. */
const CONNECT_MS = 50;
const SLICES_PER_ROUND = 20;
const STREAM_MS = 500;
const execute = promisify(execFile);

/** By the lane's name. `flows` is flows.c, built. */
export async function measureInTurns(
  flows: string,
  lanes: readonly FlowLane[],
  rounds: { readonly connects: number; readonly streams: number },
): Promise<ReadonlyMap<string, LaneRounds>> {
  const results = new Map(
    lanes.map(({ name }) => [
      name,
      { connects: [] as ConnectRound[], gigabitsPerSecond: [] as number[] },
    ]),
  );
  // The first round warms up caches, neighbours and the sockets' slabs.
  for (let round = -1; round < rounds.connects * SLICES_PER_ROUND; round++) {
    for (const lane of inTurn(lanes, round)) {
      const result = await measureConnects(flows, lane);
      if (round >= 0) results.get(lane.name)?.connects.push(result);
    }
  }
  for (let round = 0; round < rounds.streams; round++) {
    for (const lane of inTurn(lanes, round)) {
      results.get(lane.name)?.gigabitsPerSecond.push(await measureStream(flows, lane));
    }
  }
  return results;
}

/**
 * Every round starts with another lane, and every second one goes backwards: each lane is as often before each
 * other as behind it.
 */
export function inTurn<T>(items: readonly T[], round: number): readonly T[] {
  const first = ((round >> 1) + items.length) % items.length;
  const turned = [...items.slice(first), ...items.slice(0, first)];
  return round % 2 === 0 ? turned : turned.reverse();
}

/** Median of the ratios of what was measured one after the other. */
export function medianRatio(of: readonly number[] = [], to: readonly number[] = []): number {
  return median(of.map((value, i) => value / (to[i] ?? Number.NaN)));
}

async function measureConnects(flows: string, lane: FlowLane): Promise<ConnectRound> {
  const [count = 0, wallNs = 0, medianNs = 0, p99Ns = 0, , cpuNs = 0] = await runFlows(
    flows,
    lane,
    ['connect', CONNECT_MS],
  );
  return {
    rate: count / (wallNs / 1e9),
    medianUs: medianNs / 1e3,
    p99Us: p99Ns / 1e3,
    cpuUs: cpuNs / 1e3,
  };
}

async function measureStream(flows: string, lane: FlowLane): Promise<number> {
  const [bytes = 0, wallNs = 0] = await runFlows(flows, lane, ['stream', STREAM_MS]);
  return (bytes * 8) / wallNs;
}

async function runFlows(
  flows: string,
  { client, host, port }: FlowLane,
  [mode, ms]: readonly [string, number],
): Promise<readonly number[]> {
  const words = [flows, mode, host, String(port), String(ms)];
  const { stdout } = await execute(
    'nsenter',
    [`--net=${client.path}`, 'taskset', '-c', '0', ...words],
    { timeout: 10_000 + 10 * ms },
  );
  return stdout.trim().split(' ').map(Number);
}
