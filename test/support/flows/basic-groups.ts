/** ClusterIPs, Services without endpoints, NodePort addresses and load balancer modes. */
import { service, slice } from '../proxy-objects.ts';
import { type FlowGroup, masqueraded, own } from './flow.ts';
import type { Net } from './net.ts';
import { endpointsOf, loadBalancer, sliceOf, webPort } from './objects.ts';

export function basicGroups(net: Net): readonly FlowGroup[] {
  return [
    clusterIPs(net),
    protocols(net),
    noEndpoints(net),
    nodePorts(net, 'base'),
    nodePorts(net, 'primaryNodePorts'),
    nodePorts(net, 'listedNodePorts'),
    ingressModes(net),
    weights(net),
  ];
}

function clusterIPs(net: Net): FlowGroup {
  const { vip } = net;
  return {
    name: 'clusterIP',
    settings: 'base',
    services: [
      service('one', vip(1)),
      service('all', vip(2)),
      service('other-port', vip(3), { ports: [{ name: 'http', protocol: 'TCP', port: 3000 }] }),
    ],
    slices: [
      sliceOf('one', endpointsOf(net, 'a')),
      sliceOf('all', endpointsOf(net, 'a', 'b', 'remote')),
      sliceOf('other-port', endpointsOf(net, 'b')),
    ],
    flows: [
      { name: 'pod to one endpoint', from: 'client', to: vip(1), port: 80, want: own('a') },
      { name: 'pod to itself', from: 'podA', to: vip(1), port: 80, want: masqueraded('a') },
      {
        name: 'to all endpoints',
        from: 'client',
        to: vip(2),
        port: 80,
        want: own('a', 'b', 'remote'),
      },
      {
        name: 'pod to itself and others',
        from: 'podA',
        to: vip(2),
        port: 80,
        want: [...masqueraded('a'), ...own('b', 'remote')],
      },
      { name: 'another port of the pods', from: 'client', to: vip(3), port: 3000, want: own('b') },
      { name: 'port of another Service', from: 'client', to: vip(1), port: 3000, want: 'reject' },
      { name: 'the same from the node', from: 'node', to: vip(1), port: 3000, want: 'reject' },
      { name: 'the same from outside', from: 'outside', to: vip(1), port: 3000, want: 'reject' },
      { name: 'nobody has the address', from: 'client', to: vip(250), port: 80, want: 'drop' },
      { name: 'the same from the node', from: 'node', to: vip(250), port: 80, want: 'drop' },
    ],
  };
}

/** One number for three protocols, each with endpoints of its own. */
function protocols(net: Net): FlowGroup {
  const to = net.vip(4);
  const port = 53;
  const ports = (['TCP', 'UDP', 'SCTP'] as const).map((protocol) => ({
    name: protocol.toLowerCase(),
    protocol,
    port,
    nodePort: 30153,
  }));
  const only = (suffix: string, protocol: 'TCP' | 'UDP' | 'SCTP', server: 'a' | 'b' | 'remote') =>
    slice({
      service: 'protocols',
      suffix,
      endpoints: endpointsOf(net, server),
      ports: [{ name: suffix, protocol, port: 8080 }],
    });
  return {
    name: 'protocols',
    settings: 'base',
    services: [
      service('protocols', to, { type: 'NodePort', ports }),
      service('no-udp', net.vip(15), {
        type: 'NodePort',
        ports: [{ name: 'dns', protocol: 'UDP', port, nodePort: 30154 }],
      }),
    ],
    slices: [only('tcp', 'TCP', 'a'), only('udp', 'UDP', 'b'), only('sctp', 'SCTP', 'remote')],
    flows: [
      { name: 'TCP', from: 'client', to, port, want: own('a') },
      { name: 'UDP', from: 'client', to, port, protocol: 'udp', want: own('b') },
      { name: 'SCTP', from: 'client', to, port, protocol: 'sctp', want: own('remote') },
      {
        name: 'TCP to the NodePort',
        ...{ from: 'outside', to: net.outer, port: 30153, want: masqueraded('a') },
      },
      {
        name: 'UDP to the NodePort',
        ...{ from: 'outside', to: net.outer, port: 30153, protocol: 'udp', want: masqueraded('b') },
      },
      {
        name: 'UDP without endpoints',
        ...{ from: 'client', to: net.vip(15), port, protocol: 'udp', want: 'reject' },
      },
      {
        name: 'the same from the node',
        ...{ from: 'node', to: net.vip(15), port, protocol: 'udp', want: 'reject' },
      },
      {
        name: 'UDP to a NodePort without endpoints',
        ...{ from: 'outside', to: net.outer, port: 30154, protocol: 'udp', want: 'reject' },
      },
      {
        name: 'UDP to a port that is TCP',
        from: 'client',
        to: net.vip(1),
        port: 80,
        protocol: 'udp',
        want: 'reject',
      },
    ],
  };
}

function noEndpoints(net: Net): FlowGroup {
  const spec = { externalIPs: [net.external(1)] };
  const none = loadBalancer('none', net, 5, { nodePort: 30005, ips: [net.lb(5)], spec });
  const want = 'reject';
  return {
    name: 'no endpoints',
    settings: 'base',
    services: [none],
    slices: [],
    flows: [
      { name: 'pod to clusterIP', from: 'client', to: net.vip(5), port: 80, want },
      { name: 'node to clusterIP', from: 'node', to: net.vip(5), port: 80, want },
      { name: 'outside to external IP', from: 'outside', to: net.external(1), port: 80, want },
      { name: 'pod to NodePort', from: 'client', to: net.node, port: 30005, want },
      { name: 'node to NodePort', from: 'node', to: net.node, port: 30005, want },
      { name: 'outside to NodePort', from: 'outside', to: net.outer, port: 30005, want },
      { name: 'pod to load balancer', from: 'client', to: net.lb(5), port: 80, want },
      { name: 'outside to load balancer', from: 'outside', to: net.lb(5), port: 80, want },
    ],
  };
}

/** Which of the node's addresses answer, as configured. */
function nodePorts(net: Net, settings: 'base' | 'primaryNodePorts' | 'listedNodePorts'): FlowGroup {
  const isListed = {
    base: [true, true],
    primaryNodePorts: [false, false],
    listedNodePorts: [true, false],
  };
  const [second, outer] = isListed[settings].map((listed) =>
    listed ? masqueraded('a') : ('pass' as const),
  );
  const port = 30006;
  const want = masqueraded('a');
  return {
    name: 'NodePort addresses',
    settings,
    services: [service('node-port', net.vip(6), { type: 'NodePort', ...webPort(port) })],
    slices: [sliceOf('node-port', endpointsOf(net, 'a'))],
    flows: [
      { name: 'pod to clusterIP', from: 'client', to: net.vip(6), port: 80, want: own('a') },
      { name: 'outside to the first address', from: 'outside', to: net.node, port, want },
      { name: 'node to its first address', from: 'node', to: net.node, port, want },
      { name: 'pod to the first address', from: 'client', to: net.node, port, want },
      {
        name: 'outside to the second',
        from: 'outside',
        to: net.second,
        port,
        want: second ?? 'pass',
      },
      { name: 'outside to the outer', from: 'outside', to: net.outer, port, want: outer ?? 'pass' },
      { name: 'node to loopback', from: 'node', to: net.loopback, port, want: 'pass' },
    ],
  };
}

/** Endpoints of weight 0 serve when there are no others. */
function weights(net: Net): FlowGroup {
  const { vip, podA, podB } = net;
  const weighted = (name: string, n: number, text: string) =>
    service(name, vip(n), {}, { 'weft.dev/weights': text });
  const to = (n: number) => ({ from: 'client', to: vip(n), port: 80 }) as const;
  return {
    name: 'weights',
    settings: 'base',
    services: [
      weighted('weights', 12, `${podA}=2`),
      weighted('weight-zero', 13, 'node/node-b=0'),
      weighted('weights-zero', 14, `${podA}=0, ${podB}=0`),
    ],
    slices: [
      sliceOf('weights', endpointsOf(net, 'a', 'b')),
      sliceOf('weight-zero', endpointsOf(net, 'a', 'remote')),
      sliceOf('weights-zero', endpointsOf(net, 'a', 'b')),
    ],
    flows: [
      { name: 'two to one', ...to(12), want: own('a', 'b') },
      { name: 'none for a node', ...to(13), want: own('a') },
      { name: 'none for anybody', ...to(14), want: own('a', 'b') },
    ],
  };
}

/** A load balancer of mode Proxy forwards by itself, so its address is none of the node's. */
function ingressModes(net: Net): FlowGroup {
  const base = loadBalancer('modes', net, 7, { nodePort: 30007, ips: [] });
  const ingress = [
    { ip: net.lb(7), ipMode: 'VIP' as const },
    { ip: net.lb(8) },
    { ip: net.elsewhere, ipMode: 'Proxy' as const },
  ];
  return {
    name: 'load balancer modes',
    settings: 'base',
    services: [{ ...base, status: { loadBalancer: { ingress } } }],
    slices: [sliceOf('modes', endpointsOf(net, 'a'))],
    flows: [
      { name: 'mode VIP', from: 'client', to: net.lb(7), port: 80, want: masqueraded('a') },
      { name: 'no mode', from: 'client', to: net.lb(8), port: 80, want: masqueraded('a') },
      { name: 'mode Proxy', from: 'client', to: net.elsewhere, port: 80, want: 'pass' },
    ],
  };
}
