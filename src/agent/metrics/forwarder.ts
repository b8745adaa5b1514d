/** Metrics of what the agent forwards itself: mode userspace, and NodePorts on loopback. */
import type { MetricFactory } from './factory.ts';

export interface ForwarderCounts {
  /** TCP connections and UDP flows at this moment. */
  readonly running: { readonly tcp: number; readonly udp: number };
  /** Since the start. */
  readonly forwarded: { readonly tcp: number; readonly udp: number };
  readonly refused: Readonly<Record<'verdict' | 'limit' | 'endpoints', number>>;
  /** Sockets that wait for clients, and places where there can be none. */
  readonly listening: number;
  readonly failed: number;
}

/** Registers them; `read` is asked at each scrape. */
export function observeForwarder(metrics: MetricFactory, read: () => ForwarderCounts): void {
  metrics.gauge(
    'weft_userspace_connections',
    'TCP connections and UDP flows that the agent forwards now',
    ['protocol'],
    function () {
      for (const [protocol, count] of Object.entries(read().running)) this.set({ protocol }, count);
    },
  );
  metrics.counter(
    'weft_userspace_connections_total',
    'TCP connections and UDP flows that the agent has led to an endpoint',
    ['protocol'],
    function () {
      this.reset();
      for (const [protocol, count] of Object.entries(read().forwarded)) {
        this.inc({ protocol }, count);
      }
    },
  );
  metrics.counter(
    'weft_userspace_refused_total',
    'Connections that the agent took and led nowhere: by verdict, for a limit, or as no endpoint answered',
    ['reason'],
    function () {
      this.reset();
      for (const [reason, count] of Object.entries(read().refused)) this.inc({ reason }, count);
    },
  );
  metrics.gauge(
    'weft_userspace_listeners',
    'Sockets on which the agent waits for clients of Services',
    [],
    function () {
      this.set(read().listening);
    },
  );
  metrics.gauge(
    'weft_userspace_failed_listeners',
    'Addresses and ports of Services that the agent cannot listen at',
    [],
    function () {
      this.set(read().failed);
    },
  );
}
