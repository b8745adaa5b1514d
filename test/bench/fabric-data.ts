/**
 * Pods of two nodes: connections and throughput through the fabric, its table included, and through what
 * is made by hand, without and with a rule that masquerades what leaves the cluster.
 */

import { TUNNEL_NAME, tunnelMac } from '../../src/fabric/names.ts';
import { openConntrack } from '../../src/kernel/conntrack.ts';
import { netnses } from '../../src/kernel/netns.ts';
import { openNodeEvents } from '../../src/kernel/node-events.ts';
import { linkLocalOf } from '../../src/net/mac.ts';
import { openGuard } from '../support/fabric-guard.ts';
import {
  createFabricLab,
  type FabricLab,
  type LabNode,
  startLabFabric,
} from '../support/fabric-lab.ts';
import { until } from '../support/until.ts';
import { type RunningProgram, startIn } from '../support/workloads.ts';
import { type FlowLane, type LaneRounds, measureInTurns } from './flow-rounds.ts';
import { median } from './statistics.ts';

export interface FabricDataRow {
  readonly lane: string;
  readonly connectionsPerSecond: number;
  /** Against both lanes by hand of the same way and family, slice by slice. */
  readonly ofByHand: number;
  /** The same against the lane with a rule. */
  readonly ofMasquerade: number;
  readonly gigabitsPerSecond: number;
  readonly streamOfByHand: number;
  readonly streamOfMasquerade: number;
}

export interface FabricData {
  readonly rows: readonly FabricDataRow[];
  /** Entries of connection tracking for packets of the tunnel, after all that, on nodes by maker. */
  readonly trackedTunnelFlows: Readonly<Record<string, number>>;
}

type Way = 'host-gw' | 'vxlan';

const WAYS: readonly Way[] = ['host-gw', 'vxlan'];
/** The same twice: how far they are apart is how far equals may be. */
const BY_HAND = ['by hand', 'by hand, again'];
const WITH_RULE = 'by hand and masquerade';
const MAKERS = [...BY_HAND, WITH_RULE, 'weft'];
const TUNNEL_PORT = 8472;
const TUNNEL_MTU = 1450;
const UDP = 17;
/** By family of the destination. */
const PORTS = { 4: 8080, 6: 8081 } as const;
const STREAM_ROUNDS = 5;
const CLIENT_SYSCTLS = ['net.ipv4.ip_local_port_range=1024 65535'];
const SERVER_SYSCTLS = ['net.core.somaxconn=65535', 'net.ipv4.tcp_max_syn_backlog=65535'];

interface OpenWay {
  readonly maker: string;
  readonly way: Way;
  readonly lab: FabricLab;
  readonly programs: readonly RunningProgram[];
}

export async function measureFabricData(flows: string, rounds: number): Promise<FabricData> {
  const open: OpenWay[] = [];
  try {
    for (const way of WAYS) {
      for (const maker of MAKERS) {
        console.error(`data path: ${way}, ${maker}`);
        open.push(await openWay(flows, maker, way));
      }
    }
    console.error(`data path: ${rounds} rounds`);
    const lanes = open.flatMap(lanesOf);
    const measured = await measureInTurns(flows, lanes, {
      connects: rounds,
      streams: STREAM_ROUNDS,
    });
    const tracked = open
      .filter(({ way }) => way === 'vxlan')
      .map(({ maker, lab }) => [maker, trackedTunnelFlows(lab)]);
    return {
      rows: lanes.map(({ name }) => summarize(name, measured)),
      trackedTunnelFlows: Object.fromEntries(tracked),
    };
  } finally {
    for (const { lab, programs } of open) {
      for (const program of programs) await program.end('SIGKILL');
      lab.remove();
    }
  }
}

async function openWay(flows: string, maker: string, way: Way): Promise<OpenWay> {
  const lab = createFabricLab([1, 1]);
  const programs: RunningProgram[] = [];
  try {
    const [a, b] = lab.nodes;
    if (a === undefined || b === undefined) throw new Error('a lab of two nodes');
    if (maker === 'weft') await programWeft(lab, way);
    else programByHand(a, b, way);
    if (maker === WITH_RULE) for (const node of lab.nodes) masqueradeByHand(node);
    if (way === 'vxlan') for (const node of lab.nodes) setPodMtu(node, TUNNEL_MTU);
    a.pod.run('sysctl', '-qw', ...CLIENT_SYSCTLS);
    b.pod.run('sysctl', '-qw', ...SERVER_SYSCTLS);
    for (const [port, address] of [
      [PORTS[4], '0.0.0.0'],
      [PORTS[6], '::'],
    ] as const) {
      const serve = ['taskset', '-c', '1', flows, 'serve', String(port), address];
      programs.push(await startIn(b.pod.path, serve, 'ready'));
    }
    for (const address of b.podAddresses) {
      await until(`${maker}, ${way}: ${address} is reached`, () => {
        return a.pod.attempt('ping', ['-c1', '-W1', '-n', address]).status === 0;
      });
    }
    return { maker, way, lab, programs };
  } catch (thrown) {
    for (const program of programs) await program.end('SIGKILL');
    lab.remove();
    throw thrown;
  }
}

/** What it has put in the kernel stays when it ends. */
async function programWeft(lab: FabricLab, backend: Way): Promise<void> {
  for (const node of lab.nodes) {
    const netns = netnses.open(node.netns.path);
    const events = openNodeEvents(netns);
    const guard = openGuard(events, netns);
    const { fabric, stop } = startLabFabric(node, lab.nodes, { backend }, { guard: guard.put });
    await until('the fabric is ready', () => fabric.report.isReady);
    await stop();
    await guard.close();
    events.close();
    netns.close();
  }
}

function masqueradeByHand({ netns, object }: LabNode): void {
  const [v4 = '', v6 = ''] = object.spec?.podCIDRs ?? [];
  const rules = [
    'add table inet hand',
    'add chain inet hand postrouting { type nat hook postrouting priority 100; }',
    `add rule inet hand postrouting ip saddr ${v4} ip daddr != 10.244.0.0/16 masquerade`,
    `add rule inet hand postrouting ip6 saddr ${v6} ip6 daddr != fd00::/16 masquerade`,
  ];
  netns.run('nft', rules.join('; '));
}

function programByHand(a: LabNode, b: LabNode, way: Way): void {
  const device = `dev ${TUNNEL_NAME}`;
  for (const [own, peer] of [
    [a, b],
    [b, a],
  ] as const) {
    const [local = '', peerAddress = '', peerAddress6 = ''] = [own, peer].flatMap(
      ({ object }, i) =>
        object.status?.addresses?.slice(0, 1 + i).map(({ address }) => address) ?? [],
    );
    const [v4 = '', v6 = ''] = peer.object.spec?.podCIDRs ?? [];
    own.netns.run('sysctl', '-qw', 'net.ipv4.ip_forward=1', 'net.ipv6.conf.all.forwarding=1');
    if (way === 'host-gw') {
      own.netns.batch([
        `route add ${v4} via ${peerAddress}`,
        `route add ${v6} via ${peerAddress6}`,
      ]);
      continue;
    }
    const [mac, peerMac] = [tunnelMac(own.name), tunnelMac(peer.name)];
    const gateway = linkLocalOf(peerMac);
    own.netns.batch([
      `link add ${TUNNEL_NAME} address ${mac} mtu ${TUNNEL_MTU} type vxlan id 1 local ${local} dstport ${TUNNEL_PORT} nolearning`,
      `link set ${TUNNEL_NAME} up`,
      `neigh replace ${gateway} lladdr ${peerMac} ${device}`,
      `route add ${v4} via inet6 ${gateway} ${device}`,
      `route add ${v6} via ${gateway} ${device}`,
    ]);
    const entry = ['fdb', 'replace', peerMac, 'dev', TUNNEL_NAME, 'dst', peerAddress];
    own.netns.run('bridge', ...entry);
  }
}

function setPodMtu({ netns, pod }: LabNode, mtu: number): void {
  netns.run('ip', 'link', 'set', 'veth-pod', 'mtu', String(mtu));
  pod.run('ip', 'link', 'set', 'eth0', 'mtu', String(mtu));
}

function lanesOf({ maker, way, lab }: OpenWay): readonly FlowLane[] {
  const [a, b] = lab.nodes;
  if (a === undefined || b === undefined) return [];
  return ([4, 6] as const).map((family, i) => ({
    name: laneName(way, family, maker),
    client: a.pod,
    host: b.podAddresses[i] ?? '',
    port: PORTS[family],
  }));
}

function laneName(way: string, family: number, maker: string): string {
  return `${way} IPv${family}, ${maker}`;
}

function trackedTunnelFlows(lab: FabricLab): number {
  return lab.nodes.reduce((sum, node) => {
    const netns = netnses.open(node.netns.path);
    const conntrack = openConntrack(netns);
    const original = { destinationPort: TUNNEL_PORT };
    const flows = conntrack.flows({ family: 4, protocol: UDP, original });
    conntrack.close();
    netns.close();
    return sum + flows.length;
  }, 0);
}

function summarize(lane: string, measured: ReadonlyMap<string, LaneRounds>): FabricDataRow {
  const own = measured.get(lane);
  const [title] = lane.split(', ');
  const against = (
    makers: readonly string[],
    valuesOf: (rounds: LaneRounds | undefined) => readonly number[],
  ) =>
    median(
      valuesOf(own).map((value, i) => {
        const values = makers.map((maker) => {
          return valuesOf(measured.get(`${title}, ${maker}`))[i] ?? Number.NaN;
        });
        return (value * values.length) / values.reduce((sum, each) => sum + each, 0);
      }),
    );
  const rates = (rounds?: LaneRounds) => rounds?.connects.map(({ rate }) => rate) ?? [];
  const streams = (rounds?: LaneRounds) => rounds?.gigabitsPerSecond ?? [];
  return {
    lane,
    connectionsPerSecond: median(rates(own)),
    ofByHand: against(BY_HAND, rates),
    ofMasquerade: against([WITH_RULE], rates),
    gigabitsPerSecond: median(streams(own)),
    streamOfByHand: against(BY_HAND, streams),
    streamOfMasquerade: against([WITH_RULE], streams),
  };
}
