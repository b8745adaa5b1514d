/** From a bare node to one whose pods start, with the installed tree and a fake API server beside. */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { AgentStatus } from '../../src/agent/status/values.ts';
import { CNI_BINARY, INSTALL_ROOT, WEFT_BINARY } from '../support/cluster.ts';
import { connect, createNetns, type TestNetns } from '../support/netns.ts';
import { until } from '../support/until.ts';

const API_SERVER = new URL('../support/workloads/api-server.ts', import.meta.url).pathname;
const NODE = 'node-a';

let netns: TestNetns;
let router: TestNetns;
let directory: string;
let api: ChildProcess;
let agent: ChildProcess | undefined;
const pods: TestNetns[] = [];
/** Lines that the API server has printed. */
const told: string[] = [];

const place = (name: string) => join(directory, name);

beforeAll(async () => {
  netns = createNetns('life');
  router = createNetns('life-router');
  directory = mkdtempSync(join(tmpdir(), 'wt-life-'));
  connect(
    { netns: router, link: 'eth0', addresses: ['192.168.0.254/24'] },
    { netns, link: 'eth0', addresses: ['192.168.0.1/24', 'fd00:192:168::1/64'] },
  );
  netns.run('ip', 'route', 'add', 'default', 'via', '192.168.0.254');
  api = netns.start(process.execPath, [API_SERVER, place('kubeconfig')]);
  if (api.stdout === null) throw new Error('no output of the API server');
  createInterface({ input: api.stdout }).on('line', (line) => told.push(line));
  await until('the API server is ready', () => told.includes('ready'));
  putNode([]);
  writeFileSync(
    place('agent.json'),
    JSON.stringify({
      components: ['cni', 'proxy', 'fabric'],
      ...{ nodeName: NODE, kubeconfig: place('kubeconfig') },
      ...{ runDir: place('run'), stateDir: place('state') },
      cni: { ipamDirectory: place('networks'), confDirectory: place('net.d') },
    }),
  );
}, 60_000);

afterAll(async () => {
  await endAgent('SIGKILL');
  for (const each of [...pods, netns, router]) each.remove();
  rmSync(directory, { recursive: true, force: true });
});

function send(command: object): void {
  api.stdin?.write(`${JSON.stringify(command)}\n`);
}

/** What the API server prints for a command. */
async function ask(command: object): Promise<string> {
  const from = told.length;
  send(command);
  await until('the API server answers', () => told.lastIndexOf('done') >= from);
  return told.slice(from).join('\n');
}

function putNode(podCIDRs: readonly string[]): void {
  const addresses = ['192.168.0.1', 'fd00:192:168::1'].map((address) => {
    return { type: 'InternalIP', address };
  });
  const spec = podCIDRs.length === 0 ? {} : { podCIDR: podCIDRs[0], podCIDRs };
  const metadata = { name: NODE, uid: 'uid-a', creationTimestamp: '2026-01-01T00:00:00Z' };
  send({
    put: ['nodes', { apiVersion: 'v1', kind: 'Node', metadata, spec, status: { addresses } }],
  });
}

function startAgent(): { readonly log: () => string } {
  agent = netns.start(WEFT_BINARY, ['agent', '--config', place('agent.json')]);
  let log = '';
  agent.stderr?.on('data', (chunk) => {
    log += chunk;
  });
  return { log: () => log };
}

async function endAgent(signal: NodeJS.Signals): Promise<void> {
  if (agent === undefined) return;
  const ended = once(agent, 'exit');
  agent.kill(signal);
  await ended;
  agent = undefined;
}

function status(): AgentStatus {
  const question = ['status', '--json', '--run-dir', place('run')];
  return JSON.parse(netns.attempt(WEFT_BINARY, question).stdout);
}

const CONFLIST = 'net.d/10-weft.conflist';
const TWO = ['10.244.1.0/24', 'fd00:10:244:1::/64'];

/** Calls the plugin with what the runtime would make of a conflist. */
function cni(verb: string, conflist: string, pod?: TestNetns) {
  const { name, plugins } = JSON.parse(conflist);
  const input = JSON.stringify({ ...plugins[0], name, cniVersion: '1.1.0' });
  const variables = {
    WEFT_RUN_DIR: place('run'),
    CNI_COMMAND: verb,
    CNI_PATH: join(INSTALL_ROOT, 'opt/cni/bin'),
    ...(pod === undefined
      ? {}
      : { CNI_CONTAINERID: pod.name, CNI_NETNS: pod.path, CNI_IFNAME: 'eth0' }),
  };
  const words = Object.entries(variables).map(([key, value]) => `${key}=${value}`);
  writeFileSync(place('stdin'), input);
  const script = `exec env ${words.join(' ')} ${CNI_BINARY} <${place('stdin')}`;
  const { stdout } = netns.attempt('sh', ['-c', script]);
  return stdout === '' ? {} : JSON.parse(stdout);
}

function newPod(): TestNetns {
  const pod = createNetns('life-pod');
  pods.push(pod);
  return pod;
}

function addPod(conflist: string): readonly string[] {
  const { ips = [] } = cni('ADD', conflist, newPod());
  return ips.map(({ address }: { readonly address: string }) => address);
}

const conflist = () => readFileSync(place(CONFLIST), 'utf8');
/** Of the last life of the node: what is on disk, with the key that has pods wait. */
const FORMER = JSON.stringify({
  name: 'weft',
  plugins: [{ type: 'weft', fabric: true, ipam: { type: 'host-local', subnet: '10.244.1.0/24' } }],
});

test('a node without podCIDRs waits, and says so everywhere', async () => {
  const { log } = startAgent();
  await until('it is an event', async () => {
    return /"PodNetworkWaits".*--allocate-node-cidrs/.test(await ask({ created: true }));
  });
  await until('it is logged', () => log().includes('pods do not start before the fabric is ready'));
  const { isHealthy, problems } = status();
  expect([isHealthy, problems.join()]).toEqual([
    false,
    expect.stringMatching(/pods do not start yet: Node node-a has no podCIDRs/),
  ]);
  expect(problems.filter((problem) => problem.includes('--allocate-node-cidrs'))).toHaveLength(1);
  expect(existsSync(place('net.d'))).toBe(false);
  expect(cni('ADD', FORMER, newPod())).toMatchObject({
    code: 11,
    msg: expect.stringContaining('node-a has no podCIDRs'),
  });
  expect(cni('STATUS', FORMER)).toMatchObject({ code: 50 });
  expect(await ask({ show: ['nodes', NODE] })).not.toContain('NetworkUnavailable');
}, 60_000);

test('one that gets them starts pods, with both families, and says that it can', async () => {
  putNode(TWO);
  await until('the condition is set', async () => {
    return /"NetworkUnavailable","status":"False"/.test(await ask({ show: ['nodes', NODE] }));
  });
  expect(cni('STATUS', conflist())).toEqual({});
  const addresses = addPod(conflist());
  expect(addresses).toEqual([
    expect.stringMatching(/^10\.244\.1\.\d+\/24$/),
    expect.stringMatching(/^fd00:10:244:1::\w+\/64$/),
  ]);
  const pod = pods.at(-1);
  expect(pod?.attempt('ping', ['-c1', '-W2', '192.168.0.1']).status).toBe(0);
  expect(readdirSync(place('net.d'))).toEqual(['10-weft.conflist']);
  await until('the agent is healthy', () => status().problems.join() === '');
}, 60_000);

test('another MTU of the underlay is that of new pods, and of their bridge', async () => {
  const mtus = () => {
    const [bridge] = netns.ip<{ mtu: number }[]>('link', 'show', 'weft0');
    return [JSON.parse(conflist()).plugins[0].mtu, bridge?.mtu];
  };
  const [before] = mtus();
  expect(mtus()).toEqual([before, before]);
  netns.run('ip', 'link', 'set', 'eth0', 'mtu', '1400');
  await until('it is lower by as much', () => mtus().join() === `${before - 100},${before - 100}`);
  await until('the pod of before is told of', () => {
    return status()
      .problems.join()
      .includes(`MTU above ${before - 100}`);
  });
  netns.run('ip', 'link', 'set', 'eth0', 'mtu', '1500');
  await until('it is as before', () => mtus().join() === `${before},${before}`);
}, 60_000);

test('pods start while the agent is gone, and the conflist stays', async () => {
  const before = conflist();
  await endAgent('SIGKILL');
  expect(cni('STATUS', before)).toEqual({});
  expect(addPod(before)).toHaveLength(2);
  startAgent();
  await until('it is back', () => status().isHealthy);
  expect(conflist()).toBe(before);
  expect(addPod(before)).toHaveLength(2);
}, 60_000);

test('other podCIDRs: new pods get addresses of them, running ones are told of and keep theirs', async () => {
  putNode(['10.244.7.0/24', 'fd00:10:244:7::/64']);
  await until('the conflist has them', () => conflist().includes('10.244.7.0/24'));
  expect(addPod(conflist())[0]).toMatch(/^10\.244\.7\./);
  await until('running pods are told of', () => {
    return /outside of podCIDRs 10\.244\.7\.0\/24/.test(status().problems.join());
  });
  const listing = () => netns.run('nft', 'list', 'set', 'inet', 'weft-fabric', 'masqueraded-ip');
  await until('and go on reaching the outside', () => {
    return /10\.244\.1\.\d+[,\s]/.test(listing()) && listing().includes('10.244.7.0/24');
  });
  const old = pods.at(1);
  expect(old?.attempt('ping', ['-c1', '-W2', '192.168.0.1']).status).toBe(0);
}, 60_000);

test('the gateway of before goes with the last pod that needs it', async () => {
  const gateways = () => {
    const [bridge] = netns.ip<{ addr_info: { local: string }[] }[]>('addr', 'show', 'weft0');
    return (bridge?.addr_info ?? [])
      .map(({ local }) => local)
      .filter((ip) => !ip.startsWith('fe80'));
  };
  const former = ['10.244.1.1', 'fd00:10:244:1::1'];
  const current = ['10.244.7.1', 'fd00:10:244:7::1'];
  expect(gateways().sort()).toEqual([...former, ...current].sort());
  for (const pod of pods.slice(0, -1)) expect(cni('DEL', conflist(), pod)).toEqual({});
  await endAgent('SIGTERM');
  startAgent();
  await until('it is gone', () => gateways().sort().join() === current.join());
  expect(pods.at(-1)?.attempt('ping', ['-c1', '-W2', '192.168.0.1']).status).toBe(0);
}, 60_000);

test('after a reboot pods wait with the conflist of before, until the fabric is there again', async () => {
  await endAgent('SIGKILL');
  // What a reboot takes: processes, what is in memory, and links.
  rmSync(place('run'), { recursive: true });
  for (const pod of pods.splice(0)) pod.remove();
  for (const link of ['weft0', 'weft-vxlan']) netns.attempt('ip', ['link', 'del', link]);
  const before = conflist();
  expect(cni('STATUS', before)).toMatchObject({ code: 50 });
  const early = newPod();
  expect(cni('ADD', before, early)).toMatchObject({
    code: 11,
    msg: expect.stringContaining('no weft agent with the component fabric has started'),
  });
  expect(cni('DEL', before, early)).toEqual({});
  startAgent();
  await until('STATUS is well', () => Object.keys(cni('STATUS', before)).length === 0);
  expect(addPod(before)).toHaveLength(2);
}, 60_000);

test('cleanup takes the conflist and shuts the gate', async () => {
  await endAgent('SIGTERM');
  expect(existsSync(place(CONFLIST))).toBe(true);
  const before = conflist();
  const directories = ['--run-dir', place('run'), '--cni-conf-dir', place('net.d')];
  const { stdout } = netns.attempt(WEFT_BINARY, ['cleanup', '--component', 'cni', ...directories]);
  expect(stdout).toContain(`removed network configuration ${place(CONFLIST)}`);
  expect(readdirSync(place('net.d'))).toEqual([]);
  expect(cni('STATUS', before)).toMatchObject({ code: 50 });
}, 60_000);
