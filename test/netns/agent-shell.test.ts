/** The agent as a process, in a node's namespace: what a configuration file and a kernel do to it. */
import { type ChildProcess, execFileSync } from 'node:child_process';
import {
  closeSync,
  constants,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createNetns, type TestNetns } from '../support/netns.ts';

const WEFT = join(import.meta.dirname, '../../src/cli/weft.ts');
const NODE_IP = '192.168.0.1';
const HEALTH = 'http://127.0.0.1:10256';
const METRICS = 'http://127.0.0.1:10249';

let node: TestNetns;
let directory: string;
let agent: ChildProcess;
let output: string;

beforeEach(() => {
  node = createNetns('shell');
  node.run('ip', 'link', 'add', 'eth0', 'type', 'bridge');
  node.run('ip', 'link', 'set', 'eth0', 'up');
  node.run('ip', 'addr', 'add', `${NODE_IP}/24`, 'dev', 'eth0');
  directory = mkdtempSync(join(tmpdir(), 'weft-shell-'));
  mkdirSync(join(directory, 'objects'));
  writeObjects('objects', [NODE, WEB, SLICE]);
  configure({ clusterCIDR: '10.244.0.0/16', nodePortAddresses: ['192.168.0.0/24'] });
});

afterEach(async () => {
  await end();
  node.remove();
  rmSync(directory, { recursive: true, force: true });
});

const NODE = {
  apiVersion: 'v1',
  kind: 'Node',
  metadata: { name: 'node-a' },
  status: { addresses: [{ type: 'InternalIP', address: NODE_IP }] },
};
const WEB = {
  apiVersion: 'v1',
  kind: 'Service',
  metadata: { name: 'web', namespace: 'default' },
  spec: {
    type: 'LoadBalancer',
    externalTrafficPolicy: 'Local',
    healthCheckNodePort: 32000,
    clusterIP: '172.30.0.10',
    clusterIPs: ['172.30.0.10'],
    ipFamilies: ['IPv4'],
    ports: [{ name: 'http', protocol: 'TCP', port: 80, nodePort: 30080 }],
  },
  status: { loadBalancer: { ingress: [{ ip: '203.0.113.10' }] } },
};
const SLICE = {
  apiVersion: 'discovery.k8s.io/v1',
  kind: 'EndpointSlice',
  metadata: {
    name: 'web-1',
    namespace: 'default',
    labels: { 'kubernetes.io/service-name': 'web' },
  },
  addressType: 'IPv4',
  ports: [{ name: 'http', protocol: 'TCP', port: 8080 }],
  endpoints: ['10.244.1.2', '10.244.1.3'].map((address) => ({
    addresses: [address],
    conditions: { ready: true },
    nodeName: 'node-a',
  })),
};

/** Replaces a file as editors do; a half-written one is never there. */
function replaceFile(path: string, text: string): void {
  writeFileSync(join(directory, 'new'), text);
  execFileSync('mv', [join(directory, 'new'), path]);
}

function writeObjects(name: string, objects: readonly object[]): void {
  const text = objects.map((object) => JSON.stringify(object)).join('\n---\n');
  replaceFile(join(directory, 'objects', `${name}.yaml`), text);
}

function configure(proxy: object, others: object = {}): void {
  const settings = {
    components: ['proxy'],
    nodeName: 'node-a',
    manifests: join(directory, 'objects'),
    runDir: join(directory, 'run'),
    stateDir: join(directory, 'state'),
    proxy: { nftables: { minSyncPeriod: '10ms' }, ...proxy, mode: 'nftables' },
    ...others,
  };
  replaceFile(join(directory, 'weft.yaml'), JSON.stringify(settings));
}

function start(stderr: 'pipe' | number = 'pipe'): void {
  output = '';
  agent = node.start(process.execPath, [WEFT, 'agent', '--config', join(directory, 'weft.yaml')], {
    stdio: ['ignore', 'ignore', stderr],
  });
  agent.stderr?.on('data', (chunk) => {
    output += chunk;
  });
}

async function end(): Promise<void> {
  if (agent === undefined || agent.exitCode !== null || agent.signalCode !== null) return;
  const ended = new Promise((resolve) => agent.once('exit', resolve));
  agent.kill('SIGTERM');
  await ended;
}

/** `<status> <body>` of a GET from inside the node; '' when nobody answers. */
function get(url: string): string {
  const script = `fetch(${JSON.stringify(url)}).then(async (r) => process.stdout.write(r.status + ' ' + await r.text()), () => {})`;
  return node.attempt(process.execPath, ['-e', script], 5_000).stdout;
}

const WAIT = { timeout: 15_000, interval: 100 };
const healthy = () => expect.poll(() => get(`${HEALTH}/healthz`).slice(0, 3), WAIT).toBe('200');
const seen = (read: () => string, want: string | RegExp) => expect.poll(read, WAIT).toMatch(want);
const messages = () => output;
const listing = (set: string) =>
  node.attempt('nft', ['list', 'set', 'ip', 'weft-proxy', set]).stdout;
const tables = () => node.run('nft', 'list', 'tables').trim().split('\n').sort();
const metric = (series: string) => () =>
  get(`${METRICS}/metrics`)
    .split('\n')
    .find((line) => line.startsWith(series)) ?? '';

test('a changed file is applied without a restart, a wrong one is not', async () => {
  start();
  await healthy();
  expect(listing('nodeport-ips')).toContain(NODE_IP);
  node.run('ip', 'addr', 'add', '10.9.0.1/24', 'dev', 'eth0');
  configure(
    { clusterCIDR: '10.0.0.0/8', nodePortAddresses: ['10.9.0.0/24'], bindAddressHardFail: true },
    { logLevel: 'debug' },
  );
  await seen(() => listing('nodeport-ips'), /elements = \{ 10\.9\.0\.1 \}/);
  await seen(() => node.run('nft', 'list', 'table', 'ip', 'weft-proxy'), '10.0.0.0/8');
  await seen(metric('weft_config_reload_total{result="applied"}'), / 1$/);
  await seen(messages, /"keys":\["bindAddressHardFail"\],"msg":"[^"]*need a restart/);
  expect(JSON.parse(get(`${METRICS}/configz`).slice(4))['kubeproxy.config.k8s.io']).toMatchObject({
    clusterCIDR: '10.0.0.0/8',
    nodePortAddresses: ['10.9.0.0/24'],
    bindAddressHardFail: false,
  });

  configure({ clusterCIDR: '10.0.0.0/8', nodePortAddresses: ['nonsense'] });
  await seen(metric('weft_config_reload_total{result="invalid"}'), / 1$/);
  await seen(messages, /nodePortAddresses.*nonsense.*not usable, the running one is kept/);
  expect([agent.exitCode, listing('nodeport-ips')]).toEqual([
    null,
    expect.stringContaining('10.9.0.1'),
  ]);
}, 60_000);

test('a connection lives through a change of the rules', async () => {
  node.run('ip', 'route', 'add', 'default', 'via', '192.168.0.254', 'dev', 'eth0', 'onlink');
  const endpoints = [{ addresses: [NODE_IP], conditions: { ready: true }, nodeName: 'node-a' }];
  writeObjects('objects', [NODE, WEB, { ...SLICE, endpoints }]);
  const echo = "require('net').createServer((s) => s.pipe(s)).listen(8080)";
  node.start(process.execPath, ['-e', echo]);
  start();
  await healthy();
  const dial =
    "const s = require('net').connect(80, '172.30.0.10', () => { process.stdin.pipe(s); s.pipe(process.stdout); })";
  const client = node.start(process.execPath, ['-e', dial]);
  let answers = '';
  client.stdout?.on('data', (chunk) => {
    answers += chunk;
  });
  client.stdin?.write('before ');
  await seen(() => answers, 'before');
  const rules = () => node.run('nft', '-s', '-t', 'list', 'table', 'ip', 'weft-proxy');
  const before = rules();
  configure({ clusterCIDR: '10.244.0.0/16', nftables: { masqueradeAll: true } });
  await expect.poll(rules, WAIT).not.toBe(before);
  client.stdin?.write('after');
  await seen(() => answers, 'before after');
}, 60_000);

test('addresses of the node are followed', async () => {
  start();
  await healthy();
  node.run('ip', 'addr', 'add', '192.168.0.7/24', 'dev', 'eth0');
  await seen(() => listing('nodeport-ips'), '192.168.0.7');
  node.run('ip', 'addr', 'del', '192.168.0.7/24', 'dev', 'eth0');
  await expect.poll(() => listing('nodeport-ips'), WAIT).not.toContain('192.168.0.7');
  expect(listing('nodeport-ips')).toContain(NODE_IP);
}, 60_000);

test('load balancers learn how many endpoints are here', async () => {
  start();
  await healthy();
  const url = `http://${NODE_IP}:32000/healthz`;
  await seen(() => get(url), /^200 \{\n\t"service": \{[\s\S]*\t"localEndpoints": 2,\n/);
  writeObjects('objects', [NODE, WEB, { ...SLICE, endpoints: [] }]);
  await seen(() => get(url), /^503 [\s\S]*"localEndpoints": 0/);
  expect(get('http://127.0.0.1:32000/')).toBe('');
  writeObjects('objects', [NODE, SLICE]);
  await expect.poll(() => get(url), WAIT).toBe('');
}, 60_000);

test("kube-proxy's tables go once ours serve; what comes back is left alone", async () => {
  const kubeProxy = ['add table ip kube-proxy', 'add chain ip kube-proxy services'];
  for (const line of ['add table ip theirs', 'add table ip6 kube-proxy', ...kubeProxy]) {
    node.run('nft', line);
  }
  node.run('nft', 'add table ip nat');
  node.run('nft', 'add chain ip nat KUBE-SERVICES');
  start();
  await healthy();
  const left = ['table ip nat', 'table ip theirs', 'table ip weft-proxy', 'table ip6 weft-proxy'];
  await expect.poll(tables, WAIT).toEqual(left);
  await seen(messages, 'took over from kube-proxy');
  await seen(messages, "chains of kube-proxy's iptables mode are there");
  for (const line of kubeProxy) node.run('nft', line);
  await seen(messages, 'kube-proxy writes its table again');
  expect(tables()).toContain('table ip kube-proxy');
}, 60_000);

test('a table put to sleep, and a chain put into it, are noticed and put right', async () => {
  start();
  await healthy();
  const table = () => node.run('nft', '--stateless', 'list', 'table', 'ip', 'weft-proxy');
  const before = table();
  const repaired = metric('weft_nftables_repairs_total{table="ip weft-proxy"}');
  for (const [nth, change] of ['table ip weft-proxy { flags dormant; }', 'chain ip weft-proxy x']
    .map((object) => `add ${object}`)
    .entries()) {
    node.run('nft', change);
    await seen(repaired, new RegExp(` ${nth + 1}$`));
    await expect.poll(table, WAIT).toBe(before);
  }
}, 60_000);

test("with --take-over=false kube-proxy's tables stay", async () => {
  configure({ clusterCIDR: '10.244.0.0/16' }, { takeOver: false });
  node.run('nft', 'add table ip kube-proxy');
  start();
  await healthy();
  await end();
  expect(tables()).toContain('table ip kube-proxy');
}, 60_000);

test('--init-only sets what needs privileges and ends', () => {
  const name = 'nf_conntrack_tcp_timeout_close_wait';
  const timeout = () => node.run('cat', `/proc/sys/net/netfilter/${name}`).trim();
  node.run('nft', 'add table ip loads');
  node.run('nft', 'add chain ip loads conntrack { type filter hook input priority 0; }');
  node.run('nft', 'add rule ip loads conntrack ct state new accept');
  expect(timeout()).not.toBe('1234');
  const { status, stderr } = node.attempt('env', [
    `WEFT_RUN_DIR=${join(directory, 'run')}`,
    process.execPath,
    ...[WEFT, 'proxy', '--init-only', '--conntrack-max-per-core=0'],
    '--conntrack-tcp-timeout-close-wait=1234s',
  ]);
  expect([status, timeout(), stderr.includes('"reason":"--init-only"')]).toEqual([0, '1234', true]);
  expect(tables()).toEqual(['table ip loads']);
}, 60_000);

test("--init-only with the host's root hands over the kubelet's server, without a capability", () => {
  const at = (path: string) => join(directory, path);
  mkdirSync(at('host/etc/kubernetes'), { recursive: true });
  const clusters = [{ name: 'c', cluster: { server: 'https://10.0.0.1:6443' } }];
  const contexts = [{ name: 'n', context: { cluster: 'c', user: 'u' } }];
  const users = [{ name: 'u', user: { token: 'the-secret' } }];
  const kubeconfig = { 'current-context': 'n', clusters, contexts, users };
  writeFileSync(at('host/etc/kubernetes/kubelet.conf'), JSON.stringify(kubeconfig));
  const kubelet = { hostRoot: at('taken') };
  const config = { kubelet, apiServers: ['https://10.0.0.9:6443'], runDir: at('init-run') };
  writeFileSync(at('init.yaml'), JSON.stringify(config));
  const { status, stderr } = node.attempt('setpriv', [
    ...['--bounding-set=-all', '--inh-caps=-all', '--no-new-privs'],
    ...[
      '/usr/bin/env',
      `WEFT_HOST_ROOT=${at('host')}`,
      process.execPath,
      WEFT,
      'agent',
      '--init-only',
    ],
    ...['--config', at('init.yaml')],
  ]);
  expect([status, stderr]).toEqual([0, expect.stringContaining("the kubelet's API server")]);
  const taken = readFileSync(at('taken/etc/kubernetes/kubelet.conf'), 'utf8');
  expect(taken).toContain('https://10.0.0.1:6443');
  expect(taken).not.toContain('the-secret');
}, 60_000);

test('an agent whose log nobody reads works all the same', async () => {
  const path = join(directory, 'log');
  execFileSync('mkfifo', [path]);
  const reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  const writer = openSync(path, constants.O_WRONLY);
  fill(path);
  start(writer);
  closeSync(writer);
  await healthy();
  writeObjects('objects', [NODE, WEB, { ...SLICE, endpoints: SLICE.endpoints.slice(1) }]);
  await seen(() => get(`http://${NODE_IP}:32000/`), '"localEndpoints": 1');
  await end();
  closeSync(reader);
}, 60_000);

/** Leaves no room in a pipe. */
function fill(path: string): void {
  const fd = openSync(path, constants.O_WRONLY | constants.O_NONBLOCK);
  try {
    for (let size = 4096; size >= 1; size = size === 4096 ? 1 : 0) {
      for (let round = 0; round < 100; round++) {
        if (!tryFill(fd, size)) break;
      }
    }
  } finally {
    closeSync(fd);
  }
}

function tryFill(fd: number, size: number): boolean {
  try {
    return writeSync(fd, Buffer.alloc(size, '.')) > 0;
  } catch {
    return false;
  }
}
