import { EGRESS_CASES } from './egress.ts';
import { INGRESS_CASES } from './ingress.ts';
import { byPodOfNamespace, byPort, denyIngress, type UpstreamCase } from './words.ts';

export const UPSTREAM_CASES: readonly UpstreamCase[] = [
  ...INGRESS_CASES,
  ...EGRESS_CASES,
  denyIngress(43, 'UDP'),
  byPort(44, 'UDP'),
  byPodOfNamespace(45, 'UDP'),
  denyIngress(46, 'SCTP'),
  byPort(47, 'SCTP'),
  byPodOfNamespace(48, 'SCTP'),
];
