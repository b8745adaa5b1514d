import {
  A,
  ALL,
  applied,
  at,
  byPodOfNamespace,
  byPort,
  denyIngress,
  from,
  fromAt,
  inX,
  notNs,
  ns,
  one,
  pods,
  TO_A,
  TO_X,
  type UpstreamCase,
} from './words.ts';

export const INGRESS_CASES: readonly UpstreamCase[] = [
  denyIngress(1, 'TCP'),
  one(
    2,
    'a default-deny-all policy',
    applied(
      [inX(`${ALL}, policyTypes: [Ingress, Egress]`)],
      at('80/TCP', TO_X, ['x/*', '*', false]),
    ),
  ),
  one(
    3,
    'from pods within the server’s namespace by podSelector',
    applied([inX(`${A}, ${from(pods('b'))}`)], at('80/TCP', TO_A, ['x/b', 'x/a', true])),
  ),
  one(
    4,
    'ingress traffic for a target',
    applied(
      [inX(`${ALL}, ingress: []`, 'deny'), inX(`${A}, ${from(ALL)}`)],
      at('80/TCP', TO_X, ['x/*', 'x/a', true]),
    ),
  ),
  one(
    5,
    'from pods in all namespaces',
    applied([inX(`${A}, ${from('namespaceSelector: {}')}`)], at('80/TCP')),
  ),
  one(
    6,
    'only from a different namespace',
    applied([inX(`${A}, ${from(ns('y'))}`)], at('80/TCP', TO_A, ['y/*', 'x/a', true])),
  ),
  one(
    7,
    'podSelector with matchExpressions',
    applied([inX(`${A}, ${from(pods('b'))}`)], at('80/TCP', TO_A, ['x/b', 'x/a', true])),
  ),
  one(
    8,
    'namespaceSelector with matchExpressions',
    applied([inX(`${A}, ${from(ns('y'))}`)], at('80/TCP', TO_A, ['y/*', 'x/a', true])),
  ),
  one(
    9,
    'podSelector or namespaceSelector',
    applied(
      [inX(`${A}, ${from(notNs('x'), pods('b'))}`)],
      at('80/TCP', ['x/*', 'x/a', false], ['x/b', 'x/a', true]),
    ),
  ),
  one(
    10,
    'podSelector and namespaceSelector',
    applied(
      [inX(`${A}, ${from(`${notNs('x')}, ${pods('b')}`)}`)],
      at('80/TCP', TO_A, ['y/b', 'x/a', true], ['z/b', 'x/a', true]),
    ),
  ),
  one(
    11,
    'several values of both selectors',
    applied(
      [inX(`${A}, ${from(`${ns('y', 'z')}, ${pods('b', 'c')}`)}`)],
      at(
        '80/TCP',
        ['*', 'x/a', true],
        ['x/*', 'x/a', false],
        ['y/a', 'x/a', false],
        ['z/a', 'x/a', false],
      ),
    ),
  ),
  one(
    12,
    'any of several podSelectors',
    applied(
      [inX(`${A}, ${from(pods('b'), pods('c'))}`)],
      at('80/TCP', TO_A, ['x/b', 'x/a', true], ['x/c', 'x/a', true]),
    ),
  ),
  byPodOfNamespace(13, 'TCP'),
  byPort(14, 'TCP'),
  one(
    15,
    'stacked policies with overlapping podSelectors',
    applied(
      [inX(`${A}, ${fromAt(ns('y'), '81')}`)],
      at('81/TCP', TO_A, ['y/*', 'x/a', true]),
      at('80/TCP', TO_A),
    ),
    applied(
      [inX(`${A}, ${fromAt(ns('y'), '80')}`, 'second')],
      at('81/TCP', TO_A, ['y/*', 'x/a', true]),
      at('80/TCP', TO_A, ['y/*', 'x/a', true]),
    ),
  ),
  one(16, 'allow-all', applied([inX(`${ALL}, ingress: [{}]`)], at('80/TCP'), at('81/TCP'))),
  one(
    17,
    'one named port',
    applied(
      [inX(`${A}, ingress: [{ports: [{port: serve-81-tcp}]}]`)],
      at('81/TCP'),
      at('80/TCP', TO_A),
    ),
  ),
  one(
    18,
    'from a namespace on one named port',
    applied(
      [inX(`${A}, ${fromAt(ns('y'), 'serve-81-tcp')}`)],
      at('81/TCP', TO_A, ['y/*', 'x/a', true]),
      at('80/TCP', TO_A),
    ),
  ),
  one(
    19,
    'egress on one named port',
    applied(
      [inX(`${A}, policyTypes: [Egress], egress: [{ports: [{port: serve-80-tcp}]}]`)],
      at('80/TCP'),
      at('81/TCP', ['x/a', '*', false]),
    ),
  ),
  one(
    20,
    'an updated policy',
    applied([inX(`${ALL}, ingress: [{}]`)], at('81/TCP'), at('80/TCP')),
    applied([inX(`${ALL}, ingress: [{ports: [{port: 81}]}]`)], at('81/TCP'), at('80/TCP', TO_X)),
  ),
  one(
    21,
    'from an updated namespace',
    applied(
      [inX(`${A}, ${from('namespaceSelector: {matchLabels: {ns2: updated}}')}`)],
      at('80/TCP', TO_A),
    ),
    {
      act: (cluster) => cluster.putNamespace('y', { ns: 'y', ns2: 'updated' }),
      checks: [at('80/TCP', TO_A, ['y/*', 'x/a', true])],
    },
  ),
  one(
    22,
    'from an updated pod',
    applied(
      [inX(`${A}, ${from('podSelector: {matchLabels: {pod2: updated}}')}`)],
      at('80/TCP', TO_A),
    ),
    {
      act: (cluster, pod, ports) =>
        cluster.place(pod('x/b'), { labels: { pod: 'b', pod2: 'updated' }, ports }),
      checks: [at('80/TCP', TO_A, ['x/b', 'x/a', true])],
    },
  ),
  one(
    23,
    'nobody from other namespaces',
    applied([inX(`${ALL}, ${from(ALL)}`)], at('80/TCP', TO_X, ['x/*', 'x/*', true])),
  ),
  one(
    24,
    'to an updated pod',
    applied([inX('podSelector: {matchLabels: {target: isolated}}, ingress: []')], at('80/TCP')),
    {
      act: (cluster, pod, ports) =>
        cluster.place(pod('x/a'), { labels: { pod: 'a', target: 'isolated' }, ports }),
      checks: [at('80/TCP', TO_A)],
    },
  ),
];
