/** Metrics of what policies allow and deny. */
import type { PolicyCounter } from '../../policy/counters.ts';
import type { MetricFactory } from './factory.ts';

export interface ObservedPolicyCounts {
  /** By policy and direction: a bounded number. */
  readonly totals: () => Promise<readonly PolicyCounter[]>;
  readonly denials: () => Readonly<Record<'told' | 'repeated' | 'suppressed' | 'lost', number>>;
}

/** Registers them; both are asked at each scrape. */
export function observePolicyCounts(metrics: MetricFactory, observed: ObservedPolicyCounts): void {
  metrics.counter(
    'weft_policy_connections_total',
    'First packets of connections that policies judged, by the policy that decided or those that isolate; they are judged again after changes. Policies beyond the first 500 or so of a node share the name ""',
    ['policy', 'tier', 'direction', 'verdict'],
    async function () {
      const totals = await observed.totals();
      this.reset();
      for (const { policy, tier, direction, allowed, denied } of totals) {
        this.inc({ policy, tier, direction, verdict: 'allowed' }, allowed);
        this.inc({ policy, tier, direction, verdict: 'denied' }, denied);
      }
    },
  );
  metrics.counter(
    'weft_policy_denied_total',
    'Denied packets that the kernel handed over, some of all: told in the log, repeated within a minute, suppressed because there were too many, lost before they were read',
    ['outcome'],
    function () {
      const { told, repeated, suppressed, lost } = observed.denials();
      this.reset();
      for (const [outcome, count] of Object.entries({ told, repeated, suppressed, lost })) {
        this.inc({ outcome }, count);
      }
    },
  );
}
