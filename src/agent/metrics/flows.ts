/** Metrics of the feed of flows. */
import type { MetricFactory } from './factory.ts';

export interface FlowCountSink {
  readonly counted: (kind: string, events: number) => void;
  readonly lost: (events: number) => void;
}

export function createFlowSink(metrics: MetricFactory): FlowCountSink {
  const events = metrics.counter(
    'weft_flow_events_total',
    'Connections read while somebody follows flows: live at the beginning, new, ended, denied, refused',
    ['kind'],
  );
  const lost = metrics.counter(
    'weft_flow_events_lost_total',
    'Events of connections that the kernel dropped because they were not read in time',
  );
  return {
    counted: (kind, count) => events.inc({ kind }, count),
    lost: (count) => lost.inc(count),
  };
}
