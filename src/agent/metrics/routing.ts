import type { RoutingStatus } from '../status/routing-status.ts';
import type { MetricFactory } from './factory.ts';

/** Registers the metrics of BGP; `read` is asked at each scrape. */
export function observeRouting(metrics: MetricFactory, read: () => RoutingStatus): void {
  metrics.gauge(
    'weft_bgp_session_established',
    '1 while a BGP session is established; one for each neighbour and address family',
    ['neighbour', 'address'],
    function () {
      this.reset();
      for (const { name, address, state } of read().sessions) {
        this.set({ neighbour: name, address }, Number(state === 'Established'));
      }
    },
  );
  metrics.gauge(
    'weft_bgp_routes_advertised',
    'Networks of this node that neighbours are told of',
    [],
    function () {
      this.set(read().routes.filter(({ whyNot }) => whyNot === '').length);
    },
  );
  metrics.gauge('weft_bgp_problems', 'What is wrong with BGP; weft bgp says it', [], function () {
    this.set(read().problems.length);
  });
  metrics.counter('weft_bgp_reloads_total', 'Configurations that BIRD was given', [], function () {
    this.reset();
    this.inc(read().reloads);
  });
}
