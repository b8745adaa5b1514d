/** The fabric of one node, as the agent has it, in this process. */
import { Fabric } from '../../src/fabric/fabric.ts';
import type { FabricReport } from '../../src/fabric/report.ts';
import { watchKernel } from '../../src/fabric/watch.ts';
import type { NodeEvents } from '../../src/kernel/node-events.ts';
import { openRtnl } from '../../src/kernel/rtnl.ts';
import { sysctls } from '../../src/kernel/sysctls.ts';
import type { Netns, NodeRtnl } from '../../src/kernel/types.ts';
import type { Node } from '../../src/kube/types.ts';
import { systemClock } from '../../src/util/clock.ts';
import { createLogger } from '../../src/util/log.ts';
import { openGuard } from '../support/fabric-guard.ts';
import { BENCH_NODE, BENCH_SETTINGS } from './fabric-nodes.ts';

const TIMEOUT_MS = 60_000;

export interface RunningFabric {
  readonly rtnl: NodeRtnl;
  put(node: Node): void;
  delete(name: string): void;
  /** All Nodes were put, and it is certain that there are no others. */
  synced(): void;
  /** Has it read everything back. */
  suspect(): void;
  /** Waits for the next look at everything that ends like this. */
  settled(isEnough?: (report: FabricReport) => boolean): Promise<FabricReport>;
  stop(): Promise<void>;
}

export function startFabric(options: {
  readonly events: NodeEvents;
  /** Absent: that of this process. */
  readonly netns?: Netns;
  readonly nodeName?: string;
  readonly backend?: 'auto' | 'vxlan' | 'host-gw';
}): RunningFabric {
  const { events, netns, nodeName = BENCH_NODE, backend = 'auto' } = options;
  const rtnl = openRtnl(netns);
  const guard = openGuard(events, netns);
  let onReport: (report: FabricReport) => void = () => undefined;
  const fabric = new Fabric({
    nodeName,
    kernel: { rtnl, sysctls, netns },
    settings: { ...BENCH_SETTINGS, backend },
    clock: systemClock,
    log: createLogger('error', { write: (line) => console.error(line.trim()) }),
    guard: guard.put,
    onReport: (report) => onReport(report),
  });
  const watch = watchKernel(events, fabric);
  return {
    rtnl,
    put: (node) => fabric.putNode(node),
    delete: (name) => fabric.deleteNode(name),
    synced() {
      fabric.setSynced();
      fabric.setConfirmed();
    },
    suspect: () => fabric.suspect(),
    settled(isEnough = () => true) {
      const { promise, resolve } = Promise.withResolvers<FabricReport>();
      onReport = (report) => {
        if (isEnough(report)) resolve(report);
      };
      return within('the fabric is settled', promise);
    },
    async stop() {
      watch.close();
      await fabric.stop();
      await guard.close();
      rtnl.close();
    },
  };
}

/** The promise, or an error after a minute. */
export async function within<T>(what: string, promise: Promise<T>): Promise<T> {
  const { promise: late, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(`waited in vain: ${what}`)), TIMEOUT_MS);
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
