/**
 * Nodes with pods behind routed veths, and a host outside that is the switch between the nodes:
 *
 *     x/a 10.244.1.10, x/b .11 --- node n1 192.0.2.1 --+-- outside 192.0.2.254
 *     x/c 10.244.2.10          --- node n2 192.0.2.2 --+
 *
 * with IPv6 twins. All neighbours are known, and no router bounds its ICMP errors.
 */
import type { IPFamily } from '../../src/net/ip.ts';
import { createNetns, type TestNetns } from './netns.ts';
import { PodSockets } from './policy-pods.ts';

/** Somebody with addresses. */
export interface Place {
  /** `x/a`, `node/n1` or `outside`. */
  readonly name: string;
  readonly ips: Readonly<Record<IPFamily, string>>;
  /** Its number among all. */
  readonly index: number;
}

export interface PodPlace extends Place {
  /** Counts from 0. */
  readonly node: number;
}

export interface NodePlace extends Place {
  /** Of its object. */
  readonly nodeName: string;
}

/** What a cluster of objects is about. */
export interface Places {
  readonly nodes: readonly NodePlace[];
  readonly pods: readonly PodPlace[];
  readonly outside: Place;
}

/** Who can open and answer connections. */
export interface LabParty extends Place {
  readonly netns: TestNetns;
}

export interface LabPod extends LabParty, PodPlace {}

export interface LabNode extends LabParty, NodePlace {}

export interface PolicyLabOptions {
  /** How many pods each node has, by their keys `namespace/name`. */
  readonly pods: readonly (readonly string[])[];
  readonly ports: readonly number[];
}

export interface PolicyLab extends Places {
  readonly nodes: readonly LabNode[];
  readonly pods: readonly LabPod[];
  readonly outside: LabParty;
  readonly sockets: PodSockets;
  /** Throws if there is none. */
  party(name: string): LabParty;
  remove(): Promise<void>;
}

const FIRST_POD = 10;
const OUTSIDE = { 4: '192.0.2.254', 6: '2001:db8::fe' } as const;
const GATEWAY = { 4: '169.254.1.1', 6: 'fe80::1' } as const;
const GATEWAY_MAC = '02:ee:00:00:00:01';
const SYSCTLS = [
  ...['net.ipv4.ip_forward=1', 'net.ipv6.conf.all.forwarding=1'],
  // Thousands of connections are refused within a second.
  ...['net.ipv4.icmp_ratelimit=0', 'net.ipv4.icmp_ratemask=0', 'net.ipv6.icmp.ratemask=0'],
];

export async function createPolicyLab({ pods, ports }: PolicyLabOptions): Promise<PolicyLab> {
  const made: TestNetns[] = [];
  const netnsOf = (label: string) => {
    const netns = createNetns(`p-${label}`);
    made.push(netns);
    return netns;
  };
  const removeAll = () => {
    for (const netns of made) netns.remove();
  };
  try {
    const parties = nameParties(pods, netnsOf);
    layOut(parties);
    const all = [...parties.pods, ...parties.nodes, parties.outside];
    const paths = all.map(({ netns }) => netns.path);
    const sockets = await PodSockets.start(paths, ports);
    return {
      ...parties,
      sockets,
      party(name) {
        const found = all.find((party) => party.name === name);
        if (found === undefined) throw new Error(`no ${name} in the lab`);
        return found;
      },
      async remove() {
        await sockets.stop();
        removeAll();
      },
    };
  } catch (thrown) {
    removeAll();
    throw thrown;
  }
}

type Parties = Pick<PolicyLab, 'nodes' | 'pods' | 'outside'>;

function nameParties(
  keys: readonly (readonly string[])[],
  netnsOf: (label: string) => TestNetns,
): Parties {
  const { pods, nodes, outside } = placesOf(keys);
  return {
    pods: pods.map((pod) => ({ ...pod, netns: netnsOf(pod.name.replace('/', '-')) })),
    nodes: nodes.map((node) => ({ ...node, netns: netnsOf(node.nodeName) })),
    outside: { ...outside, netns: netnsOf('out') },
  };
}

/** Pods by their keys, for each node, with nothing behind them. */
export function placesOf(keys: readonly (readonly string[])[]): Places {
  const pods = keys.flatMap((names, node) =>
    names.map((name, i) => ({ name, node, ips: podIPs(node, FIRST_POD + i) })),
  );
  const nodes = keys.map((_, i) => {
    const nodeName = `n${i + 1}`;
    const ips = { 4: `192.0.2.${i + 1}`, 6: `2001:db8::${i + 1}` };
    return { name: `node/${nodeName}`, nodeName, ips, index: pods.length + i };
  });
  return {
    pods: pods.map((pod, index) => ({ ...pod, index })),
    nodes,
    outside: { name: 'outside', ips: OUTSIDE, index: pods.length + nodes.length },
  };
}

/** Addresses of a pod of a node that counts from 0. */
function podIPs(node: number, host: number): { readonly 4: string; readonly 6: string } {
  return { 4: `10.244.${node + 1}.${host}`, 6: `fd00:244:${node + 1}::${host.toString(16)}` };
}

function layOut({ nodes, pods, outside }: Parties): void {
  outside.netns.batch([
    `link add br0 up address ${macOf(outside)} type bridge`,
    ...nodes.flatMap((node) => [
      `link add ${node.nodeName} type veth peer name eth0 address ${macOf(node)} netns ${node.netns.name}`,
      `link set ${node.nodeName} up master br0`,
    ]),
    `addr add ${outside.ips[4]}/24 dev br0`,
    `addr add ${outside.ips[6]}/64 dev br0 nodad`,
    ...nodes.flatMap((node) => neighbour(node, 'br0')),
    ...nodes.flatMap((node, i) => routesToPods(node, i)),
  ]);
  for (const [i, node] of nodes.entries()) {
    const others = nodes.flatMap((other, j) => (j === i ? [] : routesToPods(other, j)));
    const own = pods.filter((pod) => pod.node === i);
    node.netns.run('sysctl', '-qw', ...SYSCTLS);
    node.netns.batch([
      'link set eth0 up',
      `addr add ${node.ips[4]}/24 dev eth0`,
      `addr add ${node.ips[6]}/64 dev eth0 nodad`,
      ...[...nodes, outside].flatMap((party) => (party === node ? [] : neighbour(party, 'eth0'))),
      `route add default via ${outside.ips[4]}`,
      `route add default via ${outside.ips[6]}`,
      ...own.flatMap(linesForPod),
      ...others,
    ]);
    for (const pod of own) pod.netns.batch(linesOfPod(pod));
  }
}

function routesToPods(node: LabNode, number: number): readonly string[] {
  return [
    `route add 10.244.${number + 1}.0/24 via ${node.ips[4]}`,
    `route add fd00:244:${number + 1}::/64 via ${node.ips[6]}`,
  ];
}

function neighbour(party: LabParty, link: string): readonly string[] {
  return Object.values(party.ips).map(
    (ip) => `neigh add ${ip} lladdr ${macOf(party)} dev ${link} nud permanent`,
  );
}

const macOf = ({ index }: LabParty) => `02:dd:00:00:00:${index.toString(16).padStart(2, '0')}`;

function linesForPod(pod: LabPod): readonly string[] {
  const link = `pod${pod.index}`;
  return [
    `link add ${link} up address ${GATEWAY_MAC} type veth peer name eth0 address ${macOf(pod)} netns ${pod.netns.name}`,
    ...neighbour(pod, link),
    ...Object.values(pod.ips).map((ip) => `route add ${ip} dev ${link}`),
  ];
}

function linesOfPod(pod: LabPod): readonly string[] {
  return [
    'link set eth0 up',
    `addr add ${pod.ips[4]}/32 dev eth0`,
    `addr add ${pod.ips[6]}/128 dev eth0 nodad`,
    ...([4, 6] as const).flatMap((family) => [
      `neigh add ${GATEWAY[family]} lladdr ${GATEWAY_MAC} dev eth0 nud permanent`,
      `route add default via ${GATEWAY[family]} dev eth0 onlink`,
    ]),
  ];
}
