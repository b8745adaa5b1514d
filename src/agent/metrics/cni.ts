/** Metrics of the CNI component. */
import { exponentialBuckets } from 'prom-client';
import type { UpkeepMetrics } from '../../cni/upkeep/upkeep.ts';
import type { AuditSink } from './audit.ts';
import type { MetricFactory } from './factory.ts';

/** Around the few milliseconds an ADD takes, up to the runtime's own timeout. */
const CNI_BUCKETS = exponentialBuckets(0.0005, 2, 18);

/** One CNI request; `code` is the CNI error code, 0 for success. */
export type CniRequestSink = (verb: string, code: number, seconds: number) => void;

/** Registers the metrics of requests. */
export function createCniSink(metrics: MetricFactory): CniRequestSink {
  const requests = metrics.counter(
    'weft_cni_requests_total',
    'CNI requests answered, by verb and CNI error code (0 is success)',
    ['verb', 'code'],
  );
  const durations = metrics.histogram(
    'weft_cni_request_duration_seconds',
    'Time from a CNI request to its answer',
    ['verb'],
    CNI_BUCKETS,
  );
  return (verb, code, seconds) => {
    requests.inc({ verb, code });
    durations.observe({ verb }, seconds);
  };
}

/** Registers the metrics of leaks and repairs; differences go to `auditFound`. */
export function createUpkeepSink(metrics: MetricFactory, auditFound: AuditSink): UpkeepMetrics {
  const scope = { component: 'cni', ip_family: 'any' } as const;
  const leaks = metrics.counter(
    'weft_cni_leaked_total',
    'Things of no living attachment that were removed',
    ['kind'],
  );
  const suspected = metrics.gauge(
    'weft_cni_suspected_reservations',
    'Addresses that are reserved and not seen in use, without proof that nobody has them',
  );
  const repairs = metrics.counter(
    'weft_cni_repairs_total',
    'Things of living attachments that somebody else had removed or changed',
    ['kind'],
  );
  return {
    leaked: (kind) => leaks.inc({ kind }),
    suspected: (count) => suspected.set(count),
    repaired: (kind) => repairs.inc({ kind }),
    differed: (count) => auditFound(scope, count),
  };
}
