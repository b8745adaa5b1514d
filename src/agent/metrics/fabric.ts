/** Metrics of the fabric, and of how far the node is on its way to pods. */
import type { FabricReport } from '../../fabric/report.ts';
import type { NodeLifeState } from '../fabric/node-life.ts';
import type { MetricFactory } from './factory.ts';

export interface ObservedFabric {
  readonly report: FabricReport;
  readonly life: NodeLifeState;
}

/** Registers them; `read` is asked at each scrape. */
export function observeFabric(metrics: MetricFactory, read: () => ObservedFabric): void {
  gauge('weft_fabric_ready', '1 while all peers with pods are reached and pods may start', () =>
    Number(read().report.isReady && read().life.isOpen),
  );
  gauge('weft_fabric_mtu_bytes', 'MTU that pods are given', () => read().report.mtu ?? 0);
  gauge('weft_fabric_entries', 'Routes, neighbours and forwarding entries in the kernel', () => {
    return read().report.entries;
  });
  gauge(
    'weft_fabric_problems',
    'What is wrong with the fabric; weft status says it in words',
    () => {
      return read().report.problems.length;
    },
  );
  gauge(
    'weft_fabric_network_configured',
    '1 while our network configuration is the one in use',
    () => Number(read().life.isConfigured),
  );
  gauge('weft_fabric_pods_outside', 'Pods whose addresses are not of the podCIDRs any more', () => {
    return read().life.podsOutside;
  });
  gauge(
    'weft_fabric_pods_too_large',
    'Pods whose MTU is larger than what the fabric carries',
    () => {
      return read().life.podsTooLarge;
    },
  );
  metrics.gauge(
    'weft_fabric_peers',
    'Other nodes, by the way to their pods',
    ['path'],
    function () {
      this.reset();
      for (const path of ['direct', 'vxlan', 'unreachable', 'none'] as const) {
        this.set({ path }, read().report.peers.filter((peer) => peer.path === path).length);
      }
    },
  );
  counter('weft_fabric_writes_total', 'Entries written and deleted', () => read().report.writes);
  counter('weft_fabric_repairs_total', 'Entries that somebody else had changed', () => {
    return read().report.repairs;
  });

  function gauge(name: string, help: string, value: () => number): void {
    metrics.gauge(name, help, [], function () {
      this.set(value());
    });
  }

  function counter(name: string, help: string, value: () => number): void {
    metrics.counter(name, help, [], function () {
      this.reset();
      this.inc(value());
    });
  }
}
