/**
 * The proxy under random changes while the kernel refuses transactions and somebody else meddles with
 * the tables. Afterwards they must hold what a cold start from the final objects writes.
 */

import { setTimeout as sleep } from 'node:timers/promises';
import { netnses } from '../../src/kernel/netns.ts';
import type { Node } from '../../src/kube/types.ts';
import { NftablesConnection } from '../../src/nftables/connection.ts';
import { watchTables } from '../../src/nftables/monitor.ts';
import { kernelTables } from '../../src/proxy/modes/nftables/kernel-table.ts';
import { tableSessions } from '../../src/proxy/modes/nftables/table-session.ts';
import type { ServiceProxyOptions } from '../../src/proxy/service-proxy.ts';
import { createLogger } from '../../src/util/log.ts';
import { createNetns, type TestNetns } from '../support/netns.ts';
import { createProxy } from '../support/proxy-lab.ts';
import { applyChange, coldStart } from './cold-start.ts';
import { faultyTables } from './faulty-tables.ts';
import { randomStream } from './random.ts';
import { RandomCluster } from './random-cluster.ts';
import { differences, readContent, readRules } from './table-content.ts';

export interface ChurnOptions {
  readonly seed: number;
  readonly services: number;
  readonly seconds: number;
  readonly changesPerSecond: number;
  /** Share of the kernel's answers that are failures. */
  readonly failureShare: number;
  readonly meddlesEveryMs: number;
}

export interface ChurnReport {
  readonly changes: number;
  readonly failures: number;
  readonly meddlings: number;
  /** Where the kernel differs from a cold start of the final objects. */
  readonly differences: readonly string[];
}

const TICK_MS = 10;
/** Enough for a sync that repairs what the last meddling left. */
const SETTLE_MS = 10_000;

/** The Node object of this node; its addresses answer NodePorts. */
export const churnNode: Node = {
  metadata: { name: 'node-a', namespace: '' },
  status: {
    addresses: ['192.168.0.1', 'fd00:192::1'].map((address) => ({ type: 'InternalIP', address })),
  },
};

export async function playChurn(options: ChurnOptions): Promise<ChurnReport> {
  const random = randomStream(options.seed);
  const node = createNetns('churn');
  const netns = netnses.open(node.path);
  const ownPorts = new Set<number>();
  const tables = faultyTables(
    kernelTables(() => {
      const connection = NftablesConnection.open({ netns });
      ownPorts.add(connection.portId);
      return connection;
    }),
    random,
  );
  const proxyOptions: Partial<ServiceProxyOptions> = {
    hasNodeObjects: () => true,
    minSyncPeriodMs: 20,
    syncPeriodMs: 1000,
    log: createLogger('fatal'),
  };
  const proxy = createProxy(netns, {
    ...proxyOptions,
    openSession: tableSessions(tables.open),
  });
  const watch = watchTables(netns, (event) => {
    if (event === 'overflow' || !ownPorts.has(event.byPortId)) proxy.resync();
  });
  try {
    const cluster = new RandomCluster(options.services, random);
    proxy.apply({ kind: 'node', now: churnNode });
    for (const change of cluster.fill()) applyChange(proxy, change);
    proxy.setSynced();
    await proxy.sync();
    tables.failureShare = options.failureShare;
    const counts = await churn(options, random, node, () => applyChange(proxy, cluster.next()));
    tables.failureShare = 0;
    const expected = await coldStart(cluster, churnNode, proxyOptions);
    const left = await settle(async () => {
      await proxy.sync();
      return [
        ...differences(expected.content, readContent(netns, expected.definitions)),
        ...differences(expected.rules, readRules(node, expected.definitions)),
      ];
    });
    return { ...counts, failures: tables.failures, differences: left };
  } finally {
    watch.close();
    await proxy.stop();
    netns.close();
    node.remove();
  }
}

async function churn(
  { seconds, changesPerSecond, meddlesEveryMs }: ChurnOptions,
  random: () => number,
  node: TestNetns,
  changeOne: () => void,
): Promise<{ readonly changes: number; readonly meddlings: number }> {
  const startedAt = performance.now();
  let changes = 0;
  let meddlings = 0;
  for (;;) {
    const elapsedMs = performance.now() - startedAt;
    if (elapsedMs > seconds * 1000) return { changes, meddlings };
    for (; changes < (elapsedMs / 1000) * changesPerSecond; changes++) changeOne();
    if (elapsedMs > (meddlings + 1) * meddlesEveryMs) {
      meddle(node, random);
      meddlings++;
    }
    await sleep(TICK_MS);
  }
}

/** What people and programs do to tables that are not theirs; some of it the kernel refuses. */
function meddle(node: TestNetns, random: () => number): void {
  const table = random() < 0.5 ? 'ip weft-proxy' : 'ip6 weft-proxy';
  const scripts = [
    'flush ruleset',
    `delete table ${table}`,
    `flush map ${table} service-ips`,
    `flush map ${table} endpoints`,
    `flush set ${table} cluster-ips`,
    `flush chain ${table} nat-prerouting`,
    `flush chain ${table} n3`,
    `add rule ${table} nat-prerouting counter drop`,
    `delete element ip weft-proxy service-ips { 172.30.0.${Math.floor(random() * 20)} . tcp . 80 }`,
  ];
  node.attempt('nft', [scripts[Math.floor(random() * scripts.length)] ?? '']);
}

/** Asks until nothing is left or the time is over, and gives what is left then. */
export async function settle(
  ask: () => Promise<readonly string[]>,
  limitMs = SETTLE_MS,
): Promise<readonly string[]> {
  const until = performance.now() + limitMs;
  for (;;) {
    const left = await ask().catch((thrown: Error) => [thrown.message]);
    if (left.length === 0 || performance.now() > until) return left;
    await sleep(50);
  }
}
