/** Metrics of the fabric, and of how far the node is on its way to pods. */
import { countFindings, type PathFinding } from '../../fabric/probe/path.ts';
import type { FabricReport } from '../../fabric/report.ts';
import type { DroppedPackets } from '../../fabric/table/fabric-table.ts';
import type { MetricFactory } from './factory.ts';

/** How far the node is. */
export interface NodeLifeState {
  /** Pods of our network may start. */
  readonly isOpen: boolean;
  /** Our network configuration is in place and the one that the runtime takes. */
  readonly isConfigured: boolean;
  readonly isConditionSet: boolean;
  readonly podsOutside: number;
  readonly podsTooLarge: number;
}

export interface ObservedFabric {
  readonly report: FabricReport;
  readonly life: NodeLifeState;
  readonly findings: readonly PathFinding[];
  readonly guard: { readonly repairs: number; readonly dropped: DroppedPackets };
}

type Value = (observed: ObservedFabric) => number;

const GAUGES: readonly (readonly [name: string, help: string, value: Value])[] = [
  [
    'weft_fabric_ready',
    '1 while all peers with pods are reached and pods may start',
    ({ report, life }) => Number(report.isReady && life.isOpen),
  ],
  ['weft_fabric_mtu_bytes', 'MTU that pods are given', ({ report }) => report.mtu ?? 0],
  [
    'weft_fabric_entries',
    'Routes, neighbours and forwarding entries in the kernel',
    ({ report }) => report.entries,
  ],
  [
    'weft_fabric_problems',
    'What is wrong with the fabric; weft status says it in words',
    ({ report }) => report.problems.length,
  ],
  [
    'weft_fabric_network_configured',
    '1 while our network configuration is the one in use',
    ({ life }) => Number(life.isConfigured),
  ],
  [
    'weft_fabric_pods_outside',
    'Pods whose addresses are not of the podCIDRs any more',
    ({ life }) => life.podsOutside,
  ],
  [
    'weft_fabric_pods_too_large',
    'Pods whose MTU is larger than what the fabric carries',
    ({ life }) => life.podsTooLarge,
  ],
  [
    'weft_fabric_smallest_path_mtu_bytes',
    'Of the ways to pods of other nodes that answer; 0 when none does',
    ({ findings }) => smallestMtu(findings),
  ],
];

const COUNTERS: readonly (readonly [name: string, help: string, value: Value])[] = [
  ['weft_fabric_writes_total', 'Entries written and deleted', ({ report }) => report.writes],
  [
    'weft_fabric_repairs_total',
    'Entries that somebody else had changed',
    ({ report }) => report.repairs,
  ],
  [
    'weft_fabric_table_repairs_total',
    'Changes of table inet weft-fabric by somebody else that were undone',
    ({ guard }) => guard.repairs,
  ],
];

/** Registers them; `read` is asked at each scrape. */
export function observeFabric(metrics: MetricFactory, read: () => ObservedFabric): void {
  for (const [name, help, value] of GAUGES) {
    metrics.gauge(name, help, [], function () {
      this.set(value(read()));
    });
  }
  for (const [name, help, value] of COUNTERS) {
    metrics.counter(name, help, [], function () {
      this.reset();
      this.inc(value(read()));
    });
  }
  metrics.counter(
    'weft_fabric_dropped_packets_total',
    'Packets that were dropped: to the port of the tunnel, by who sent them (pods of this node, strangers: others than nodes), and too many probes of paths',
    ['source'],
    function () {
      const { fromPods, fromStrangers, probes } = read().guard.dropped;
      this.reset();
      this.inc({ source: 'pods' }, Number(fromPods));
      this.inc({ source: 'strangers' }, Number(fromStrangers));
      this.inc({ source: 'probes' }, Number(probes));
    },
  );
  metrics.gauge(
    'weft_fabric_peers',
    'Other nodes, by the way to their pods',
    ['path'],
    function () {
      this.reset();
      const { peers } = read().report;
      for (const path of ['direct', 'vxlan', 'unreachable', 'none'] as const) {
        this.set({ path }, peers.filter((peer) => peer.path === path).length);
      }
    },
  );
  metrics.gauge(
    'weft_fabric_paths',
    'Ways to pods of other nodes, by what arrives: packets of the MTU of pods (full), smaller ones, nothing',
    ['arrives'],
    function () {
      this.reset();
      for (const [arrives, count] of Object.entries(countFindings(read().findings))) {
        this.set({ arrives }, count);
      }
    },
  );
}

function smallestMtu(findings: readonly PathFinding[]): number {
  const sizes = findings.flatMap(({ mtu }) => (mtu === 0 ? [] : [mtu]));
  return sizes.length === 0 ? 0 : Math.min(...sizes);
}
