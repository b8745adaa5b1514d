/** What the demo shows, one function a claim; each adds its rows to the report. */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { TUNNEL_NAME } from '../../src/fabric/names.ts';
import type { Backend } from '../../src/fabric/plan.ts';
import type { Cluster, ClusterNode, Pod } from '../support/cluster.ts';
import { type ProbeResult, type ProbeTarget, probe, total } from '../support/workloads.ts';
import { histogram, type Report } from './report.ts';
import { EMPTY, publish, SERVER_PORT, WEB } from './services.ts';

export interface Demo {
  readonly cluster: Cluster;
  readonly pods: readonly Pod[];
  readonly report: Report;
}

const FAMILIES = ['IPv4', 'IPv6'] as const;
const CONVERGENCE_LIMIT_MS = 5000;
const BALANCE_CONNECTIONS = 400;

function pick(pods: readonly Pod[], name: string): Pod {
  const pod = pods.find((candidate) => candidate.name === name);
  if (pod === undefined) throw new Error(`no pod ${name}`);
  return pod;
}

const listed = (counts: Readonly<Record<string, number>>) => Object.keys(counts).sort().join(', ');

/** All connections answered, and the servers saw exactly this peer address. */
function sawPeer(result: ProbeResult, peer: string | undefined): boolean {
  return total(result.errors) === 0 && listed(result.peers) === peer;
}

/** By which link packets for a node's pods leave another one. */
export function checkWays({ cluster, report }: Demo, backend: Backend): void {
  for (const from of cluster.nodes) {
    for (const to of cluster.nodes.filter((node) => node !== from)) {
      const isTunnelled = backend === 'vxlan' || (backend === 'auto' && from.isFar !== to.isFar);
      const wanted = isTunnelled ? TUNNEL_NAME : 'eth0';
      const links = to.podCIDRs.map((cidr) => {
        const [route] = from.netns.ip<{ dev: string }[]>('route', 'get', cidr.split('/')[0] ?? '');
        return route?.dev;
      });
      report.check(
        `${from.name} → pods of ${to.name}`,
        links.every((link) => link === wanted),
        isTunnelled
          ? `by VXLAN, link ${links.join(' and ')}`
          : `directly, link ${links.join(' and ')}`,
      );
    }
  }
}

export async function checkPodToPod({ pods, report }: Demo): Promise<void> {
  const pairs = [
    { from: 'web-1', to: 'web-2', where: 'on one node' },
    { from: 'web-1', to: 'web-3', where: 'across nodes' },
    { from: 'other', to: 'web-1', where: 'across nodes, back' },
    { from: 'web-1', to: 'far', where: 'behind the router' },
    { from: 'far', to: 'other', where: 'behind the router, back' },
  ];
  for (const { from, to, where } of pairs) {
    const [source, target] = [pick(pods, from), pick(pods, to)];
    for (const [index, family] of FAMILIES.entries()) {
      const host = target.addresses[index] ?? '';
      const result = await probe(source.netnsPath, { host, port: SERVER_PORT });
      report.check(
        `pod → pod ${where}, ${family}, no NAT`,
        sawPeer(result, source.addresses[index]),
        `${from} → ${to}: the server saw ${describe(result)}`,
      );
    }
  }
}

export async function checkClusterIP({ cluster, pods, report }: Demo): Promise<void> {
  const [node] = cluster.nodes;
  if (node === undefined) throw new Error('no node');
  const sources = [
    { name: 'pod web-1', path: pick(pods, 'web-1').netnsPath },
    { name: 'pod other', path: pick(pods, 'other').netnsPath },
    { name: 'pod far', path: pick(pods, 'far').netnsPath },
    { name: 'node1', path: node.netns.path },
  ];
  for (const { name, path } of sources) {
    for (const [index, family] of FAMILIES.entries()) {
      for (const protocol of ['tcp', 'udp'] as const) {
        const host = WEB.clusterIPs[index] ?? '';
        const result = await probe(path, { protocol, host, port: WEB.port, count: 12 });
        report.check(
          `${name} → ClusterIP, ${family} ${protocol}`,
          total(result.errors) === 0 && total(result.servers) === 12,
          `${host}:${WEB.port} answered by ${listed(result.servers)}${errorText(result)}`,
        );
      }
    }
  }
}

export async function checkNodePort({ cluster, report }: Demo): Promise<void> {
  for (const node of cluster.nodes) {
    for (const [index, family] of FAMILIES.entries()) {
      const host = node.addresses[index] ?? '';
      const port = WEB.nodePort ?? 0;
      const result = await probe(cluster.client.path, { host, port, count: 12 });
      report.check(
        `client → NodePort of ${node.name}, ${family}`,
        total(result.errors) === 0 && total(result.servers) === 12,
        `${host} port ${port} answered by ${listed(result.servers)}${errorText(result)}`,
      );
    }
  }
}

export async function checkBalance({ pods, report }: Demo): Promise<void> {
  const from = pick(pods, 'other').netnsPath;
  for (const host of WEB.clusterIPs) {
    const result = await probe(from, { host, port: WEB.port, count: BALANCE_CONNECTIONS });
    const counts = Object.values(result.servers);
    const expected = BALANCE_CONNECTIONS / 3;
    // Four standard deviations of a fair draw: fails by chance once in thousands of runs.
    const tolerance = 4 * Math.sqrt(BALANCE_CONNECTIONS * (1 / 3) * (2 / 3));
    const isEven = counts.every((count) => Math.abs(count - expected) <= tolerance);
    report.check(
      `balance over three endpoints, ${host}`,
      counts.length === 3 && isEven && total(result.errors) === 0,
      `${BALANCE_CONNECTIONS} connections, each endpoint within ${tolerance.toFixed(0)} of ${expected.toFixed(0)}`,
    );
    console.log(histogram(result.servers));
  }
}

export async function checkRejection({ pods, report }: Demo): Promise<void> {
  for (const host of EMPTY.clusterIPs) {
    const target: ProbeTarget = { host, port: EMPTY.port, timeoutMs: 3000 };
    const result = await probe(pick(pods, 'other').netnsPath, target);
    report.check(
      `Service without endpoints refuses at once, ${host}`,
      (result.errors['ECONNREFUSED'] ?? 0) === 1 && result.elapsedMs < 1000,
      `${listed(result.errors)} after ${result.elapsedMs.toFixed(0)} ms`,
    );
  }
}

export async function checkHairpin({ cluster, pods, report }: Demo): Promise<void> {
  const self = pick(pods, 'web-3');
  publish(cluster, [self]);
  for (const host of WEB.clusterIPs) {
    const result = await untilAnsweredBy(self.netnsPath, host, [self.name]);
    report.check(
      `pod reaches itself through its Service, ${host}`,
      listed(result.servers) === self.name && total(result.errors) === 0,
      `answered by ${listed(result.servers)}, which saw ${listed(result.peers)}`,
    );
  }
}

export async function checkEndpointRemoval({ cluster, pods, report }: Demo): Promise<void> {
  const web = ['web-1', 'web-2', 'web-3'].map((name) => pick(pods, name));
  publish(cluster, web);
  const from = pick(pods, 'other').netnsPath;
  const names = web.map((pod) => pod.name);
  for (const host of WEB.clusterIPs) await untilAnsweredBy(from, host, names);
  const startedAt = performance.now();
  publish(cluster, web.slice(1));
  for (const host of WEB.clusterIPs) {
    await untilAnsweredBy(from, host, names.slice(1));
    const convergedMs = performance.now() - startedAt;
    const result = await probe(from, { host, port: WEB.port, count: 200 });
    report.check(
      `endpoint removed: no new connection goes there, ${host}`,
      (result.servers['web-1'] ?? 0) === 0 && total(result.errors) === 0,
      `200 connections to ${listed(result.servers)}; seen within ${convergedMs.toFixed(0)} ms`,
    );
  }
}

export async function checkRestart({ cluster, pods, report }: Demo): Promise<void> {
  const [node1, node2] = cluster.nodes;
  if (node1 === undefined || node2 === undefined) throw new Error('two nodes are needed');
  const [host = ''] = WEB.clusterIPs;
  await node2.stopAgent();
  const without = await probe(pick(pods, 'other').netnsPath, { host, port: WEB.port, count: 50 });
  const starting = node2.startAgent();
  const during = probe(pick(pods, 'other').netnsPath, { host, port: WEB.port, count: 400 });
  const [result] = await Promise.all([during, starting]);
  report.check(
    'agent stopped and started again: no connection lost',
    total(without.errors) + total(result.errors) === 0,
    `${total(without.servers)} while down, ${total(result.servers)} while starting, 0 refused`,
  );
}

export function checkPodDeletion({ pods, report }: Demo): void {
  const pod = pick(pods, 'other');
  const { node } = pod;
  const before = leftovers(node, pod);
  const answer = node.deletePod(pod);
  const after = leftovers(node, pod);
  const again = node.cni('DEL', pod);
  report.check(
    'pod deleted: nothing left of it',
    answer.status === 0 && before.length > 0 && after.length === 0,
    `${before.length} traces before (${before.join(', ')}), ${after.length} after ${after.join(', ')}`,
  );
  report.check('pod deleted again: DEL succeeds', again.status === 0, `exit ${again.status}`);
}

/** Everything on the node that mentions the pod: host veth, address files, neighbours, rules. */
function leftovers(node: ClusterNode, pod: Pod): string[] {
  const links = node.netns.ip<{ ifname: string }[]>('link').map(({ ifname }) => ifname);
  const directory = join(node.dataDir, 'pods');
  const files = existsSync(directory) ? readdirSync(directory) : [];
  const neighbours = node.netns.run('ip', 'neigh', 'show', 'dev', 'cni0').split(/\s+/);
  const rules = node.netns.run('nft', 'list', 'tables').includes('weft-cni')
    ? node.netns.run('nft', 'list', 'table', 'inet', 'weft-cni').split(/[\s,]+/)
    : [];
  return [
    ...(links.includes(pod.hostLink) ? [`link ${pod.hostLink}`] : []),
    ...pod.addresses.filter((ip) => files.includes(ip)).map((ip) => `file ${ip}`),
    ...pod.addresses.filter((ip) => neighbours.includes(ip)).map((ip) => `neighbour ${ip}`),
    ...pod.addresses.filter((ip) => rules.includes(ip)).map((ip) => `rule ${ip}`),
  ];
}

function describe(result: ProbeResult): string {
  return `${listed(result.peers) || 'nobody'}${errorText(result)}`;
}

function errorText(result: ProbeResult): string {
  return total(result.errors) === 0 ? '' : `, errors ${JSON.stringify(result.errors)}`;
}

/** Probes until exactly these servers answer, or the limit is over; gives the last result. */
async function untilAnsweredBy(
  netnsPath: string,
  host: string,
  names: readonly string[],
): Promise<ProbeResult> {
  const deadline = performance.now() + CONVERGENCE_LIMIT_MS;
  const want = [...names].sort().join(', ');
  for (;;) {
    const count = names.length * 10;
    const result = await probe(netnsPath, { host, port: WEB.port, count, timeoutMs: 500 });
    const isDone = listed(result.servers) === want && total(result.errors) === 0;
    if (isDone || performance.now() > deadline) return result;
    await sleep(20);
  }
}
