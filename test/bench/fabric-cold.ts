/** The fabric's start with many peers in no kernel, against `ip -batch` and `bridge -batch`. */
import { execFile, execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { TUNNEL_NAME } from '../../src/fabric/names.ts';
import { netnses } from '../../src/kernel/netns.ts';
import { openRtnl } from '../../src/kernel/rtnl.ts';
import type { NodeRtnl, Route } from '../../src/kernel/types.ts';
import { createNetns, type TestNetns } from '../support/netns.ts';
import { OWN_ADDRESSES } from './fabric-nodes.ts';
import type { ProcessResult } from './fabric-process.ts';
import { median, percentile } from './statistics.ts';

/** Medians over rounds; times of single events over all of them. */
export interface ColdRow {
  readonly peers: number;
  readonly entries: number;
  readonly completeMs: number;
  readonly byHandMs: number;
  readonly ofByHand: number;
  readonly sinceStartMs: number;
  readonly cpuMs: number;
  readonly longestTurnMs: number;
  readonly secondMs: number;
  /** The most of all rounds. */
  readonly secondWrites: number;
  readonly eventMs: number;
  readonly eventP99Ms: number;
  readonly heapMiB: number;
  readonly rssMiB: number;
}

const PROCESS = new URL('fabric-process.ts', import.meta.url).pathname;
const LAUNCHER = new URL('../../scripts/weft-launcher.sh', import.meta.url);
const PROCESS_TIMEOUT_MS = 240_000;
/** `ip` commands; the router that everything else is behind answers nobody. */
export const UPLINK = {
  link: ['link add eth0 type veth peer name uplink', 'link set eth0 up', 'link set uplink up'],
  addresses: [
    ...OWN_ADDRESSES.map(
      (text) => `addr replace ${text} dev eth0${text.includes(':') ? ' nodad' : ''}`,
    ),
    ...['192.0.2.254', '2001:db8::fe'].map((gateway) => `route replace default via ${gateway}`),
  ],
};
const execute = promisify(execFile);

export async function measureCold(options: {
  readonly directory: string;
  readonly peers: number;
  readonly events: number;
  readonly rounds: number;
}): Promise<ColdRow> {
  const { directory, peers, events, rounds } = options;
  const runs: (ProcessResult & { byHandMs: number })[] = [];
  for (let round = 0; round < rounds; round++) {
    console.error(`${peers} peers: round ${round + 1} of ${rounds}`);
    const [weft, hand] = [createUplinked('weft'), createUplinked('hand')];
    try {
      const result = await runProcess(weft, peers, events);
      runs.push({ ...result, byHandMs: programByHand(weft, hand, directory, result.entries) });
    } finally {
      weft.remove();
      hand.remove();
    }
  }
  const middle = (field: 'completeMs' | 'byHandMs' | 'sinceStartMs' | 'cpuMs' | 'secondMs') =>
    median(runs.map((run) => run[field]));
  const most = (field: 'longestTurnMs' | 'secondWrites' | 'heapMiB' | 'rssMiB' | 'entries') =>
    Math.max(...runs.map((run) => run[field]));
  const eventsMs = runs.flatMap((run) => run.eventsMs);
  return {
    peers,
    entries: most('entries'),
    completeMs: middle('completeMs'),
    byHandMs: middle('byHandMs'),
    ofByHand: median(runs.map(({ completeMs, byHandMs }) => completeMs / byHandMs)),
    sinceStartMs: middle('sinceStartMs'),
    cpuMs: middle('cpuMs'),
    longestTurnMs: most('longestTurnMs'),
    secondMs: middle('secondMs'),
    secondWrites: most('secondWrites'),
    eventMs: median(eventsMs),
    eventP99Ms: percentile(eventsMs, 0.99),
    heapMiB: most('heapMiB'),
    rssMiB: most('rssMiB'),
  };
}

/** A node with an uplink. */
export function createUplinked(label: string): TestNetns {
  const node = createNetns(label);
  node.batch([...UPLINK.link, ...UPLINK.addresses]);
  return node;
}

async function runProcess(node: TestNetns, peers: number, events: number): Promise<ProcessResult> {
  const words = [process.execPath, ...agentFlags(), '--expose-gc', PROCESS];
  const args = [`--net=${node.path}`, ...words, String(peers), String(events)];
  const { stdout } = await execute('nsenter', args, {
    timeout: PROCESS_TIMEOUT_MS,
    maxBuffer: 1 << 26,
    env: { ...process.env, MALLOC_ARENA_MAX: '1' },
  });
  // What the program prints is a ProcessResult.
  return JSON.parse(stdout) as ProcessResult;
}

/** What an installed agent runs with: it says how much memory is kept. */
function agentFlags(): readonly string[] {
  const lines = readFileSync(LAUNCHER, 'utf8').split('\n');
  return lines
    .filter((line) => !line.startsWith('#'))
    .flatMap((line) => line.match(/--[a-z][\w=-]*/g) ?? []);
}

/** Makes what the first has in the second; gives the time that the two programs took. */
function programByHand(from: TestNetns, to: TestNetns, directory: string, entries: number): number {
  to.batch([
    `link add ${TUNNEL_NAME} mtu 1450 type vxlan id 1 local 192.0.2.1 dstport 8472 nolearning`,
    `link set ${TUNNEL_NAME} up`,
  ]);
  const { ip, bridge } = commandsFor(from);
  const [ipFile, bridgeFile] = [join(directory, 'ip.batch'), join(directory, 'bridge.batch')];
  writeFileSync(ipFile, ip.join('\n'));
  writeFileSync(bridgeFile, bridge.join('\n'));
  const startedAt = performance.now();
  execFileSync('bridge', ['-n', to.name, '-batch', bridgeFile]);
  execFileSync('ip', ['-n', to.name, '-batch', ipFile]);
  const elapsedMs = performance.now() - startedAt;
  const made = commandsFor(to);
  const count = made.ip.length + made.bridge.length;
  if (count !== entries) throw new Error(`by hand there are ${count} entries, not ${entries}`);
  return elapsedMs;
}

/** The commands that make what is there. */
function commandsFor(node: TestNetns): { readonly ip: string[]; readonly bridge: string[] } {
  const netns = netnses.open(node.path);
  const rtnl = openRtnl(netns);
  try {
    return readCommands(rtnl);
  } finally {
    rtnl.close();
    netns.close();
  }
}

function readCommands(rtnl: NodeRtnl) {
  const tunnel = rtnl.link(TUNNEL_NAME)?.index ?? 0;
  const names = new Map(rtnl.links().map(({ index, name }) => [index, name]));
  const routes = [...rtnl.routes(4), ...rtnl.routes(6)].filter(({ protocol }) => protocol === 201);
  return {
    ip: [
      ...rtnl
        .neighbours(tunnel)
        .filter(({ isPermanent }) => isPermanent)
        .map(({ address, mac }) => `neigh replace ${address} lladdr ${mac} dev ${TUNNEL_NAME}`),
      ...routes.map((route) => routeCommand(route, names.get(route.link ?? 0))),
    ],
    bridge: rtnl
      .forwardingEntries(tunnel)
      .map(({ mac, remote }) => `fdb replace ${mac} dev ${TUNNEL_NAME} dst ${remote}`),
  };
}

function routeCommand({ destination, gateway }: Route, device = ''): string {
  const via = gateway?.includes(':') === true && !destination.includes(':') ? 'via inet6' : 'via';
  return `route replace ${destination} ${via} ${gateway} dev ${device} proto 201 metric 201`;
}
