/**
 * bench/flows.ts: what it costs the agent that somebody follows the flows of its node, and that nobody
 * does; and the listing of a large table of connections.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { WEFT_BINARY } from '../support/cluster.ts';
import { serviceManifest } from '../support/manifests.ts';
import { connect, createNetns, type TestNetns } from '../support/netns.ts';
import { until } from '../support/until.ts';
import { type RunningProgram, startIn } from '../support/workloads.ts';
import { compile } from './compile.ts';

const RATE = 5_000;
const SECONDS = 10;
const TABLE = 100_000;
const SERVICES = 1_000;
const TARGET = '10.8.0.2';
/** Of /proc/PID/stat, on every machine that there is. */
const TICKS_PER_SECOND = 100;

const directory = mkdtempSync(join(tmpdir(), 'weft-bench-flows-'));
const runDir = join(directory, 'run');
const node = createNetns('bf-node');
const client = createNetns('bf-client');
const running: RunningProgram[] = [];

try {
  const datagrams = compile(directory, 'datagrams');
  build(node, client);
  const agent = await startAgent();
  const send = (count: number, rate: number) =>
    execFileSync('nsenter', [`--net=${client.path}`, datagrams, TARGET, `${count}`, `${rate}`]);
  const conntrack = (name: string, value: number) =>
    node.run('sysctl', '-qw', `net.netfilter.nf_conntrack_${name}=${value}`);
  const row = (what: string, text: string) => process.stdout.write(`${what.padEnd(44)}${text}\n`);

  conntrack('udp_timeout', 2);
  const atRate = async (what: string) => {
    const before = cpuSeconds(agent.pid);
    const startedAt = performance.now();
    send(RATE * SECONDS, RATE);
    const seconds = (performance.now() - startedAt) / 1000;
    const share = (100 * (cpuSeconds(agent.pid) - before)) / seconds;
    row(what, `${share.toFixed(1)} % of one CPU, lost ${await lost()}`);
  };
  await atRate(`${RATE} new/s, nobody follows`);
  const all = await follow([]);
  await atRate('the same, one reader of all of it');
  await all.end('SIGKILL');
  const one = await follow(['--pod', 'no/such']);
  await atRate('the same, one reader of one pod');
  await one.end('SIGKILL');
  await until('nobody follows', () => !isFollowed());

  conntrack('udp_timeout', 600);
  send(TABLE, 0);
  for (const flags of [[], ['--namespace', 'no'], ['--pod', 'no/such']]) {
    const before = cpuSeconds(agent.pid);
    const startedAt = performance.now();
    const text = list(flags);
    const wall = (performance.now() - startedAt) / 1000;
    const cpu = cpuSeconds(agent.pid) - before;
    const lines = text.split('\n').length - 1;
    row(
      `${TABLE} connections: ${flags.join(' ') || 'all'}`,
      `${lines} lines, ${wall.toFixed(1)} s, agent ${cpu.toFixed(2)} s`,
    );
  }
} finally {
  for (const program of running) await program.end('SIGKILL');
  for (const netns of [node, client]) netns.remove();
  rmSync(directory, { recursive: true, force: true });
}

/** A node that forwards what the client sends to an address that nobody answers for. */
function build(at: TestNetns, from: TestNetns): void {
  connect(
    { netns: at, link: 'c', addresses: ['10.1.0.1/24'] },
    { netns: from, link: 'eth0', addresses: ['10.1.0.2/24'] },
  );
  from.run('ip', 'route', 'add', 'default', 'via', '10.1.0.1');
  at.batch([
    'link add s0 type veth peer name s1',
    'link set s0 up',
    'link set s1 up',
    'addr add 10.9.0.1/16 dev s0',
    'route add 10.8.0.0/16 via 10.9.0.9 dev s0',
    'neigh add 10.9.0.9 lladdr 02:00:00:00:00:09 dev s0',
  ]);
  at.run('sysctl', '-qw', 'net.ipv4.ip_forward=1');
}

async function startAgent(): Promise<RunningProgram> {
  const manifests = join(directory, 'manifests');
  mkdirSync(manifests);
  const services = Array.from({ length: SERVICES }, (_, i) =>
    serviceManifest({ name: `s${i}`, clusterIPs: [`172.30.${i >> 8}.${i & 255}`], port: 80 }),
  );
  const text = services.map((service) => JSON.stringify(service)).join('\n---\n');
  writeFileSync(join(manifests, 'services.yaml'), text);
  const config = {
    ...{ components: ['cni', 'proxy'], nodeName: 'node', manifests, runDir },
    ...{ stateDir: join(directory, 'state'), proxy: { clusterCIDR: '10.1.0.0/24' } },
    cni: { ipamDirectory: join(directory, 'ipam') },
  };
  const file = join(directory, 'weft.json');
  writeFileSync(file, JSON.stringify(config));
  const command = [WEFT_BINARY, 'agent', '--config', file];
  const agent = await startIn(node.path, command, 'services and endpoints read');
  running.push(agent);
  await sleep(2_000);
  return agent;
}

async function follow(flags: readonly string[]): Promise<RunningProgram> {
  // What it prints is not ours to keep.
  const script = `exec ${WEFT_BINARY} flows --follow --output json --run-dir ${runDir} ${flags.join(' ')} > /dev/null`;
  const reader = await startIn(node.path, ['sh', '-c', script], undefined);
  running.push(reader);
  await until('it follows', isFollowed);
  return reader;
}

function list(flags: readonly string[]): string {
  return node.run(WEFT_BINARY, 'flows', '--output', 'json', '--run-dir', runDir, ...flags);
}

function isFollowed(): boolean {
  return node.run('nft', 'list', 'tables').includes('weft-flows');
}

/** Of the process that nsenter has become. */
function cpuSeconds(pid: number): number {
  const [, fields = ''] = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ');
  const [user, system] = fields.split(' ').slice(11, 13).map(Number);
  return ((user ?? 0) + (system ?? 0)) / TICKS_PER_SECOND;
}

async function lost(): Promise<string> {
  const script =
    "fetch('http://127.0.0.1:10249/metrics').then((r) => r.text()).then((t) => process.stdout.write(t))";
  const text = node.run(process.execPath, '-e', script);
  return /^weft_flow_events_lost_total (\d+)$/m.exec(text)?.[1] ?? '?';
}
