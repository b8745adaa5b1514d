/** Policies and expectations of Kubernetes' suite of NetworkPolicies, numbered as its source has them. */
import type { EnforcedCluster } from '../policy-enforced.ts';
import type { LabPod } from '../policy-lab.ts';

/** From whom to whom; `x/*` is a namespace, `*` everybody. */
export type Want = readonly [from: string, to: string, isAllowed: boolean];

export interface Check {
  /** `80/TCP` */
  readonly at: string;
  /** The last one that is about a connection holds; without one it is allowed. */
  readonly wants: readonly Want[];
}

export interface Step {
  readonly act: (
    cluster: EnforcedCluster,
    pod: (name: string) => LabPod,
    ports: readonly string[],
  ) => void;
  readonly checks: readonly Check[];
}

export interface UpstreamCase {
  readonly number: number;
  readonly title: string;
  readonly steps: readonly Step[];
}

export const A = 'podSelector: {matchLabels: {pod: a}}';
export const ALL = 'podSelector: {}';
export const TO_A: Want = ['*', 'x/a', false];
export const TO_X: Want = ['*', 'x/*', false];

/** A policy in x. */
export const inX = (spec: string, name = 'p') =>
  `{kind: NetworkPolicy, metadata: {namespace: x, name: ${name}}, spec: {${spec}}}`;
export const pods = (...names: string[]) =>
  `podSelector: {matchExpressions: [{key: pod, operator: In, values: [${names}]}]}`;
export const ns = (...names: string[]) =>
  `namespaceSelector: {matchExpressions: [{key: ns, operator: In, values: [${names}]}]}`;
export const notNs = (name: string) =>
  `namespaceSelector: {matchExpressions: [{key: ns, operator: NotIn, values: [${name}]}]}`;
export const from = (...peers: string[]) =>
  `ingress: [{from: [${peers.map((peer) => `{${peer}}`)}]}]`;
export const to = (...peers: string[]) =>
  `policyTypes: [Egress], egress: [{to: [${peers.map((peer) => `{${peer}}`)}]}]`;
export const fromAt = (peer: string, port: string) =>
  `ingress: [{from: [{${peer}}], ports: [{port: ${port}}]}]`;
export const at = (what: string, ...wants: Want[]): Check => ({ at: what, wants });

export function applied(policies: readonly string[], ...checks: readonly Check[]): Step {
  return {
    act: (cluster) => {
      for (const policy of policies) cluster.putPolicy(policy);
    },
    checks,
  };
}

export const one = (number: number, title: string, ...steps: readonly Step[]): UpstreamCase => ({
  number,
  title,
  steps,
});

/** Over TCP as in the suite, or the protocol that it repeats them with. */
export function denyIngress(number: number, protocol: string): UpstreamCase {
  return one(
    number,
    `a default-deny-ingress policy, ${protocol}`,
    applied([inX(`${ALL}, ingress: []`)], at(`80/${protocol}`, TO_X)),
  );
}

export function byPort(number: number, protocol: string): UpstreamCase {
  const ports = `ports: [{protocol: ${protocol}, port: 81}]`;
  return one(
    number,
    `based on ports, ${protocol}`,
    applied(
      [inX(`${A}, ingress: [{from: [{${ns('y')}}], ${ports}}]`)],
      at(`81/${protocol}`, TO_A, ['y/*', 'x/a', true]),
      at(`80/${protocol}`, TO_A),
    ),
  );
}

export function byPodOfNamespace(number: number, protocol: string): UpstreamCase {
  return one(
    number,
    `only from a pod in a different namespace, ${protocol}`,
    applied(
      [inX(`${A}, ${from(`${ns('y')}, ${pods('a')}`)}`)],
      at(`80/${protocol}`, TO_A, ['y/a', 'x/a', true]),
    ),
  );
}

export const FROM_A: Want = ['x/a', '*', false];
