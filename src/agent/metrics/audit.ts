import type { MetricFactory } from './factory.ts';

/** Which part of the agent compares, and for which family; `any` where both are one. */
export interface AuditedScope {
  readonly component: 'cni' | 'proxy';
  readonly ip_family: 'IPv4' | 'IPv6' | 'any';
}

/** Counts differences between what ought to be in the kernel and what is there. */
export type AuditSink = (scope: AuditedScope, differences: number) => void;

/** Called with 0 at the start, the series is there before the first difference. */
export function createAuditSink(metrics: MetricFactory): AuditSink {
  const differences = metrics.counter(
    'weft_audit_differences_total',
    'Differences between the kernel and what it ought to hold that no notification told of',
    ['component', 'ip_family'],
  );
  return (scope, count) => differences.inc({ ...scope }, count);
}
