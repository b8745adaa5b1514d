/** Links, addresses and routes of the proxy lab. Programs start slowly under user-mode Linux: few do. */
import { IPV4, IPV6, LB_ON_NODE, type Net } from './flows/net.ts';
import type { TestNetns } from './netns.ts';

export interface ProxyTopology {
  readonly node: TestNetns;
  readonly client: TestNetns;
  readonly podA: TestNetns;
  readonly podB: TestNetns;
  readonly remote: TestNetns;
  readonly outside: TestNetns;
}

const NETS = [IPV4, IPV6];

/** Joins the namespaces as proxy-lab.ts draws them; every neighbour is known afterwards. */
export function buildTopology(topology: ProxyTopology): void {
  const { node, client, podA, podB, remote, outside } = topology;
  node.run(
    ...(['sysctl', '-qw', 'net.ipv4.ip_forward=1', 'net.ipv6.conf.all.forwarding=1'] as const),
    // Many clients live in one namespace: the kernel's limit of ICMP errors for each would be met.
    ...['net.ipv4.icmp_ratelimit=0', 'net.ipv6.icmp.ratelimit=0'],
  );
  const pods = [client, podA, podB];
  node.batch([
    'link add br0 up type bridge',
    ...pods.flatMap(({ name }, i) => [
      `link add pod${i} type veth peer name eth0 netns ${name}`,
      // With br_netfilter a pod that reaches itself is bridged: DNAT leads back to the same port.
      `link set pod${i} up master br0`,
      `link set pod${i} type bridge_slave hairpin on`,
    ]),
    `link add eth0 type veth peer name eth0 netns ${remote.name}`,
    `link add eth1 type veth peer name eth0 netns ${outside.name}`,
    'link set eth0 up',
    'link set eth1 up',
    ...NETS.flatMap((net) => addressesOfNode(net)),
  ]);
  for (const pod of [podA, podB, client]) {
    pod.batch(['link set eth0 up', ...NETS.flatMap((net) => linesOfPod(net, pod, topology))]);
  }
  remote.batch(['link set eth0 up', ...NETS.flatMap(linesOfRemote)]);
  outside.batch(['link set eth0 up', ...NETS.flatMap(linesOfOutside)]);
  node.batch(NETS.flatMap(routesOfNode));
  meetNeighbours(node);
}

function addressesOfNode(net: Net): readonly string[] {
  const { host, network } = lengthsOf(net);
  return [
    address(`${net.bridge}/${network}`, 'br0'),
    address(`${net.node}/${network}`, 'eth0'),
    address(`${net.second}/${network}`, 'eth0'),
    address(`${net.outer}/${network}`, 'eth1'),
    address(`${net.lb(LB_ON_NODE)}/${host}`, 'lo'),
  ];
}

function routesOfNode(net: Net): readonly string[] {
  const { host, network } = lengthsOf(net);
  const gateway = remoteNode(net);
  const remotePods = net.remote.replace(/2$/, net.family === 4 ? '0' : '');
  return [
    `route add ${remotePods}/${network} via ${gateway}`,
    `route add ${net.elsewhere}/${host} via ${gateway}`,
    `route add default via ${net.outside}`,
  ];
}

function linesOfPod(net: Net, pod: TestNetns, topology: ProxyTopology): readonly string[] {
  const { client, podA } = topology;
  const ip = pod === client ? net.client : pod === podA ? net.podA : net.podB;
  return [
    address(`${ip}/${lengthsOf(net).network}`, 'eth0'),
    `route add default via ${net.bridge}`,
  ];
}

function linesOfRemote(net: Net): readonly string[] {
  const { host, network } = lengthsOf(net);
  return [
    address(`${remoteNode(net)}/${network}`, 'eth0'),
    address(`${net.remote}/${host}`, 'lo'),
    address(`${net.elsewhere}/${host}`, 'lo'),
    `route add default via ${net.node}`,
  ];
}

function linesOfOutside(net: Net): readonly string[] {
  const { network } = lengthsOf(net);
  return [
    address(`${net.outside}/${network}`, 'eth0'),
    address(`${net.stranger}/${network}`, 'eth0'),
    `route add default via ${net.outer}`,
  ];
}

/** The other node's address towards this one. */
function remoteNode(net: Net): string {
  return net.node.replace(/1$/, '2');
}

function address(text: string, dev: string): string {
  return `addr add ${text} dev ${dev}${text.includes(':') ? ' nodad' : ''}`;
}

/** Prefix lengths of one address and of a link's network. */
function lengthsOf({ family }: Net): { readonly host: number; readonly network: number } {
  return family === 4 ? { host: 32, network: 24 } : { host: 128, network: 64 };
}

/** Resolves every neighbour, so that no first packet waits for it. */
function meetNeighbours(node: TestNetns): void {
  const addresses = NETS.flatMap(({ podA, podB, client, remote, outside, stranger }) => [
    ...[podA, podB, client, remote, outside, stranger],
  ]);
  const pings = addresses.map((ip) => `ping -c 1 -w 5 ${ip} >/dev/null & pids="$pids $!"`);
  const script = `${pings.join('\n')}\nfor pid in $pids; do wait $pid || exit 1; done`;
  node.run('sh', '-c', script);
}
