/** Pods start with their policies or not yet, with the installed tree and a fake API server beside. */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { OUTCOME_EXIT_CODES } from '../../src/agent/debug/explain/outcome.ts';
import type { AgentStatus } from '../../src/agent/status/values.ts';
import { CNI_BINARY, INSTALL_ROOT, WEFT_BINARY } from '../support/cluster.ts';
import { connect, createNetns, type TestNetns } from '../support/netns.ts';
import { until } from '../support/until.ts';

const API_SERVER = new URL('../support/workloads/api-server.ts', import.meta.url).pathname;
const NODE = 'node-a';
const POD_CIDRS = ['10.244.1.0/24', 'fd00:10:244:1::/64'];

let netns: TestNetns;
let router: TestNetns;
let directory: string;
let api: ChildProcess;
let agent: ChildProcess | undefined;
const pods = new Map<string, TestNetns>();
const told: string[] = [];

const place = (name: string) => join(directory, name);

beforeAll(async () => {
  netns = createNetns('policy');
  directory = mkdtempSync(join(tmpdir(), 'wt-policy-life-'));
  router = createNetns('policy-router');
  connect(
    { netns: router, link: 'eth0', addresses: ['192.168.0.254/24'] },
    { netns, link: 'eth0', addresses: ['192.168.0.1/24'] },
  );
  netns.run('ip', 'route', 'add', 'default', 'via', '192.168.0.254');
  api = netns.start(process.execPath, [API_SERVER, place('kubeconfig')]);
  if (api.stdout === null) throw new Error('no output of the API server');
  createInterface({ input: api.stdout }).on('line', (line) => told.push(line));
  await until('the API server is ready', () => told.includes('ready'));
  const status = { addresses: [{ type: 'InternalIP', address: '192.168.0.1' }] };
  const spec = { podCIDR: POD_CIDRS[0], podCIDRs: POD_CIDRS };
  put('nodes', { kind: 'Node', metadata: { name: NODE, uid: 'uid-a' }, spec, status });
  for (const name of ['shop', 'free']) {
    const labels = { 'kubernetes.io/metadata.name': name };
    put('namespaces', { kind: 'Namespace', metadata: { name, labels } });
  }
  const config = {
    components: ['cni', 'proxy', 'fabric', 'policy'],
    ...{ nodeName: NODE, kubeconfig: place('kubeconfig') },
    ...{ runDir: place('run'), stateDir: place('state') },
    cni: { ipamDirectory: place('networks'), confDirectory: place('net.d') },
    policy: { waitForPolicies: '2s' },
  };
  writeFileSync(place('agent.json'), JSON.stringify(config));
}, 60_000);

afterAll(async () => {
  await endAgent('SIGKILL');
  for (const each of [...pods.values(), netns, router]) each.remove();
  rmSync(directory, { recursive: true, force: true });
});

function send(command: object): void {
  api.stdin?.write(`${JSON.stringify(command)}\n`);
}

function put(plural: string, object: object): void {
  send({ put: [plural, object] });
}

const keyOf = (name: string) => name.split('.') as [namespace: string, name: string];

/** `namespace.name`, with the label `pod: <name>`. */
function putPod(pod: string): void {
  const [namespace, name] = keyOf(pod);
  const metadata = { namespace, name, uid: `uid-${pod}`, labels: { pod: name } };
  put('pods', { kind: 'Pod', metadata, spec: { nodeName: NODE, containers: [] }, status: {} });
}

/** Who may reach pods of namespace shop: nobody, or pods by label. */
function putPolicy(from?: string): void {
  const peers = [{ podSelector: { matchLabels: { pod: from } } }];
  const spec = {
    podSelector: {},
    policyTypes: ['Ingress'],
    ...(from === undefined ? {} : { ingress: [{ from: peers }] }),
  };
  const metadata = { namespace: 'shop', name: 'who' };
  put('networkpolicies', { kind: 'NetworkPolicy', metadata, spec });
}

function startAgent(): void {
  agent = netns.start(WEFT_BINARY, ['agent', '--config', place('agent.json')]);
  agent.stderr?.resume();
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

const isReady = () => status().policy?.isReady === true;
const CONFLIST = 'net.d/10-weft.conflist';
const conflist = () => readFileSync(place(CONFLIST), 'utf8');

function commandOf(verb: string, pod: string) {
  const { name, plugins } = JSON.parse(conflist());
  const input = JSON.stringify({ ...plugins[0], name, cniVersion: '1.1.0' });
  const own = pods.get(pod) ?? createNetns('policy-pod');
  pods.set(pod, own);
  const [namespace, podName] = keyOf(pod);
  const variables = {
    WEFT_RUN_DIR: place('run'),
    CNI_COMMAND: verb,
    CNI_PATH: join(INSTALL_ROOT, 'opt/cni/bin'),
    CNI_CONTAINERID: own.name,
    CNI_NETNS: own.path,
    CNI_IFNAME: 'eth0',
    CNI_ARGS: `IgnoreUnknown=1;K8S_POD_NAMESPACE=${namespace};K8S_POD_NAME=${podName};K8S_POD_UID=uid-${pod}`,
  };
  const words = Object.entries(variables).map(([key, value]) => `'${key}=${value}'`);
  const stdin = place(`stdin-${pod}`);
  writeFileSync(stdin, input);
  return ['-c', `exec env ${words.join(' ')} ${CNI_BINARY} <${stdin}`];
}

/** Calls the plugin as the runtime does, and gives its answer. */
function cni(verb: string, pod: string) {
  const { stdout } = netns.attempt('sh', commandOf(verb, pod));
  return stdout === '' ? {} : JSON.parse(stdout);
}

function add(pod: string): readonly string[] {
  const { ips = [], ...rest } = cni('ADD', pod);
  if (ips.length === 0) throw new Error(JSON.stringify(rest));
  return ips.map(({ address }: { readonly address: string }) => address.replace(/\/.*/, ''));
}

/** Whether any of one packet arrives. */
function reaches(from: string, address: string): boolean {
  return pods.get(from)?.attempt('ping', ['-c1', '-W1', address]).status === 0;
}

/** Sends 50 packets a second to each address until it is called, and gives what came back. */
function pinger(from: string, addresses: readonly string[]) {
  const running = addresses.map((address) => {
    const own = pods.get(from);
    if (own === undefined) throw new Error(`no pod ${from}`);
    const ping = own.start('ping', ['-i', '0.02', '-q', address]);
    let text = '';
    ping.stdout?.on('data', (chunk) => {
      text += chunk;
    });
    return { ping, ended: once(ping, 'close'), text: () => text };
  });
  return async () => {
    for (const { ping } of running) ping.kill('SIGINT');
    await Promise.all(running.map(({ ended }) => ended));
    const counts = running.map(({ text }) => {
      const [, sent = 0, received = 0] =
        /(\d+) packets transmitted, (\d+) received/.exec(text()) ?? [];
      return { sent: Number(sent), received: Number(received) };
    });
    return {
      isSent: counts.every(({ sent }) => sent > 10),
      received: counts.reduce((sum, { received }) => sum + received, 0),
    };
  };
}

/** The IPv4 address that the next pod gets: host-local counts on. */
function nextAddress(): string {
  const last = readFileSync(place('networks/weft/last_reserved_ip.0'), 'utf8').trim();
  return last.replace(/\d+$/, (digits) => String(Number(digits) + 1));
}

test('a node becomes ready with its policies, and its network configuration waits for that', async () => {
  putPolicy();
  startAgent();
  await until('policies are enforced', isReady);
  await until('pods may start', () => existsSync(place(CONFLIST)));
  expect(JSON.parse(conflist()).plugins[0]).toMatchObject({ policy: true, fabric: true });
  expect(status().policy).toMatchObject({ policies: { network: 1, cluster: 0 }, localPods: 0 });
}, 60_000);

test('a pod of a namespace without policies starts before the API tells of it', () => {
  expect(add('free.client')).toHaveLength(2);
});

test('one that a policy may select waits for the API, in bounds, and is refused with 11', () => {
  const began = performance.now();
  expect(cni('ADD', 'shop.web')).toMatchObject({
    code: 11,
    msg: expect.stringContaining('has not told of the pod'),
  });
  expect(performance.now() - began).toBeGreaterThan(1_900);
  expect(netns.run('ip', '-br', 'link')).not.toContain(pods.get('shop.web')?.name ?? '');
  expect(cni('DEL', 'shop.web')).toEqual({});
}, 30_000);

let web: readonly string[];

test('what the API tells meanwhile ends the wait, and no packet gets in, then or later', async () => {
  const pod = pods.get('shop.web');
  const adding = netns.start('sh', commandOf('ADD', 'shop.web'));
  let stdout = '';
  adding.stdout?.on('data', (chunk) => {
    stdout += chunk;
  });
  const ended = once(adding, 'close');
  setTimeout(() => putPod('shop.web'), 500);
  await ended;
  web = JSON.parse(stdout).ips.map(({ address }: { address: string }) =>
    address.replace(/\/.*/, ''),
  );
  for (const address of web) expect(reaches('free.client', address)).toBe(false);
  // The pod itself, and its node, are let in.
  expect(pod?.attempt('ping', ['-c1', '-W1', '10.244.1.1']).status).toBe(0);
  expect(netns.attempt('ping', ['-c1', '-W1', web[0] ?? '']).status).toBe(0);
  expect(status().policy?.subjects).toBeGreaterThan(0);
}, 60_000);

test('who is allowed gets in at once, the others do not', async () => {
  putPod('shop.friend');
  add('shop.friend');
  putPolicy('friend');
  await until('the friend gets in', () => reaches('shop.friend', web[0] ?? ''));
  expect(reaches('shop.friend', web[1] ?? '')).toBe(true);
  expect(reaches('free.client', web[0] ?? '')).toBe(false);
}, 60_000);

test('people see which policy does it, and to whom', async () => {
  const say = (...words: readonly string[]) =>
    netns.run(WEFT_BINARY, ...words, '--run-dir', place('run'));
  const ask = (...words: readonly string[]) => JSON.parse(say(...words));
  const reason =
    'ingress: NetworkPolicy shop/who isolates shop/web and allows no TCP 80 from free/client';
  putPod('free.client');
  await until('the client is known', () => say('policy', 'pod', 'free/client'));
  // What is denied within a second is told by what was known then, and pings were denied before.
  await new Promise((resolve) => setTimeout(resolve, 1_500));
  pods.get('free.client')?.attempt('bash', ['-c', `true >/dev/tcp/${web[0]}/80`]);
  await until('the denied connection is told', () => {
    const lines = say('policy', 'denied', '--output', 'json').trim().split('\n');
    const denied = lines.map((line) => JSON.parse(line)).find(({ port }) => port === 80);
    if (denied !== undefined) {
      expect(denied).toMatchObject({
        from: 'free/client',
        to: 'shop/web',
        protocol: 'TCP',
        reason,
      });
    }
    return denied;
  });
  expect(say('policy', 'denied')).toContain('free/client -> shop/web:80/tcp');
  const { policies } = ask('policy', 'list', '--output', 'json');
  expect(policies).toMatchObject([{ policy: 'shop/who', podCount: 2, directions: ['ingress'] }]);
  expect(ask('policy', 'pod', 'web', '--output', 'json')).toMatchObject({
    ...{ pod: 'shop/web', isLocal: true },
    ingress: { isolatedBy: ['shop/who'], rules: [{ action: 'Accept' }] },
  });
  const question = ['explain', '--from', 'free/client', '--to', 'shop/web:80', '--json'];
  const explained = netns.attempt(WEFT_BINARY, [...question, '--run-dir', place('run')]);
  expect(explained.status).toBe(OUTCOME_EXIT_CODES.dropped);
  expect(JSON.parse(explained.stdout)).toMatchObject({
    policies: [{ name: 'shop/web', isAllowed: false, deniedBy: 'shop/web', reason }],
    doubts: [],
  });
}, 60_000);

test('what denied connections are answered, and whether they are told, changes with the file', async () => {
  const configFile = place('agent.json');
  const before = readFileSync(configFile, 'utf8');
  const config = JSON.parse(before);
  /** 124: nobody has answered. */
  const connectStatus = () => {
    const open = `exec 3<>/dev/tcp/${web[0]}/80`;
    return pods.get('free.client')?.attempt('timeout', ['1', 'bash', '-c', open]).status;
  };
  const rules = () => netns.run('nft', 'list', 'table', 'inet', 'weft-policy');
  expect([connectStatus(), rules()]).toEqual([1, expect.stringContaining('log prefix')]);
  // Other rules are another table, and no packet meets it half.
  const count = pinger('free.client', web);
  const policy = { ...config.policy, deniedInside: 'drop', logDenied: false };
  writeFileSync(configFile, JSON.stringify({ ...config, policy }));
  await until('nobody is answered', () => connectStatus() === 124);
  expect(rules()).not.toContain('log prefix');
  writeFileSync(configFile, before);
  await until('it is refused again', () => connectStatus() === 1);
  expect(rules()).toContain('log prefix');
  expect(await count()).toEqual({ isSent: true, received: 0 });
}, 60_000);

test('an agent that is killed leaves what holds; pods wait for it, DEL does not', async () => {
  putPolicy();
  await endAgent('SIGKILL');
  expect(reaches('free.client', web[0] ?? '')).toBe(false);
  expect(cni('ADD', 'shop.later')).toMatchObject({
    code: 11,
    msg: expect.stringContaining('no weft agent'),
  });
  expect(cni('STATUS', 'shop.later')).toEqual({});
  expect(cni('DEL', 'shop.friend')).toEqual({});
  startAgent();
  const leaks: string[] = [];
  await until('it is back', () => {
    if (reaches('free.client', web[0] ?? '')) leaks.push('in');
    return isReady();
  });
  expect(leaks).toEqual([]);
  await until('nobody is allowed any more', () => !reaches('shop.friend', web[0] ?? ''));
  putPod('shop.later');
  expect(add('shop.later')).toHaveLength(2);
}, 90_000);

test('one that is killed again and again while policies change never lets anybody in', async () => {
  const count = pinger('free.client', web);
  for (let round = 0; round < 5; round++) {
    putPolicy(`friend-${round}`);
    setTimeout(() => putPolicy(`other-${round}`), 200 * round);
    await new Promise((resolve) => setTimeout(resolve, 300 + 150 * round));
    await endAgent('SIGKILL');
    startAgent();
    putPolicy(`late-${round}`);
  }
  putPolicy();
  await until('it is back', isReady);
  expect(await count()).toEqual({ isSent: true, received: 0 });
}, 90_000);

test('no packet reaches a pod that starts, however often one does', async () => {
  for (let i = 0; i < 5; i++) {
    const pod = `shop.start-${i}`;
    const next = nextAddress();
    const count = pinger('free.client', [next]);
    putPod(pod);
    expect(add(pod)).toContain(next);
    await new Promise((resolve) => setTimeout(resolve, 1_000));
    expect(await count()).toEqual({ isSent: true, received: 0 });
    expect(pods.get(pod)?.attempt('ping', ['-c1', '-W1', '10.244.1.1']).status).toBe(0);
  }
  // Where no policy selects the pod the same packets do arrive.
  const count = pinger('free.client', [nextAddress()]);
  add('free.open');
  await new Promise((resolve) => setTimeout(resolve, 2_000));
  expect((await count()).received).toBeGreaterThan(0);
}, 90_000);

test('nobody opens anything while the API server is away, whoever starts', async () => {
  await endAgent('SIGKILL');
  api.kill('SIGSTOP');
  startAgent();
  const end = performance.now() + 12_000;
  while (performance.now() < end) expect(reaches('free.client', web[0] ?? '')).toBe(false);
  expect(cni('ADD', 'shop.away')).toMatchObject({ code: 11 });
  expect(status().policy?.isReady).toBe(false);
  api.kill('SIGCONT');
  await until('the agent goes on', isReady);
  expect(reaches('free.client', web[0] ?? '')).toBe(false);
}, 120_000);

test('without its policy a pod is open again', async () => {
  send({ delete: ['networkpolicies', 'shop/who'] });
  await until('everybody gets in', () => reaches('free.client', web[0] ?? ''));
}, 60_000);

test('an agent without the component leaves the rules, and says that nobody keeps them', async () => {
  await endAgent('SIGTERM');
  const config = JSON.parse(readFileSync(place('agent.json'), 'utf8'));
  const components = ['cni', 'proxy', 'fabric'];
  writeFileSync(place('agent.json'), JSON.stringify({ ...config, components }));
  startAgent();
  await until('it says so', () => {
    return status().problems.join().includes('nobody keeps it up to date');
  });
  await until('pods no longer wait for it', () => !('policy' in JSON.parse(conflist()).plugins[0]));
}, 60_000);

test('cleanup takes the table away, beside an agent that does not serve it', async () => {
  const refused = netns.attempt(WEFT_BINARY, ['cleanup', '--run-dir', place('run')]);
  expect(refused.stderr).toContain('is using it');
  const tables = () => netns.run('nft', 'list', 'tables');
  expect(tables()).toContain('inet weft-policy');
  const words = ['--component', 'policy', '--run-dir', place('run')];
  const said = netns.run(WEFT_BINARY, 'cleanup', ...words);
  expect([said, tables()]).toEqual([
    expect.stringMatching(
      /^removed table inet weft-policy\nremoved checks of senders' addresses at ports of \d+ pods\n$/,
    ),
    expect.not.stringContaining('weft-policy'),
  ]);
  await until('nobody speaks of it', () => !status().problems.join().includes('weft-policy'));
}, 60_000);
