/** What happens to nodes of a cluster with route reflectors, and how long it takes. */
import { setTimeout as sleep } from 'node:timers/promises';
import { BgpCluster, numbersFrom } from '../support/bgp-cluster.ts';

/** Milliseconds until the kernels of all nodes are right. */
export interface BgpTimes {
  readonly start: number;
  readonly join: number;
  readonly loss: number;
  readonly back: number;
  readonly rebootOfTen: number;
  readonly reflectorBack: number;
}

export const BGP_EVENTS: Readonly<Record<keyof BgpTimes, string>> = {
  start: 'all start at once',
  join: 'a new node joins',
  loss: 'a node is lost',
  back: 'its link is back',
  rebootOfTen: 'ten boot at once',
  reflectorBack: 'a reflector is back',
};

const REFLECTORS = 2;
const MOST_REBOOTING = 10;
/** Timers of sessions that just came up are to run out: they differ from those of a quiet cluster. */
const QUIET_MS = 3000;

/** Each round is another node's. */
export async function measureBgp(nodes: number, rounds: number): Promise<readonly BgpTimes[]> {
  const cluster = new BgpCluster(REFLECTORS);
  try {
    const last = nodes - rounds;
    cluster.build(numbersFrom(1, last));
    const start = await elapsed(async () => {
      await cluster.join(numbersFrom(1, last));
      await cluster.converged();
    });
    const runs: BgpTimes[] = [];
    for (const n of numbersFrom(last + 1, nodes)) {
      console.error(`BGP: round ${n - last} of ${rounds}`);
      runs.push({ start, ...(await eventsOf(cluster, n)) });
    }
    return runs;
  } finally {
    await cluster.remove();
  }
}

async function eventsOf(cluster: BgpCluster, n: number): Promise<Omit<BgpTimes, 'start'>> {
  await sleep(QUIET_MS);
  cluster.build([n]);
  const join = await elapsed(async () => {
    await cluster.join([n]);
    await cluster.converged();
  });
  const all = numbersFrom(1, n);
  const others = numbersFrom(1, n - 1);
  await sleep(QUIET_MS);
  const loss = await elapsed(async () => {
    cluster.unplug(n);
    await cluster.converged(others);
  });
  await sleep(QUIET_MS);
  const back = await elapsed(async () => {
    cluster.plug(n);
    await cluster.converged(all);
  });
  const rebooting = all.slice(REFLECTORS).slice(-MOST_REBOOTING);
  const rebootOfTen = await reboot(cluster, rebooting, all);
  const reflectorBack = await reboot(cluster, [1], all);
  return { join, loss, back, rebootOfTen, reflectorBack };
}

/** From their start; before it everybody knows that they are gone. */
async function reboot(
  cluster: BgpCluster,
  numbers: readonly number[],
  all: readonly number[],
): Promise<number> {
  await sleep(QUIET_MS);
  const left = all.filter((n) => !numbers.includes(n));
  await cluster.crash(numbers);
  await cluster.converged(left);
  await sleep(QUIET_MS);
  return elapsed(async () => {
    await cluster.boot(numbers);
    await cluster.converged(all);
  });
}

async function elapsed(work: () => Promise<void>): Promise<number> {
  const startedAt = performance.now();
  await work();
  return performance.now() - startedAt;
}
