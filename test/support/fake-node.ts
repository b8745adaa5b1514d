/** A node that questions about packets are asked of, without a kernel. */

import type { LocalPod } from '../../src/agent/debug/explain/node-facts.ts';
import type { OpenNode } from '../../src/agent/debug/explain/open-node.ts';
import type { HostPortRecord } from '../../src/cni/host-ports.ts';
import type { NetnsLoss } from '../../src/cni/machine.ts';
import type { Link, RouteAnswer, RouteQuestion } from '../../src/kernel/types.ts';
import { containsIP, parseCidr, prefixLength } from '../../src/net/cidr.ts';
import { type IP, parseIP } from '../../src/net/ip.ts';

export interface FakeNodeOptions {
  readonly addresses?: readonly string[];
  /** `10.2.0.0/24 via 192.168.0.2 dev eth0`, the longest prefix first found by its length. */
  readonly routes?: readonly string[];
  readonly links?: Readonly<Record<string, number>>;
  readonly sysctls?: Readonly<Record<string, string>>;
  readonly pods?: readonly LocalPod[];
  /** Errno of questions `<source> <destination> <link>`, with `*` for any. */
  readonly refused?: Readonly<Record<string, string>>;
  readonly podRefused?: Readonly<Record<string, string>>;
  /** What has become of namespaces, by the name of the pod. */
  readonly lost?: Readonly<Record<string, NetnsLoss>>;
  readonly hostPorts?: readonly HostPortRecord[];
  readonly peers?: OpenNode['peers'];
  readonly paths?: OpenNode['paths'];
  readonly onClose?: () => void;
}

const FORWARDS = {
  'net/ipv4/conf/br0/forwarding': '1',
  'net/ipv4/conf/eth0/forwarding': '1',
  'net/ipv4/conf/eth1/forwarding': '1',
  'net/ipv6/conf/all/forwarding': '1',
} as const;

export const FAKE_ROUTES: readonly string[] = [
  ...['10.1.0.0/24 dev br0', '192.168.0.0/24 dev eth0', '10.2.0.0/24 via 192.168.0.2 dev eth0'],
  ...['0.0.0.0/0 via 203.0.113.2 dev eth1', 'fd00::/64 dev br0', '::/0 via fd03::2 dev eth1'],
];

export function fakeNode(options: FakeNodeOptions = {}): OpenNode {
  const { links = { br0: 1500, eth0: 1500, eth1: 1500 }, pods = [] } = options;
  const sysctls: Readonly<Record<string, string>> = { ...FORWARDS, ...options.sysctls };
  const all = Object.entries(links).map(([name, mtu], at) => fakeLink(at + 2, name, mtu));
  const localAddresses = (options.addresses ?? ['192.168.0.1', '10.1.0.1']).map(parseIP);
  const routes = options.routes ?? FAKE_ROUTES;
  const link = (name: string) => all.find((each) => each.name === name);
  const linkByIndex = (index: number) => all.find((each) => each.index === index);
  const askRoute = (question: RouteQuestion): RouteAnswer => {
    const code = refusalOf(question, linkByIndex, options.refused ?? {});
    if (code !== undefined) return { kind: 'refused', code };
    if (localAddresses.includes(question.destination)) return { kind: 'delivered' };
    return longest(question.destination, routes, link);
  };
  return {
    ...{ askRoute, link, linkByIndex, localAddresses },
    sysctl: (path) => sysctls[path],
    pods: () => pods,
    podAt: (ip) => pods.find(({ ips }) => ips.includes(ip)),
    askPodRoute: ({ name }) => {
      const code = options.podRefused?.[name];
      return code === undefined ? { kind: 'unknown' } : { kind: 'refused', code };
    },
    netnsLoss: ({ name }) => options.lost?.[name],
    podNetns: ({ name }) => {
      throw new Error(`no namespace of ${name}`);
    },
    peers: options.peers ?? [],
    paths: options.paths ?? [],
    hostPorts: () => options.hostPorts ?? [],
    close: () => options.onClose?.(),
  };
}

export function fakePod(name: string, ips: readonly string[], change: Partial<LocalPod> = {}) {
  return {
    name,
    ips: ips.map(parseIP),
    hostLink: 'veth1',
    gatewayLink: 'br0',
    isRouted: false,
    networks: [parseCidr('10.1.0.0/24')],
    mtu: undefined,
    netns: { path: '/run/netns/x', id: '4:1' },
    ...change,
  } satisfies LocalPod;
}

function fakeLink(index: number, name: string, mtu: number): Link {
  return {
    ...{ index, name, mtu, kind: undefined, mac: undefined, isUp: true, operState: 'up' },
    ...{ isPromiscuous: false, master: undefined, peerIndex: undefined, alias: undefined },
  };
}

function refusalOf(
  { source, destination, inLink }: RouteQuestion,
  linkByIndex: (index: number) => Link | undefined,
  refused: Readonly<Record<string, string>>,
): string | undefined {
  const name = inLink === undefined ? '-' : (linkByIndex(inLink)?.name ?? '?');
  return refused[`${source ?? '-'} ${destination} ${name}`] ?? refused[`* ${destination} ${name}`];
}

function longest(
  destination: IP,
  routes: readonly string[],
  link: (name: string) => Link | undefined,
): RouteAnswer {
  const [found] = routes
    .map(
      (text) => /^(\S+)(?: via (\S+))? dev (\S+)(?: mtu (\d+))?(?: src (\S+))?$/.exec(text) ?? [],
    )
    .filter(([, cidr = '']) => cidr.includes(':') === destination.includes(':'))
    .filter(([, cidr = '']) => containsIP(parseCidr(cidr), destination))
    .toSorted(([, a = ''], [, b = '']) => prefixLength(parseCidr(b)) - prefixLength(parseCidr(a)));
  if (found === undefined) return { kind: 'refused', code: 'ENETUNREACH' };
  const [, cidr = '', via, dev = '', mtu, src] = found;
  const index = link(dev)?.index;
  return {
    kind: 'sent',
    route: {
      destination: parseCidr(cidr),
      ...(via === undefined ? {} : { gateway: parseIP(via) }),
      ...(index === undefined ? {} : { link: index }),
      ...(mtu === undefined ? {} : { mtu: Number(mtu) }),
      ...(src === undefined ? {} : { source: parseIP(src) }),
    },
  };
}
