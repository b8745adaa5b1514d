/**
 * The installed agent with BIRD beside it: a Service of type LoadBalancer gets an address of a pool, the
 * router of the rack learns it, and unlearns it with the last endpoint.
 */
import type { ChildProcess } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { RoutingStatus } from '../../src/agent/status/routing-status.ts';
import { openBirdSocket } from '../../src/routing/bird-socket.ts';
import { startRouter } from '../support/bird-lab.ts';
import { WEFT_BINARY } from '../support/cluster.ts';
import { connect, createNetns, type TestNetns } from '../support/netns.ts';
import { service, slice } from '../support/proxy-objects.ts';
import { until } from '../support/until.ts';

const API_SERVER = join(import.meta.dirname, '../support/workloads/api-server.ts');
const PASSWORD = 'a password nobody is told';
const ADDRESS = '198.51.100.7';

let node: TestNetns;
let rack: TestNetns;
let router: ReturnType<typeof startRouter>;
let api: ChildProcess;
let agent: ChildProcess | undefined;
let directory: string;
let log = '';

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'wt-routing-'));
  node = createNetns('rt-n');
  rack = createNetns('rt-r');
  connect(
    { netns: node, link: 'eth0', addresses: ['192.0.2.1/24'] },
    { netns: rack, link: 'eth0', addresses: ['192.0.2.254/24'] },
  );
  router = startRouter(
    rack,
    `router id 192.0.2.254;
protocol device {}
protocol bgp node {
  local 192.0.2.254 as 64999; neighbor 192.0.2.1 as 64512; password "${PASSWORD}";
  connect delay time 1; connect retry time 2; error wait time 1, 4;
  ipv4 { import all; export none; };
}
`,
  );
  await startApi();
  put('nodes', 'v1', 'Node', {
    metadata: { name: 'node-a', labels: { rack: 'a' } },
    spec: { podCIDRs: ['10.244.1.0/24'] },
    status: { addresses: [{ type: 'InternalIP', address: '192.0.2.1' }] },
  });
  put('addresspools', 'weft.dev/v1alpha1', 'AddressPool', {
    metadata: { name: 'public' },
    spec: { addresses: [`${ADDRESS}-198.51.100.9`] },
  });
  putSlice(['10.0.0.1']);
  await startAgent();
  startBird();
}, 60_000);

afterAll(() => {
  router?.remove();
  node?.remove();
  rack?.remove();
  rmSync(directory, { recursive: true, force: true });
});

async function startApi(): Promise<void> {
  api = node.start(process.execPath, [API_SERVER, join(directory, 'kubeconfig')]);
  let answers = '';
  api.stdout?.on('data', (chunk) => {
    answers += chunk;
  });
  await until('the API server is ready', () => answers.startsWith('ready'));
}

function put(plural: string, apiVersion: string, kind: string, object: object): void {
  api.stdin?.write(`${JSON.stringify({ put: [plural, { apiVersion, kind, ...object }] })}\n`);
}

function putSlice(endpoints: readonly string[]): void {
  put(
    'endpointslices',
    'discovery.k8s.io/v1',
    'EndpointSlice',
    slice({ service: 'web', endpoints }),
  );
}

function putService(): void {
  const { spec, ...object } = service('web', '172.30.0.10');
  put('services', 'v1', 'Service', { ...object, spec: { ...spec, type: 'LoadBalancer' } });
}

async function startAgent(): Promise<void> {
  const secret = join(directory, 'secret');
  writeFileSync(secret, `${PASSWORD}\n`);
  const file = join(directory, 'weft.json');
  const config = {
    ...{ components: ['proxy', 'routing'], nodeName: 'node-a', runDir: join(directory, 'run') },
    ...{ kubeconfig: join(directory, 'kubeconfig'), stateDir: join(directory, 'state') },
    routing: {
      ...{ directory: join(directory, 'bird'), advertise: ['podCIDRs', 'loadBalancerIPs'] },
      loadBalancers: true,
      peers: [
        {
          name: 'rack',
          nodes: 'rack=a',
          address: '192.0.2.254',
          asn: 64_999,
          passwordFile: secret,
        },
      ],
    },
  };
  writeFileSync(file, JSON.stringify(config));
  agent = node.start(WEFT_BINARY, ['agent', '--config', file]);
  agent.stderr?.on('data', (chunk) => {
    log += chunk;
  });
  await until('the configuration is written', () => statSync(birdFile('bird.conf')).size > 0);
}

function startBird(): void {
  mkdirSync(join(directory, 'bird'), { recursive: true });
  node.start('bird', ['-f', '-c', birdFile('bird.conf'), '-s', birdFile('bird.ctl')]);
}

function birdFile(name: string): string {
  return join(directory, 'bird', name);
}

async function stopAgent(): Promise<void> {
  const ended = new Promise((resolve) => agent?.once('exit', resolve));
  agent?.kill('SIGTERM');
  await ended;
}

async function isLearned(network: string): Promise<boolean> {
  const lines = await router.ask(`show route for ${network}`);
  return lines.some(({ text }) => text.includes('[node'));
}

function bgp(...flags: readonly string[]) {
  return node.attempt(WEFT_BINARY, ['bgp', '--run-dir', join(directory, 'run'), ...flags]);
}

function status(): RoutingStatus {
  // The shape is this test's to read; a wrong one fails its assertions.
  return JSON.parse(bgp('--output', 'json').stdout) as RoutingStatus;
}

test('the router learns the podCIDR of the node', async () => {
  await until('it does', () => isLearned('10.244.1.0/24'));
  await until('weft knows', () => status().sessions[0]?.state === 'Established');
  // BIRD was not there at first, which is told until the next look.
  await until('nothing is wrong', () => status().problems.length === 0);
});

test('a Service gets an address, which the router learns', async () => {
  putService();
  await until('the router knows it', () => isLearned(`${ADDRESS}/32`));
  expect(bgp('--address', ADDRESS).stdout).toContain('(ns/web) is told to rack');
  const { stdout, status: code } = bgp();
  expect(stdout).toContain(`${ADDRESS}/32  yes   ns/web`);
  expect(stdout).toMatch(/public +1 +3 {2}ns\/web/);
  expect(code).toBe(0);
});

test('it is taken back with the last endpoint, and told again with the next', async () => {
  putSlice([]);
  await until('the router forgot it', async () => !(await isLearned(`${ADDRESS}/32`)));
  expect(bgp().stdout).toContain('no    ns/web: no endpoint is ready');
  expect(bgp('--address', ADDRESS)).toMatchObject({
    ...{ status: 1, stdout: expect.stringContaining('is not told: no endpoint is ready') },
  });
  putSlice(['10.0.0.2']);
  await until('the router knows it', () => isLearned(`${ADDRESS}/32`));
});

test('another start takes nothing back and resets no session', async () => {
  const since = async () => {
    const lines = await openBirdSocket(birdFile('bird.ctl'))('show protocols');
    return lines.find(({ text }) => text.startsWith('peer_'))?.text;
  };
  const before = await since();
  await stopAgent();
  expect(await isLearned(`${ADDRESS}/32`)).toBe(true);
  await startAgent();
  await until('weft knows', () => status().pools?.isAllocator === true);
  expect(await since()).toBe(before);
  expect(await isLearned(`${ADDRESS}/32`)).toBe(true);
});

test('a neighbour with another password is named as such, by doctor too', async () => {
  writeFileSync(join(directory, 'secret'), 'another one');
  const state = () => status().sessions[0]?.state;
  await until('the session ends', () => state() !== 'Established');
  await until('weft bgp names it', () => status().problems.join().includes('another password'));
  const doctor = node.attempt(WEFT_BINARY, ['doctor', '--run-dir', join(directory, 'run')]);
  expect(doctor.stdout).toMatch(/bgp-sessions/);
  expect(doctor.stdout.replace(/\s+/g, ' ')).toContain('segments of another password come');
  writeFileSync(join(directory, 'secret'), PASSWORD);
  await until('it is well again', () => state() === 'Established');
});

test('the password is in one file for root, and nowhere else', () => {
  expect(readFileSync(birdFile('bird.conf'), 'utf8')).toContain(PASSWORD);
  expect(statSync(birdFile('bird.conf')).mode & 0o777).toBe(0o600);
  expect(log).not.toContain(PASSWORD);
  expect(bgp('--output', 'json').stdout).not.toContain(PASSWORD);
});
