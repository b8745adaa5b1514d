/** The agent beside an API server: what it tells the server, and a start without it. */
import type { ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { AgentStatus } from '../../src/agent/status/values.ts';
import { createNetns, type TestNetns } from '../support/netns.ts';
import { service, slice } from '../support/proxy-objects.ts';

const WEFT = join(import.meta.dirname, '../../src/cli/weft.ts');
const API_SERVER = join(import.meta.dirname, '../support/workloads/api-server.ts');
const WAIT = { timeout: 20_000, interval: 100 };

let node: TestNetns;
let directory: string;
let api: ChildProcess;
let answers = '';

beforeAll(async () => {
  node = createNetns('api');
  directory = mkdtempSync(join(tmpdir(), 'weft-api-'));
  const kubeconfig = join(directory, 'kubeconfig');
  api = node.start(process.execPath, [API_SERVER, kubeconfig]);
  await new Promise<void>((resolve) => {
    api.stdout?.on('data', (chunk) => {
      answers += chunk;
      if (answers.startsWith('ready')) resolve();
    });
  });
  put('nodes', {
    apiVersion: 'v1',
    kind: 'Node',
    metadata: { name: 'node-a' },
    status: { addresses: [{ type: 'InternalIP', address: '192.168.0.1' }] },
  });
  put('servicecidrs', {
    apiVersion: 'networking.k8s.io/v1',
    kind: 'ServiceCIDR',
    metadata: { name: 'kubernetes' },
    spec: { cidrs: ['172.30.0.0/16'] },
  });
  put('services', { apiVersion: 'v1', kind: 'Service', ...service('web', '172.30.0.10') });
  put('endpointslices', {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    ...slice({ service: 'web', endpoints: ['10.0.0.1'] }),
  });
});

afterAll(() => {
  node.remove();
  rmSync(directory, { recursive: true, force: true });
});

function send(command: object): void {
  api.stdin?.write(`${JSON.stringify(command)}\n`);
}

function put(plural: string, object: object): void {
  send({ put: [plural, object] });
}

/** The kept objects are those of one node. */
function startAgent(name = 'node-a', state = stateDir()) {
  const flags = ['--components', 'proxy', '--node-name', name, '--log-level', 'debug'];
  const directories = ['--run-dir', join(directory, 'run'), '--state-dir', state];
  const source = ['--kubeconfig', join(directory, 'kubeconfig')];
  return follow(node.start(process.execPath, [WEFT, 'agent', ...flags, ...directories, ...source]));
}

function follow(child: ChildProcess) {
  let log = '';
  child.stderr?.on('data', (chunk) => {
    log += chunk;
  });
  const end = async () => {
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGTERM');
    expect(await ended).toBe(0);
  };
  return { end, log: () => log };
}

/** The fabric of node-a alone; it is to leave the runtime of this machine alone. */
function startFabric() {
  const file = join(directory, 'fabric.json');
  const config = {
    ...{ components: ['fabric'], nodeName: 'node-a', runDir: join(directory, 'run') },
    ...{ kubeconfig: join(directory, 'kubeconfig'), stateDir: join(directory, 'fabric-state') },
    fabric: { manageConflist: false },
  };
  writeFileSync(file, JSON.stringify(config));
  return follow(node.start(process.execPath, [WEFT, 'agent', '--config', file]));
}

/** What `weft status` says is wrong. */
function problems(): readonly string[] {
  const question = [WEFT, 'status', '--json', '--run-dir', join(directory, 'run')];
  const { status, stdout } = node.attempt(process.execPath, question);
  const answer: AgentStatus = JSON.parse(stdout);
  expect(status).toBe(answer.isHealthy ? 0 : 1);
  return answer.problems;
}

const stateDir = () => join(directory, 'state');
const table = () => node.attempt('nft', ['list', 'table', 'ip', 'weft-proxy']).stdout;

/** Waits until the Events the server has got so far match. */
async function expectEvent(want: RegExp): Promise<void> {
  const ask = () => {
    const seen = answers;
    answers = '';
    send({ created: true });
    return seen;
  };
  await expect.poll(ask, WAIT).toMatch(want);
}

test('Events, ServiceCIDRs and drift', async () => {
  const agent = startAgent();
  await expect.poll(table, WAIT).toContain('172.30.0.10');
  await expect.poll(table, WAIT).toContain('172.30.0.0/16');
  await expectEvent(
    /events\.k8s\.io\/v1\/namespaces\/default\/events.*"reason":"Starting".*"name":"node-a"/,
  );
  node.run('nft', 'flush', 'ruleset');
  await expectEvent(/"reason":"ServiceRulesChanged".*"note":"table ip weft-proxy: changed by nft/);
  await expect.poll(table, WAIT).toContain('172.30.0.10');
  const metrics = node.run('curl', '-s', 'http://127.0.0.1:10249/metrics');
  expect(metrics).toMatch(
    /^rest_client_requests_total\{code="200",method="GET",host="127[^"]*"\} /m,
  );
  expect(metrics).toMatch(/^rest_client_requests_total\{code="20[01]",method="POST",host=/m);
  await agent.end();
  expect(agent.log()).not.toContain('event not sent');
}, 60_000);

test('a name that no Node has is not healthy, and the nearest is named', async () => {
  const agent = startAgent('nod-a', join(directory, 'other-state'));
  const want = /no Node is called "nod-a" \(did you mean node-a\?\)/;
  await expect.poll(() => problems().join('\n'), WAIT).toMatch(want);
  await expect.poll(agent.log, WAIT).toMatch(/"level":"warn".*--hostname-override.*node not found/);
  await agent.end();
}, 60_000);

const routes = () => node.run('ip', 'route', 'show', 'proto', '201');

test('routes lead to the pods of other Nodes', async () => {
  node.batch([
    'link add eth0 type veth peer name lan',
    'link set lan up',
    'link set eth0 up',
    'addr add 192.168.0.1/24 dev eth0',
  ]);
  for (const [name, n] of [
    ['node-a', 1],
    ['node-b', 2],
  ] as const) {
    put('nodes', {
      ...{ apiVersion: 'v1', kind: 'Node', metadata: { name, uid: name } },
      spec: { podCIDRs: [`10.244.${n}.0/24`] },
      status: { addresses: [{ type: 'InternalIP', address: `192.168.0.${n}` }] },
    });
  }
  const agent = startFabric();
  await expect.poll(routes, WAIT).toContain('10.244.2.0/24');
  await agent.end();
}, 60_000);

test('a node that starts without the API server serves what it last knew', async () => {
  const file = join(stateDir(), 'last-known-objects.jsonl');
  expect(readFileSync(file, 'utf8')).toContain('172.30.0.10');
  const ended = new Promise((resolve) => api.once('exit', resolve));
  api.kill('SIGKILL');
  await ended;
  node.run('nft', 'flush', 'ruleset');
  const agent = startAgent();
  await expect.poll(table, WAIT).toContain('172.30.0.10');
  await expect.poll(table, WAIT).toContain('10.0.0.1');
  const want = /^API server 127\S+: connection refused, for \d+ s; what was last read is served; /;
  await expect.poll(() => problems()[0], WAIT).toMatch(want);
  expect(agent.log()).not.toContain('"stack"');
  await agent.end();
}, 60_000);

test('and the fabric leads to the Nodes it last knew, and takes nothing away', async () => {
  node.run('ip', 'route', 'flush', 'proto', '201');
  const newer = ['10.244.9.0/24', 'via', '192.168.0.9', 'dev', 'eth0'];
  node.run('ip', 'route', 'add', ...newer, 'proto', '201', 'metric', '201');
  const agent = startFabric();
  await expect.poll(routes, WAIT).toContain('10.244.2.0/24');
  expect(routes()).toContain('10.244.9.0/24');
  await agent.end();
}, 60_000);
