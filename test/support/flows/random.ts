/** Services with any mixture of features, and flows to them, from a seed. */
import type { Service } from '../../../src/kube/types.ts';
import { type EndpointText, service } from '../proxy-objects.ts';
import type { Flow, FlowGroup, From, SettingsName } from './flow.ts';
import type { Net } from './net.ts';
import { endpointsOf, sliceOf, withConditions } from './objects.ts';

const SERVICES = 40;
const FLOWS = 150;
/** Few, so that Services meet on them; the second one the node has, too. */
const BALANCERS = 6;
const NODE_PORTS = 24;
const FIRST_NODE_PORT = 30_200;
const PORTS = [80, 81];

/** Numbers from 0 up to `below` - 1; the same seed gives the same ones (mulberry32). */
export type Draw = (below: number) => number;

export function drawing(seed: number): Draw {
  let state = seed;
  return (below) => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

/** The flows want nothing yet: the model says what. */
export function randomGroup(net: Net, settings: SettingsName, draw: Draw): FlowGroup {
  const services = Array.from({ length: SERVICES }, (_, i) => randomService(net, i, draw));
  const slices = services.flatMap(({ metadata }) => {
    const endpoints = randomEndpoints(net, draw);
    return endpoints.length === 0 ? [] : [sliceOf(metadata.name, endpoints)];
  });
  const flows = Array.from({ length: FLOWS }, (_, i) => randomFlow(net, i, draw));
  return { name: 'random', settings, services, slices, flows };
}

function randomService(net: Net, i: number, draw: Draw): Service {
  const type = one(draw, ['ClusterIP', 'NodePort', 'LoadBalancer', 'LoadBalancer'] as const);
  const port = one(draw, PORTS);
  const nodePort = type === 'ClusterIP' ? 0 : FIRST_NODE_PORT + draw(NODE_PORTS);
  const annotations: Record<string, string> = {};
  if (draw(4) === 0) annotations['weft.dev/weights'] = one(draw, weightsOf(net));
  if (draw(5) === 0) annotations['weft.dev/balance'] = 'source-hash';
  const spec = {
    type,
    ports: [{ name: 'http', protocol: 'TCP', port, nodePort }],
    internalTrafficPolicy: one(draw, ['Cluster', 'Cluster', 'Local'] as const),
    externalTrafficPolicy: one(draw, ['Cluster', 'Local'] as const),
    externalIPs: draw(4) === 0 ? [net.external(1 + draw(4))] : [],
    loadBalancerSourceRanges:
      draw(3) === 0 ? [one(draw, rangesOf(net)), one(draw, rangesOf(net))] : [],
  } as const;
  const ingress =
    type === 'LoadBalancer'
      ? [{ ip: net.lb(1 + draw(BALANCERS)) }, { ip: net.lb(1 + draw(BALANCERS)) }]
      : [];
  return {
    ...service(`random-${i}`, net.vip(100 + i), spec, annotations),
    status: { loadBalancer: { ingress } },
  };
}

function randomEndpoints(net: Net, draw: Draw): readonly EndpointText[] {
  return (['a', 'b', 'remote'] as const).flatMap((name): EndpointText[] => {
    const endpoint = endpointsOf(net, name);
    switch (draw(6)) {
      case 0:
      case 1:
        return [];
      case 2:
        return withConditions(endpoint, { ready: false, serving: true, terminating: true });
      case 3:
        return withConditions(endpoint, {
          ready: false,
          serving: draw(2) === 0,
          terminating: false,
        });
      default:
        return endpoint;
    }
  });
}

function randomFlow(net: Net, i: number, draw: Draw): Flow {
  // Not nodeAddress: on the way to the other node it is what masquerading would give.
  const froms: readonly From[] = ['client', 'podA', 'node', 'nodeAsLb', 'outside', 'stranger'];
  const from = one(draw, froms);
  const [to, port] = one(draw, [
    [net.vip(100 + draw(SERVICES)), one(draw, PORTS)],
    [net.lb(1 + draw(BALANCERS)), one(draw, PORTS)],
    [net.external(1 + draw(4)), one(draw, PORTS)],
    [
      one(draw, [net.node, net.second, net.outer, net.bridge, net.lb(2)]),
      FIRST_NODE_PORT + draw(NODE_PORTS),
    ],
  ] as const);
  return { name: `${i}: ${from} to ${to} port ${port}`, from, to, port, want: 'pass' };
}

function weightsOf(net: Net): readonly string[] {
  return ['node/node-b=0', `${net.podA}=3`, `${net.podA}=0, node/node-b=2`, `${net.podB}=0`];
}

function rangesOf({ family, outside, stranger, node, clusterCIDR }: Net): readonly string[] {
  const length = family === 4 ? 32 : 128;
  const network = family === 4 ? '203.0.113.0/24' : '2001:db8::/64';
  return [
    `${outside}/${length}`,
    `${stranger}/${length}`,
    `${node}/${length}`,
    network,
    clusterCIDR,
  ];
}

function one<T>(draw: Draw, choices: readonly T[]): T {
  // The index is below the length, and no list of choices here is empty.
  return choices[draw(choices.length)] as T;
}
