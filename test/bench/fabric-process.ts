/**
 * fabric-process.ts PEERS EVENTS: the fabric of one node in a process and a namespace of its own. Starts
 * with so many peers and none in the kernel, looks at them once more, then re-addresses, removes and
 * returns EVENTS peers, one after the other. Prints a ProcessResult as JSON.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { type NodeEvents, openNodeEvents } from '../../src/kernel/node-events.ts';
import type { RouteEvent } from '../../src/kernel/route-monitor.ts';
import { wire } from '../../src/netlink/wire.ts';
import { inTurns } from '../../src/util/turns.ts';
import { benchNode, benchNodes } from './fabric-nodes.ts';
import { type RunningFabric, startFabric, within } from './fabric-running.ts';

export interface ProcessResult {
  readonly entries: number;
  /** From the first Node given to the last entry in the kernel. */
  readonly completeMs: number;
  /** The same from the start of the process. */
  readonly sinceStartMs: number;
  readonly cpuMs: number;
  /** CPU time of the longest turn of the event loop meanwhile: others wait for so much, besides other programs. */
  readonly longestTurnMs: number;
  /** Of the second look at everything. */
  readonly secondMs: number;
  readonly secondWrites: number;
  /** Grown by peers, after garbage collection. */
  readonly heapMiB: number;
  readonly rssMiB: number;
  /** From an event to the kernel, each. */
  readonly eventsMs: readonly number[];
}

const MIB = 1 << 20;
/** For what the kernel tells of the start, and the look that this may cause. */
const CALM_MS = 500;
/** The runner's shortest interval, from the end of a run on: each event finds nobody at work. */
const BETWEEN_EVENTS_MS = 12;
/** The types of rtnetlink come in fours: NEW, DEL, GET, SET (include/uapi/linux/rtnetlink.h). */
const KINDS_OF_REQUEST = 4;
const GET = 2;

const [peers = 0, events = 0] = process.argv.slice(2).map(Number);
console.log(JSON.stringify(await run()));

async function run(): Promise<ProcessResult> {
  const counts = countWrites();
  const watched = openNodeEvents();
  const before = memory();
  const longestTurn = watchTurns();
  const cpu = process.cpuUsage();
  const startedAt = performance.now();
  const fabric = startFabric({ events: watched });
  await inTurns(benchNodes(peers), (node) => fabric.put(node));
  fabric.synced();
  const { entries } = await fabric.settled(({ isReady }) => isReady);
  const sinceStartMs = performance.now();
  const { user, system } = process.cpuUsage(cpu);
  const longestTurnMs = longestTurn();
  await sleep(CALM_MS);
  const second = await lookAgain(fabric, counts);
  const after = memory();
  const eventsMs = await tellEvents(fabric, watched);
  await fabric.stop();
  watched.close();
  return {
    ...{ entries, sinceStartMs, longestTurnMs, eventsMs, ...second },
    completeMs: sinceStartMs - startedAt,
    cpuMs: (user + system) / 1000,
    heapMiB: (after.heapUsed - before.heapUsed) / MIB,
    rssMiB: (after.rss - before.rss) / MIB,
  };
}

async function lookAgain(fabric: RunningFabric, counts: { writes: number }) {
  counts.writes = 0;
  const startedAt = performance.now();
  fabric.suspect();
  await fabric.settled();
  return { secondMs: performance.now() - startedAt, secondWrites: counts.writes };
}

async function tellEvents(fabric: RunningFabric, watched: NodeEvents): Promise<readonly number[]> {
  const times: number[] = [];
  let [wanted, onTold] = ['', () => {}];
  const watch = watched.onRoutes((told) => {
    if (told === 'overflow') throw new Error('events of single peers overflow');
    if (told.some((event) => textOf(event) === wanted)) onTold();
  });
  const tell = async (text: string, action: () => void) => {
    await sleep(BETWEEN_EVENTS_MS);
    const { promise, resolve } = Promise.withResolvers<void>();
    [wanted, onTold] = [text, resolve];
    const run = fabric.settled();
    const startedAt = performance.now();
    action();
    await within(`the kernel tells ${text}`, promise);
    times.push(performance.now() - startedAt);
    await run;
  };
  for (let i = 0; i < events; i++) {
    const n = 1 + ((i * 7) % peers);
    const [moved, home] = [benchNode(n, 1), benchNode(n)];
    const podCIDR = home.spec?.podCIDRs?.[1];
    await tell(`+${moved.status?.addresses?.[0]?.address}`, () => fabric.put(moved));
    await tell(`-${podCIDR}`, () => fabric.delete(home.metadata.name));
    await tell(`+${podCIDR}`, () => fabric.put(home));
  }
  watch.close();
  return times;
}

/** Peers by what tells them apart. */
function textOf(event: RouteEvent): string {
  const sign = event.isGone ? '-' : '+';
  if (event.kind === 'route') return sign + event.route.destination;
  return event.kind === 'forwarding' ? sign + event.entry.remote : '';
}

/** Counts requests that are to change something, on the way into the kernel. */
function countWrites(): { writes: number } {
  const counts = { writes: 0 };
  const { exchangeNetlink } = wire;
  wire.exchangeNetlink = (fd, bytes) => {
    const view = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    for (let at = 0; at < view.length; at += (view.readUInt32LE(at) + 3) & ~3) {
      if (view.readUInt16LE(at + 4) % KINDS_OF_REQUEST !== GET) counts.writes += 1;
    }
    return exchangeNetlink(fd, bytes);
  };
  return counts;
}

/** Gives the longest time between two turns of the event loop so far, and ends. */
function watchTurns(): () => number {
  let [last, longest, isOver] = [cpuMs(), 0, false];
  const note = () => {
    const now = cpuMs();
    [last, longest] = [now, Math.max(longest, now - last)];
    if (!isOver) setImmediate(note);
  };
  note();
  return () => {
    isOver = true;
    return Math.max(longest, cpuMs() - last);
  };
}

/** Of this thread. */
function cpuMs(): number {
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
}

function memory(): NodeJS.MemoryUsage {
  globalThis.gc?.();
  return process.memoryUsage();
}
