/** Metrics of the iptables mode, with kube-proxy's names. */
import type { PacketCounts } from '../../proxy/modes/iptables/packet-counts.ts';
import type { ObservedIptables } from '../../proxy/modes/mode.ts';
import type { MetricFactory } from './factory.ts';

/** Registers metrics of numbers of rules and of packets that rules counted. */
export function observeIptables(metrics: MetricFactory, observed: ObservedIptables): void {
  const gauge = (name: 'total' | 'last', help: string) =>
    metrics.gauge(
      `kubeproxy_sync_proxy_rules_iptables_${name}`,
      help,
      ['table', 'ip_family'],
      function () {
        for (const [family, counts] of observed.rules()) {
          for (const [table, count] of Object.entries(counts[name])) {
            this.set({ table, ip_family: `IPv${family}` }, count);
          }
        }
      },
    );
  gauge('total', 'Rules in the chains of the proxy');
  gauge('last', 'Rules that the last sync wrote');
  const counter = (name: string, help: string, read: (counts: PacketCounts) => number) =>
    metrics.counter(`kubeproxy_iptables_${name}_packets_total`, help, [], function () {
      const counts = observed.packets();
      this.reset();
      if (counts !== undefined) this.inc(read(counts));
    });
  counter(
    'ct_state_invalid_dropped',
    'Packets that conntrack calls invalid, not forwarded',
    ({ droppedInvalid }) => droppedInvalid,
  );
  counter(
    'localhost_nodeports_accepted',
    'First packets of connections to NodePorts of localhost',
    ({ loopbackNodePorts }) => loopbackNodePorts,
  );
}
