/** The API server lies or is gone: pods go on, and get addresses. Two nodes with the installed agent. */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { AgentStatus } from '../../src/agent/status/values.ts';
import { CNI_BINARY, INSTALL_ROOT, WEFT_BINARY } from '../support/cluster.ts';
import { connect, createNetns, type TestNetns } from '../support/netns.ts';
import { until } from '../support/until.ts';

const API_SERVER = new URL('../support/workloads/api-server.ts', import.meta.url).pathname;
const FAST_CLOCK = new URL('../support/fast-clock.ts', import.meta.url).href;
const ROUTER = '192.168.0.254';
/** Nodes that nobody has started. */
const OTHERS = [3, 4, 5, 6];
const SPEED = 150;
/** Up to a minute passes between two tries. */
const RETRY_SPEED = 10;
const HOUR_MS = 3_600_000;

interface Node {
  readonly n: number;
  readonly name: string;
  readonly netns: TestNetns;
  readonly place: (name: string) => string;
  agent: ChildProcess | undefined;
  log: string;
}

interface Pod {
  readonly netns: TestNetns;
  readonly addresses: readonly string[];
}

let directory: string;
let router: TestNetns;
let api: ChildProcess;
let nodes: readonly [Node, Node];
const made: TestNetns[] = [];
const told: string[] = [];

function make(label: string): TestNetns {
  const netns = createNetns(label);
  made.push(netns);
  return netns;
}

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'wt-loss-'));
  router = make('loss-router');
  router.batch(['link add lan type bridge', 'link set lan up', `addr add ${ROUTER}/24 dev lan`]);
  router.run('ip', 'addr', 'add', 'fd00:192::fe/64', 'dev', 'lan', 'nodad');
  const kubeconfig = join(directory, 'kubeconfig');
  api = router.start(process.execPath, [API_SERVER, kubeconfig, ROUTER]);
  if (api.stdout === null) throw new Error('no output of the API server');
  createInterface({ input: api.stdout }).on('line', (line) => told.push(line));
  await until('the API server is ready', () => told.includes('ready'));
  nodes = [makeNode(1, kubeconfig), makeNode(2, kubeconfig)];
  for (const n of [1, 2, ...OTHERS]) await ask({ put: ['nodes', nodeObject(n)] });
  for (const node of nodes) startAgent(node);
  for (const node of nodes) await until(`${node.name} is ready`, () => isReady(node));
}, 60_000);

afterAll(async () => {
  for (const node of nodes ?? []) await endAgent(node);
  for (const netns of made) netns.remove();
  rmSync(directory, { recursive: true, force: true });
});

function nodeObject(n: number): object {
  const addresses = [`192.168.0.${n}`, `fd00:192::${n}`].map((address) => ({
    ...{ type: 'InternalIP', address },
  }));
  const podCIDRs = [`10.244.${n}.0/24`, `fd00:244:${n}::/64`];
  const metadata = { name: `node-${n}`, uid: `uid-${n}` };
  const spec = { podCIDR: podCIDRs[0], podCIDRs };
  return { apiVersion: 'v1', kind: 'Node', metadata, spec, status: { addresses } };
}

function makeNode(n: number, kubeconfig: string): Node {
  const name = `node-${n}`;
  const netns = make(`loss-n${n}`);
  const home = join(directory, name);
  mkdirSync(home);
  const place = (file: string) => join(home, file);
  connect(
    { netns: router, link: `to-${n}` },
    { netns, link: 'eth0', addresses: [`192.168.0.${n}/24`, `fd00:192::${n}/64`] },
  );
  router.run('ip', 'link', 'set', `to-${n}`, 'master', 'lan');
  netns.run('ip', 'route', 'add', 'default', 'via', ROUTER);
  writeFileSync(
    place('agent.json'),
    JSON.stringify({
      components: ['cni', 'proxy', 'fabric'],
      ...{ nodeName: name, kubeconfig, runDir: place('run'), stateDir: place('state') },
      cni: { ipamDirectory: place('networks'), confDirectory: place('net.d') },
    }),
  );
  return { n, name, netns, place, agent: undefined, log: '' };
}

function startAgent(node: Node): void {
  const env = { NODE_OPTIONS: `--import=${FAST_CLOCK}`, FAST_CLOCK_FILE: join(directory, 'speed') };
  const words = Object.entries(env).map(([key, value]) => `${key}=${value}`);
  const config = ['agent', '--config', node.place('agent.json')];
  node.agent = node.netns.start('env', [...words, WEFT_BINARY, ...config]);
  node.agent.stderr?.on('data', (chunk) => {
    node.log += chunk;
  });
}

async function endAgent(node: Node): Promise<void> {
  if (node.agent === undefined) return;
  const ended = once(node.agent, 'exit');
  node.agent.kill('SIGKILL');
  await ended;
  node.agent = undefined;
}

/** How many times faster clocks of agents run from now on. */
function setClocks(factor: number): void {
  writeFileSync(join(directory, 'speed'), String(factor));
}

async function ask(command: object): Promise<void> {
  const from = told.length;
  api.stdin?.write(`${JSON.stringify(command)}\n`);
  await until('the API server answers', () => told.lastIndexOf('done') >= from);
}

/** Watches tell of those that lists lacked. */
async function showAll(): Promise<void> {
  await ask({ hide: ['Node', []] });
  for (const n of [2, ...OTHERS]) await ask({ put: ['nodes', nodeObject(n)] });
}

function status({ netns, place }: Node): AgentStatus {
  const { stdout } = netns.attempt(WEFT_BINARY, ['status', '--json', '--run-dir', place('run')]);
  return JSON.parse(stdout);
}

function isReady(node: Node): boolean {
  const { fabric } = status(node);
  return fabric?.isReady === true && fabric.isOpen;
}

/** As the runtime does, with the agent's own network configuration. */
function addPod({ netns, place }: Node): Pod {
  const pod = make('loss-pod');
  const { name, plugins } = JSON.parse(readFileSync(place('net.d/10-weft.conflist'), 'utf8'));
  writeFileSync(place('stdin'), JSON.stringify({ ...plugins[0], name, cniVersion: '1.1.0' }));
  const variables = {
    ...{
      WEFT_RUN_DIR: place('run'),
      CNI_COMMAND: 'ADD',
      CNI_PATH: join(INSTALL_ROOT, 'opt/cni/bin'),
    },
    ...{ CNI_CONTAINERID: pod.name, CNI_NETNS: pod.path, CNI_IFNAME: 'eth0' },
  };
  const words = Object.entries(variables).map(([key, value]) => `${key}=${value}`);
  const script = `exec env ${words.join(' ')} ${CNI_BINARY} <${place('stdin')}`;
  const { ips = [], ...rest } = JSON.parse(netns.attempt('sh', ['-c', script]).stdout);
  if (ips.length !== 2) throw new Error(JSON.stringify(rest));
  const addresses = ips.map(({ address }: { address: string }) => address.replace(/\/.*/, ''));
  return { netns: pod, addresses };
}

function reaches({ netns }: Pod, { addresses }: Pod): boolean {
  return addresses.every(
    (address) => netns.attempt('ping', ['-c1', '-W2', '-n', address]).status === 0,
  );
}

/** Pings both addresses a hundred times a second until it is called, which gives how many were lost. */
function pinging(from: Pod, to: Pod) {
  const pings = to.addresses.map((address) => {
    const ping = from.netns.start('ping', ['-i0.01', '-W2', '-n', '-q', address]);
    let text = '';
    ping.stdout?.on('data', (chunk) => {
      text += chunk;
    });
    return { ping, ended: once(ping, 'close'), text: () => text };
  });
  return async () => {
    await sleep(200);
    for (const { ping } of pings) ping.kill('SIGINT');
    await Promise.all(pings.map(({ ended }) => ended));
    return pings.map(({ text }) => {
      const [, sent = 0, received = 0] =
        /(\d+) packets transmitted, (\d+) received/.exec(text()) ?? [];
      expect(Number(sent)).toBeGreaterThan(50);
      // The last one may be on its way when the program ends.
      return Math.max(0, Number(sent) - Number(received) - 1);
    });
  };
}

let running: readonly [Pod, Pod];

test('half of the Nodes are missing from a list: their pods are reached, and it is told', async () => {
  const [a, b] = nodes;
  running = [addPod(a), addPod(b)];
  await until('pods reach each other', () => reaches(running[0], running[1]));
  const lost = pinging(running[0], running[1]);
  const routes = a.netns.run('ip', 'route', 'show', 'proto', '201');
  await ask({ hide: ['Node', ['node-2', 'node-3', 'node-4']] });
  const problem = await until('status says it', () =>
    status(a).problems.find((each) => each.includes('list of nodes lacks')),
  );
  expect(problem).toMatch(/lacks 3 that were there, too many at once: they are kept/);
  const line = 'deletions are held back until a later list confirms them';
  await until('the log says it', () => a.log.includes(line));
  const metrics = a.netns.run('curl', '-s', 'http://127.0.0.1:10249/metrics');
  expect(metrics).toContain('weft_kube_withheld_objects{resource="nodes"} 3');
  expect(a.netns.run('ip', 'route', 'show', 'proto', '201')).toBe(routes);
  expect(reaches(addPod(a), addPod(b))).toBe(true);
  await showAll();
  await until('all is well again', () => status(a).problems.length === 0);
  expect(await lost()).toEqual([0, 0]);
}, 60_000);

test('fewer than half that are missing are gone', async () => {
  const [a] = nodes;
  await ask({ hide: ['Node', ['node-5', 'node-6']] });
  const routes = () => a.netns.run('ip', 'route', 'show', 'proto', '201');
  await until('their routes are gone', () => !/10\.244\.[56]\./.test(routes()));
  expect(routes()).toContain('10.244.2.0/24');
  await showAll();
  await until('their routes are back', () => /10\.244\.6\./.test(routes()));
}, 60_000);

test('the API server is gone for an hour: pods go on and new ones start', async () => {
  const [a, b] = nodes;
  const lost = pinging(running[0], running[1]);
  await ask({ stop: true });
  const before = addPod(a);
  setClocks(SPEED);
  await sleep((HOUR_MS / SPEED) * 1.05);
  setClocks(RETRY_SPEED);
  const { isHealthy, problems, source } = status(a);
  expect(isHealthy).toBe(false);
  expect(problems.join('\n')).toMatch(
    /: connection refused, for 3[6-9]\d\d s; what was last read is served/,
  );
  expect(source?.isSynced).toBe(true);
  const [later, other] = [addPod(a), addPod(b)];
  await until('new ones reach each other', () => reaches(later, other) && reaches(other, before));
  expect(reaches(later, running[1])).toBe(true);
  expect(await lost()).toEqual([0, 0]);
}, 90_000);

test('an agent that starts meanwhile goes on with what was known', async () => {
  const [a, b] = nodes;
  const lost = pinging(running[0], running[1]);
  await endAgent(a);
  startAgent(a);
  const problem = await until('it says so', () =>
    status(a).problems.find((each) => each.includes('objects of the last run stand in')),
  );
  expect(problem).toContain('the API server is not reached');
  await until('it is ready', () => isReady(a));
  const [later, other] = [addPod(a), addPod(b)];
  await until('new ones reach each other', () => reaches(later, other));
  await ask({ start: true });
  for (const node of nodes) {
    await expect.poll(() => status(node).problems, { timeout: 60_000, interval: 500 }).toEqual([]);
  }
  expect(await lost()).toEqual([0, 0]);
}, 150_000);

/** The condition that the Node has in the API server, of the kind that the fabric's probes set. */
async function pathCondition({ name }: Node): Promise<object | undefined> {
  await ask({ show: ['nodes', name] });
  const { status: shown } = JSON.parse(told.at(-2) ?? '{}');
  const conditions: readonly { readonly type: string }[] = shown?.conditions ?? [];
  return conditions.find(({ type }) => type === 'weft.dev/PathMTUTooSmall');
}

test('a way that passes less than pods send is a condition of the Node', async () => {
  const [a] = nodes;
  const wanted = (condition: object) =>
    expect
      .poll(() => pathCondition(a), { timeout: 90_000, interval: 500 })
      .toMatchObject(condition);
  await wanted({ status: 'False', reason: 'PacketsArrive' });
  router.run('ip', 'link', 'set', 'to-2', 'mtu', '1400');
  await wanted({
    ...{ status: 'True', reason: 'PacketsDoNotArrive' },
    message: expect.stringMatching(
      /^node node-2: packets of 1450 bytes.* set fabric\.mtu: 1[34]\d\d/,
    ),
  });
}, 200_000);
