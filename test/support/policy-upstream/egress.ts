import {
  A,
  ALL,
  applied,
  at,
  FROM_A,
  from,
  inX,
  ns,
  one,
  pods,
  TO_A,
  TO_X,
  to,
  type UpstreamCase,
} from './words.ts';

export const EGRESS_CASES: readonly UpstreamCase[] = [
  one(
    25,
    'no egress from pods by podSelector',
    applied([inX(`${A}, policyTypes: [Egress]`)], at('80/TCP', FROM_A)),
  ),
  one(
    26,
    'no egress from a namespace',
    applied([inX(`${ALL}, policyTypes: [Egress]`)], at('80/TCP', ['x/*', '*', false])),
  ),
  one(
    27,
    'ingress and egress together',
    applied(
      [
        inX(
          `${A}, policyTypes: [Ingress, Egress], ${from(pods('b'))}, egress: [{ports: [{port: 80}]}]`,
        ),
      ],
      at('80/TCP', TO_A, ['x/b', 'x/a', true]),
      at('81/TCP', TO_A, ['x/b', 'x/a', true], FROM_A),
    ),
  ),
  one(
    28,
    'egress denied on the client’s side though the server allows it',
    applied(
      [
        inX(`${A}, ${to(`${ns('y')}, ${pods('a', 'b')}`)}`, 'egress'),
        '{kind: NetworkPolicy, metadata: {namespace: y, name: in}, spec: {podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {ns: x}}, podSelector: {matchLabels: {pod: a}}}]}]}}',
      ],
      at('80/TCP', ['*', 'y/*', false], FROM_A, ['x/a', 'y/a', true], ['x/a', 'y/b', true]),
    ),
  ),
  one(
    29,
    'egress to a server in a different namespace by both selectors',
    applied(
      [inX(`${A}, ${to(`${ns('y')}, ${pods('a')}`)}`)],
      at('80/TCP', FROM_A, ['x/a', 'y/a', true]),
    ),
  ),
  one(
    30,
    'any port of one protocol',
    applied(
      [inX(`${A}, ingress: [{ports: [{protocol: TCP}]}]`)],
      at('80/TCP'),
      at('81/TCP'),
      at('80/UDP', TO_A),
    ),
  ),
  one(
    31,
    'several ingress policies, one that allows all',
    applied(
      [inX(`${A}, ingress: [{from: [{${ns('y')}}]}]`)],
      at('80/TCP', TO_A, ['y/*', 'x/a', true]),
    ),
    applied([inX(`${A}, ingress: [{}]`, 'all')], at('80/TCP')),
  ),
  one(
    32,
    'several egress policies, one that allows all',
    applied([inX(`${A}, ${to(ns('y'))}`)], at('80/TCP', FROM_A, ['x/a', 'y/*', true])),
    applied([inX(`${A}, policyTypes: [Egress], egress: [{}]`, 'all')], at('80/TCP')),
  ),
  one(
    33,
    'nothing is enforced once it is deleted',
    applied(
      [inX(`${ALL}, policyTypes: [Ingress, Egress]`)],
      at('80/TCP', TO_X, ['x/*', '*', false]),
    ),
    { act: (cluster) => cluster.deletePolicies(), checks: [at('80/TCP'), at('81/UDP')] },
  ),
  one(34, 'egress to a CIDR block', {
    act: (cluster, pod) => {
      const { ips } = pod('y/b');
      cluster.putPolicy(
        inX(`${A}, ${to(`ipBlock: {cidr: ${ips[4]}/32}`, `ipBlock: {cidr: "${ips[6]}/128"}`)}`),
      );
    },
    checks: [at('80/TCP', FROM_A, ['x/a', 'y/b', true])],
  }),
  one(35, 'egress to a CIDR block with an exception', {
    act: (cluster, pod) => {
      const { ips } = pod('y/b');
      const v4 = `ipBlock: {cidr: 10.244.0.0/16, except: [${ips[4]}/32]}`;
      const v6 = `ipBlock: {cidr: "fd00:244::/32", except: ["${ips[6]}/128"]}`;
      cluster.putPolicy(inX(`${A}, ${to(v4, v6)}`));
    },
    checks: [at('80/TCP', ['x/a', 'y/b', false])],
  }),
  one(36, 'an address that one block excepts and another has', {
    act: (cluster, pod) => {
      const { ips } = pod('y/b');
      const v4 = `ipBlock: {cidr: 10.244.2.0/24, except: [${ips[4]}/32]}`;
      const v6 = `ipBlock: {cidr: "fd00:244:2::/64", except: ["${ips[6]}/128"]}`;
      const own = [`ipBlock: {cidr: ${ips[4]}/32}`, `ipBlock: {cidr: "${ips[6]}/128"}`];
      cluster.putPolicy(inX(`${A}, ${to(v4, v6)}`));
      cluster.putPolicy(inX(`${A}, ${to(...own)}`, 'own'));
    },
    checks: [
      at(
        '80/TCP',
        FROM_A,
        ['x/a', 'y/b', true],
        ['x/a', 'x/c', true],
        ['x/a', 'y/a', true],
        ['x/a', 'z/c', true],
      ),
    ],
  }),
  one(
    37,
    'ingress and egress independently of each other',
    applied([inX(`${A}, policyTypes: [Egress], egress: []`)], at('80/TCP', FROM_A)),
    applied([inX(`${A}, policyTypes: [Ingress], ingress: []`)], at('80/TCP', TO_A)),
    applied([inX(`${A}, policyTypes: [Egress], egress: [{}]`)], at('80/TCP')),
  ),
  one(
    38,
    'SCTP is not taken for TCP',
    applied(
      [inX(`${A}, ingress: [{ports: [{protocol: SCTP, port: 81}]}]`)],
      at('81/TCP', TO_A),
      at('81/SCTP'),
    ),
  ),
  one(
    39,
    'pods that a policy of SCTP selects are isolated',
    applied(
      [inX(`${A}, ingress: [{ports: [{protocol: SCTP, port: 80}]}]`)],
      at('81/TCP', TO_A),
      at('80/UDP', TO_A),
    ),
  ),
  one(
    40,
    'no TCP where only UDP is allowed',
    applied(
      [inX(`${A}, ingress: [{ports: [{protocol: UDP, port: 81}]}]`)],
      at('81/TCP', TO_A),
      at('81/UDP'),
    ),
  ),
  one(
    41,
    'the namespace’s own label with matchLabels',
    applied(
      [inX(`${A}, ${from('namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: y}}')}`)],
      at('80/TCP', TO_A, ['y/*', 'x/a', true]),
    ),
  ),
  one(
    42,
    'the namespace’s own label with matchExpressions',
    applied(
      [
        inX(
          `${A}, ${to('namespaceSelector: {matchExpressions: [{key: kubernetes.io/metadata.name, operator: NotIn, values: [y]}]}')}`,
        ),
      ],
      at('80/TCP', ['x/a', 'y/*', false]),
    ),
  ),
];
