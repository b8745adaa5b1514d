/** Metrics of the enforcement of policies. */
import type { PolicyFigures } from '../status/policy-status.ts';
import type { MetricFactory } from './factory.ts';

type Value = (figures: PolicyFigures) => number;

const GAUGES: readonly (readonly [name: string, help: string, value: Value])[] = [
  [
    'weft_policy_ready',
    '1 while policies hold on this node: they were read, are in the kernel, and nothing passes by them',
    ({ reason }) => Number(reason === ''),
  ],
  [
    'weft_policy_pods',
    'Pods of this node as the CNI has them on record',
    ({ localPods }) => localPods,
  ],
  ['weft_policy_subjects', 'Addresses of pods that policies select', ({ subjects }) => subjects],
  ['weft_policy_elements', 'Elements of table inet weft-policy', ({ elements }) => elements],
  [
    'weft_policy_generation',
    'What established connections are stamped with; they are judged again when it changes',
    ({ generation }) => generation,
  ],
  [
    'weft_policy_last_commit_seconds',
    'How long the last change took, from what was told to the kernel',
    ({ lastCommitMs = 0 }) => lastCommitMs / 1_000,
  ],
  [
    'weft_policy_over_budget',
    'Policies that fail closed because they cost more than there is for them',
    ({ overBudget }) => overBudget,
  ],
  [
    'weft_policy_problems',
    'What is wrong with policies; weft status says it in words',
    ({ problems }) => problems.length,
  ],
];

/** Registers them; `read` is asked at each scrape. */
export function observePolicy(metrics: MetricFactory, read: () => PolicyFigures): void {
  for (const [name, help, value] of GAUGES) {
    metrics.gauge(name, help, [], function () {
      this.set(value(read()));
    });
  }
  const help = 'Policies that are enforced, by kind';
  metrics.gauge('weft_policy_policies', help, ['kind'], function () {
    const { policies } = read();
    this.set({ kind: 'NetworkPolicy' }, policies.network);
    this.set({ kind: 'ClusterNetworkPolicy' }, policies.cluster);
  });
  metrics.counter(
    'weft_policy_repairs_total',
    'Changes of table inet weft-policy by somebody else that were undone',
    [],
    function () {
      this.reset();
      this.inc(read().repairs);
    },
  );
}

/** Told of each pod whose start had to wait for what decides about it. */
export type PodWaitSink = (seconds: number, isInTime: boolean) => void;

const WAIT_BUCKETS = [0.001, 0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10];

export function createPodWaitSink(metrics: MetricFactory): PodWaitSink {
  const waits = metrics.histogram(
    'weft_policy_pod_wait_seconds',
    'How long starts of pods waited for what decides about them, and whether in vain',
    ['result'],
    WAIT_BUCKETS,
  );
  return (seconds, isInTime) => waits.observe({ result: isInTime ? 'known' : 'late' }, seconds);
}
