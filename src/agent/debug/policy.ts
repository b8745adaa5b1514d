/** Answers about policies: which there are, what they say of a pod, whom they denied. */
import type { PolicyCounter } from '../../policy/counters.ts';
import {
  overviewOfPod,
  overviewOfPolicies,
  type PodOverview,
  type PolicyOverview,
} from '../../policy/overview.ts';
import type { PodParty } from '../../policy/parties.ts';
import { WeftError } from '../../util/errors.ts';
import type { PolicyView } from '../policy/view.ts';

export interface ListedPolicy extends PolicyOverview {
  /** Of this node, of which `pods` names the first few. */
  readonly podCount: number;
  readonly connections: readonly Pick<PolicyCounter, 'direction' | 'allowed' | 'denied'>[];
}

/** What `weft policy list` prints. */
export interface PolicyListAnswer {
  /** Why policies do not hold on this node; empty while they do. */
  readonly whyNotReady: string;
  /** Pods of this node. */
  readonly podCount: number;
  readonly policies: readonly ListedPolicy[];
}

/** What `weft policy pod` prints. */
export interface PolicyPodAnswer extends PodOverview {
  readonly isLocal: boolean;
}

const MOST_PODS_NAMED = 20;

/** All policies, with what they select and did on this node. */
export async function listPolicies({
  whyNotReady,
  world,
  isLocal,
  counters,
}: PolicyView): Promise<PolicyListAnswer> {
  const counts = Map.groupBy(await counters(), ({ tier, policy }) => `${tier} ${policy}`);
  const { parties, evaluator } = world();
  const own = parties.pods().filter(({ key }) => isLocal(key));
  const policies = overviewOfPolicies(evaluator, own).map((overview) => ({
    ...overview,
    pods: overview.pods.slice(0, MOST_PODS_NAMED),
    podCount: overview.pods.length,
    connections: (counts.get(`${overview.tier} ${overview.policy}`) ?? []).map(
      ({ direction, allowed, denied }) => ({ direction, allowed, denied }),
    ),
  }));
  return { whyNotReady: whyNotReady(), podCount: own.length, policies };
}

/** By `namespace/name`, or by the name alone where no two pods share it. Throws ENOENT. */
export function describePod(name: string, { world, isLocal }: PolicyView): PolicyPodAnswer {
  const { parties, evaluator } = world();
  const pod = name.includes('/') ? parties.resolve(name) : onlyPodNamed(name, parties.pods());
  if ('problem' in pod) throw new WeftError('ENOENT', pod.problem);
  if (pod.kind === 'pod') return { ...overviewOfPod(evaluator, pod), isLocal: isLocal(pod.key) };
  if (pod.kind === 'address') throw new WeftError('ENOENT', `${name} is no pod`);
  throw new WeftError('ENOENT', `${name} has its node's network, so policies do not select it`);
}

function onlyPodNamed(name: string, pods: readonly PodParty[]): PodParty | { problem: string } {
  const found = pods.filter(({ key, namespace }) => key === `${namespace}/${name}`);
  const [first, ...others] = found;
  if (first === undefined) return { problem: `no Pod ${name} that this node knows` };
  if (others.length === 0) return first;
  const namespaces = found.slice(0, MOST_PODS_NAMED).map(({ namespace }) => namespace);
  return {
    problem: `pods of that name are in ${namespaces.join(', ')}: ask for NAMESPACE/${name}`,
  };
}
