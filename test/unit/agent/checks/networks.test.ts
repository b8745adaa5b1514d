import { expect, test } from 'vitest';
import { NETWORK_CHECKS, type NetworkFacts } from '../../../../src/agent/checks/networks.ts';
import { parseCidr } from '../../../../src/net/cidr.ts';
import { parseIP } from '../../../../src/net/ip.ts';
import { judge } from './judge.ts';

const cidrs = (...texts: readonly string[]) => texts.map((text) => parseCidr(text));
const pod = (...texts: readonly string[]) => ({
  name: 'default/web',
  addresses: texts.map((text) => parseIP(text)),
});
const FACTS: NetworkFacts = {
  clusterCIDRs: cidrs('10.244.0.0/16'),
  podCIDRs: cidrs('10.244.1.0/24', 'fd00::/64'),
  serviceCIDRs: cidrs('10.96.0.0/12'),
  pods: [pod('10.244.1.7', 'fd00::7')],
  differing: [],
};
const CURE = 'set proxy.clusterCIDR (--cluster-cidr) to the networks that all pods are of';

type Row = [string, Partial<NetworkFacts>, string | undefined];

test.each<Row>([
  ['good', {}, 'ok: clusterCIDR 10.244.0.0/16 holds the pods of this node'],
  [
    'bad',
    { clusterCIDRs: cidrs('10.0.0.0/16') },
    `failing: clusterCIDR 10.0.0.0/16 excludes the podCIDR 10.244.1.0/24 of this node and 10.244.1.7 of pod default/web | ${CURE}`,
  ],
  [
    'pods of another network than the podCIDR',
    { pods: [pod('192.168.0.7')] },
    `failing: clusterCIDR 10.244.0.0/16 excludes 192.168.0.7 of pod default/web | ${CURE}`,
  ],
  ['something else tells pods', { clusterCIDRs: [] }, undefined],
  ['nothing to compare with', { podCIDRs: [], pods: [] }, undefined],
])('cluster-cidr: %s', (_, facts, want) => {
  expect(judge(NETWORK_CHECKS, 'cluster-cidr', { ...FACTS, ...facts })).toBe(want);
});

test.each<Row>([
  ['good', {}, 'ok: networks of Services and pods are apart'],
  [
    'bad',
    { serviceCIDRs: cidrs('10.244.0.0/20') },
    'failing: the network 10.244.0.0/20 of Services and the network 10.244.1.0/24 of pods overlap | ' +
      'give one of them another network: kube-apiserver --service-cluster-ip-range, or the podCIDRs',
  ],
  ['not known', { serviceCIDRs: [] }, undefined],
])('service-cidr: %s', (_, facts, want) => {
  expect(judge(NETWORK_CHECKS, 'service-cidr', { ...FACTS, ...facts })).toBe(want);
});

test.each<Row>([
  ['good', {}, 'ok: pods have the addresses and routes that they were given'],
  [
    'bad',
    { differing: ['pod default/web: the route to 0.0.0.0/0 is missing', 'another'] },
    'warning: pod default/web: the route to 0.0.0.0/0 is missing, and 1 more | ' +
      'put it back inside of the pod, or have the pod made anew',
  ],
  ['no pods', { pods: [] }, undefined],
])('pod-insides: %s', (_, facts, want) => {
  expect(judge(NETWORK_CHECKS, 'pod-insides', { ...FACTS, ...facts })).toBe(want);
});
