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
  observeAddresses(metrics, read);
}

function observeAddresses(metrics: MetricFactory, read: () => RoutingStatus): void {
  metrics.gauge(
    'weft_load_balancer_addresses_answered',
    'Load balancer addresses that this node answers for on its links',
    [],
    function () {
      this.set(read().announcer?.addresses.length ?? 0);
    },
  );
  metrics.gauge(
    'weft_address_pool_addresses',
    'Addresses of a pool for load balancers',
    ['pool'],
    function () {
      this.reset();
      for (const { name, size } of read().pools?.pools ?? [])
        this.set({ pool: name }, Number(size));
    },
  );
  metrics.gauge(
    'weft_address_pool_used',
    'Addresses of a pool that Services have',
    ['pool'],
    function () {
      this.reset();
      for (const { name, used } of read().pools?.pools ?? []) this.set({ pool: name }, used);
    },
  );
}
