/** Source ranges, traffic policies and terminating endpoints. */
import type { Service } from '../../../src/kube/types.ts';
import { type EndpointText, service } from '../proxy-objects.ts';
import type { FlowGroup, From, Want } from './flow.ts';
import { masqueraded, own } from './flow.ts';
import { LB_ON_NODE, type Net } from './net.ts';
import { endpointsOf, loadBalancer, sliceOf, withConditions } from './objects.ts';

export function policyGroups(net: Net): readonly FlowGroup[] {
  return [
    sourceRanges(net),
    externalPolicy(net, 'Local'),
    externalPolicy(net, 'Cluster'),
    internalPolicy(net),
    terminating(net, 'Local'),
    terminating(net, 'Cluster'),
  ];
}

/** Only one host outside and the node may use the load balancer addresses. */
function sourceRanges(net: Net): FlowGroup {
  const length = net.family === 4 ? 32 : 128;
  const spec = {
    loadBalancerSourceRanges: [` ${net.outside}/${length} `, `${net.node}/${length}`],
  };
  const [first, onNode] = [net.lb(1), net.lb(LB_ON_NODE)];
  const nodePort = 30010;
  const balanced = loadBalancer('ranges', net, 10, { nodePort, ips: [first, onNode], spec });
  const empty = loadBalancer('no-range', net, 11, { nodePort: 30011, ips: [net.lb(11)], spec });
  const want = masqueraded('a');
  return {
    name: 'source ranges',
    settings: 'base',
    services: [balanced, empty],
    slices: [sliceOf('ranges', endpointsOf(net, 'a'))],
    flows: [
      { name: 'pod to clusterIP', from: 'client', to: net.vip(10), port: 80, want: own('a') },
      { name: 'NodePort has no ranges', from: 'stranger', to: net.outer, port: nodePort, want },
      { name: 'allowed host', from: 'outside', to: first, port: 80, want },
      { name: 'allowed host, other address', from: 'outside', to: onNode, port: 80, want },
      { name: 'other host', from: 'stranger', to: first, port: 80, want: 'drop' },
      { name: 'other host, other address', from: 'stranger', to: onNode, port: 80, want: 'drop' },
      { name: 'pod', from: 'client', to: first, port: 80, want: 'drop' },
      { name: 'pod, other address', from: 'client', to: onNode, port: 80, want: 'drop' },
      { name: 'node', from: 'nodeAddress', to: first, port: 80, want },
      { name: 'node, other address', from: 'nodeAddress', to: onNode, port: 80, want },
      { name: 'node by the balancer address', from: 'nodeAsLb', to: onNode, port: 80, want },
      { name: 'the same to the other', from: 'nodeAsLb', to: first, port: 80, want },
      {
        name: 'other host, no endpoints',
        from: 'stranger',
        to: net.lb(11),
        port: 80,
        want: 'drop',
      },
      { name: 'allowed, no endpoints', from: 'outside', to: net.lb(11), port: 80, want: 'reject' },
    ],
  };
}

function externalPolicy(net: Net, policy: 'Local' | 'Cluster'): FlowGroup {
  const n = policy === 'Local' ? 20 : 21;
  const name = `external-${policy.toLowerCase()}`;
  const nodePort = 30000 + n;
  const external = net.external(n);
  const exposed = loadBalancer(name, net, n, {
    nodePort,
    ips: [net.lb(n)],
    spec: { externalTrafficPolicy: policy, externalIPs: [external] },
  });
  const isLocal = policy === 'Local';
  const fromPod = isLocal ? own('a', 'remote') : masqueraded('a', 'remote');
  const fromOutside = isLocal ? own('a') : masqueraded('a', 'remote');
  const destinations = [
    { what: 'external IP', to: external, port: 80 },
    { what: 'load balancer', to: net.lb(n), port: 80 },
    { what: 'NodePort', to: net.node, port: nodePort },
  ];
  return {
    name: `externalTrafficPolicy ${policy}`,
    settings: 'base',
    services: [exposed],
    slices: [sliceOf(name, endpointsOf(net, 'a', 'remote'))],
    flows: [
      {
        name: 'pod to clusterIP',
        from: 'client',
        to: net.vip(n),
        port: 80,
        want: own('a', 'remote'),
      },
      ...destinations.flatMap(({ what, to, port }) => [
        { name: `pod to ${what}`, from: 'client' as const, to, port, want: fromPod },
        { name: `outside to ${what}`, from: 'outside' as const, to, port, want: fromOutside },
      ]),
    ],
  };
}

function internalPolicy(net: Net): FlowGroup {
  const cases: readonly {
    readonly name: string;
    readonly policy: 'Local' | 'Cluster';
    readonly endpoints: readonly ('a' | 'b' | 'remote')[];
    readonly want: Want;
  }[] = [
    {
      name: 'cluster',
      policy: 'Cluster',
      endpoints: ['a', 'b', 'remote'],
      want: own('a', 'b', 'remote'),
    },
    { name: 'one-local', policy: 'Local', endpoints: ['a', 'remote'], want: own('a') },
    { name: 'two-local', policy: 'Local', endpoints: ['a', 'b', 'remote'], want: own('a', 'b') },
    { name: 'none-local', policy: 'Local', endpoints: ['remote'], want: 'drop' },
    { name: 'none', policy: 'Local', endpoints: [], want: 'reject' },
  ];
  return {
    name: 'internalTrafficPolicy',
    settings: 'base',
    services: cases.map(({ name, policy }, i) =>
      service(`internal-${name}`, net.vip(30 + i), { internalTrafficPolicy: policy }),
    ),
    slices: cases.flatMap(({ name, endpoints }) =>
      endpoints.length === 0 ? [] : [sliceOf(`internal-${name}`, endpointsOf(net, ...endpoints))],
    ),
    flows: cases.map(({ name, want }, i) => ({
      name,
      from: 'client',
      to: net.vip(30 + i),
      port: 80,
      want,
    })),
  };
}

interface TerminatingCase {
  readonly name: string;
  readonly endpoints: readonly EndpointText[];
  /** A pod to the clusterIP, a host outside to the load balancer. */
  readonly wants: readonly [Want, Want];
}

/** With both policies Local, or both Cluster. */
function terminating(net: Net, policy: 'Local' | 'Cluster'): FlowGroup {
  const first = policy === 'Local' ? 40 : 50;
  const cases = policy === 'Local' ? terminatingLocal(net) : terminatingCluster(net);
  const nameOf = ({ name }: TerminatingCase) => `terminating-${policy.toLowerCase()}-${name}`;
  const nodePortOf = (i: number) => 30000 + first + i;
  const flow = (name: string, from: From, to: string, port: number, want: Want) => ({
    name,
    from,
    to,
    port,
    want,
  });
  return {
    name: `terminating endpoints, policy ${policy}`,
    settings: 'base',
    services: cases.map((row, i): Service => {
      const options = { nodePort: nodePortOf(i), ips: [net.lb(first + i)] };
      const spec = { externalTrafficPolicy: policy };
      return loadBalancer(nameOf(row), net, first + i, { ...options, spec });
    }),
    slices: cases.flatMap((row) =>
      row.endpoints.length === 0 ? [] : [sliceOf(nameOf(row), row.endpoints)],
    ),
    flows: cases.flatMap(({ name, wants: [inside, outside] }, i) => [
      flow(`${name}: pod to clusterIP`, 'client', net.vip(first + i), 80, inside),
      flow(`${name}: outside to load balancer`, 'outside', net.lb(first + i), 80, outside),
      flow(`${name}: outside to NodePort`, 'outside', net.outer, nodePortOf(i), outside),
    ]),
  };
}

function terminatingLocal(net: Net): readonly TerminatingCase[] {
  const [ready, draining, gone] = conditionsOf(net);
  return [
    {
      name: 'ready',
      endpoints: [...ready('a'), ...draining('b'), ...ready('remote')],
      wants: [own('a', 'remote'), own('a')],
    },
    { name: 'draining', endpoints: [...draining('a', 'b')], wants: [own('a', 'b'), own('a', 'b')] },
    { name: 'draining-elsewhere', endpoints: draining('remote'), wants: [own('remote'), 'drop'] },
    { name: 'not-serving', endpoints: gone('a', 'remote'), wants: ['reject', 'reject'] },
    { name: 'deleted', endpoints: [], wants: ['reject', 'reject'] },
  ];
}

function terminatingCluster(net: Net): readonly TerminatingCase[] {
  const [ready, draining, gone] = conditionsOf(net);
  return [
    {
      name: 'ready',
      endpoints: [...ready('a'), ...draining('b'), ...ready('remote')],
      wants: [own('a', 'remote'), masqueraded('a', 'remote')],
    },
    {
      name: 'draining',
      endpoints: draining('a', 'remote'),
      wants: [own('a', 'remote'), masqueraded('a', 'remote')],
    },
    {
      name: 'draining-elsewhere',
      endpoints: [...draining('remote'), ...gone('a')],
      wants: [own('remote'), masqueraded('remote')],
    },
    { name: 'not-serving', endpoints: gone('a', 'remote'), wants: ['reject', 'reject'] },
    { name: 'deleted', endpoints: [], wants: ['reject', 'reject'] },
  ];
}

function conditionsOf(net: Net) {
  const making =
    (ready: boolean, serving: boolean, isTerminating: boolean) =>
    (...names: readonly ('a' | 'b' | 'remote')[]) =>
      withConditions(endpointsOf(net, ...names), { ready, serving, terminating: isTerminating });
  return [
    making(true, true, false),
    making(false, true, true),
    making(false, false, true),
  ] as const;
}
