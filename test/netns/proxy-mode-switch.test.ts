/** Changing the proxy's mode on a node in use: nothing fails, nothing of ours stays, others' stays. */
import type { ChildProcess } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { IPV4, IPV6, type Net } from '../support/flows/net.ts';
import { endpointsOf } from '../support/flows/objects.ts';
import { createProxyLab, type ProxyLab, SERVER_PORT } from '../support/proxy-lab.ts';
import {
  addForeign,
  clearRules,
  foreignRules,
  kindsOfRules,
  NETS,
  NODE_PORT,
  objectsOf,
} from '../support/proxy-modes.ts';
import { service, slice } from '../support/proxy-objects.ts';
import { type RunningProgram, repeatedSyns, startIn } from '../support/workloads.ts';

const WEFT = join(import.meta.dirname, '../../src/cli/weft.ts');
const OPENER = join(import.meta.dirname, '../support/workloads/opener.ts');
const STREAM = join(import.meta.dirname, '../support/workloads/stream.ts');
const UDP_STREAM = join(import.meta.dirname, '../support/workloads/udp-stream.ts');
const DNS_NODE_PORT = 30053;
/** Packets of a flow meet no rule; what is more is a black hole. */
const MOST_SILENCE_MS = 1_000;
const WAIT = { timeout: 20_000, interval: 100 };

let lab: ProxyLab;
let directory: string;
let agent: ChildProcess | undefined;
let output: string;

beforeAll(async () => {
  lab = await createProxyLab();
}, 60_000);

afterAll(() => lab.remove());

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'weft-modes-'));
  mkdirSync(join(directory, 'objects'));
  const objects = NETS.flatMap(objectsOf).map((object) => JSON.stringify(object));
  writeFileSync(join(directory, 'objects', 'web.yaml'), objects.join('\n---\n'));
});

afterEach(async () => {
  await end();
  await clearRules(lab.node);
  rmSync(directory, { recursive: true, force: true });
});

/** Starts the agent in a mode: `nftables`, `iptables-nft`, `iptables-legacy`. */
function start(kind: string, prefix: readonly string[] = []): ChildProcess {
  const [mode, variant] = kind.split('-');
  const settings = {
    components: ['proxy'],
    nodeName: 'node-a',
    manifests: join(directory, 'objects'),
    runDir: join(directory, 'run'),
    stateDir: join(directory, 'state'),
    ...(variant === undefined ? {} : { iptablesVariant: variant }),
    proxy: {
      mode,
      clusterCIDR: `${IPV4.clusterCIDR},${IPV6.clusterCIDR}`,
      nodePortAddresses: [`${IPV4.outer}/24`, `${IPV6.outer}/64`],
    },
  };
  const config = join(directory, 'weft.yaml');
  writeFileSync(config, JSON.stringify(settings));
  const [command = '', ...args] = [...prefix, process.execPath, WEFT, 'agent', '--config', config];
  const child = lab.node.start(command, args, { stdio: ['ignore', 'ignore', 'pipe'] });
  output = '';
  child.stderr?.on('data', (chunk) => {
    output += chunk;
  });
  agent = child;
  return child;
}

/** Waits for an exit that is under way, or asks for it. */
async function end(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
  const child = agent;
  agent = undefined;
  if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill(signal);
  await ended;
}

function get(url: string): string {
  const script = `fetch(${JSON.stringify(url)}).then(async (r) => process.stdout.write(r.status + ' ' + await r.text()), () => {})`;
  return lab.node.attempt(process.execPath, ['-e', script], 5_000).stdout;
}

const record = () => readFileSync(join(directory, 'run', 'proxy-mode'), 'utf8').trim();

/** Until the agent has its rules in the kernel and nothing else of ours is there. */
async function settledIn(kind: string): Promise<void> {
  const state = () => [
    get('http://127.0.0.1:10256/healthz').slice(0, 3),
    ...kindsOfRules(lab.node),
    ...record().split('\n'),
  ];
  await expect.poll(state, { ...WAIT, message: output }).toEqual(['200', kind, kind]);
  const [mode] = kind.split('-');
  expect(get('http://127.0.0.1:10249/proxyMode')).toBe(`200 ${mode}`);
}

test('no connection fails while the mode changes, and those that are open go on', async () => {
  addForeign(lab.node);
  const foreign = foreignRules(lab.node);
  expect(foreign.length).toBeGreaterThan(8);
  start('nftables');
  await settledIn('nftables');
  for (const { podA, podB, remote } of NETS) {
    // No SYN shall wait for the address of a neighbour, nor an answer for the client's.
    for (const address of [podA, podB, remote]) {
      lab.client.run('ping', '-c', '1', '-w', '5', address);
    }
  }
  const visits = NETS.flatMap((net) => [
    { from: lab.client, host: net.vip(1), port: 80 },
    { from: lab.outside, host: net.outer, port: NODE_PORT },
  ]);
  const run = async (program: string) =>
    Promise.all(
      visits.map(({ from, host, port }) =>
        startIn(from.path, [process.execPath, program, host, String(port)], 'ready\n'),
      ),
    );
  const [openers, streams] = [await run(OPENER), await run(STREAM)];
  const before = [lab.client, lab.outside].map(repeatedSyns);
  for (const kind of ['iptables-nft', 'nftables', 'iptables-legacy', 'iptables-nft', 'nftables']) {
    await end();
    start(kind);
    await settledIn(kind);
  }
  const results = await Promise.all([...openers, ...streams].map(resultOf));
  expect(results.filter((text) => /failed|lost/.test(text))).toEqual([]);
  for (const text of results.slice(0, openers.length)) {
    expect(Number(/answered (\d+)/.exec(text)?.[1])).toBeGreaterThan(300);
  }
  for (const text of results.slice(openers.length)) expect(text).toMatch(/returned (\d+) of \1/);
  expect([lab.client, lab.outside].map(repeatedSyns)).toEqual(before);
  expect(foreignRules(lab.node)).toEqual(foreign);
}, 120_000);

const dnsSlice = (net: Net, endpoint: 'a' | 'b') =>
  slice({
    ...{ service: `dns-${net.family}`, endpoints: endpointsOf(net, endpoint) },
    ports: [{ name: 'dns', protocol: 'UDP', port: SERVER_PORT }],
  });

/** Services with one endpoint for UDP, in a file of their own. */
function writeDns(endpoint: 'a' | 'b'): void {
  const ports = [{ name: 'dns', protocol: 'UDP', port: 53, nodePort: DNS_NODE_PORT }] as const;
  const objects = NETS.flatMap((net) => [
    {
      ...{ apiVersion: 'v1', kind: 'Service' },
      ...service(`dns-${net.family}`, net.vip(2), { type: 'NodePort', ports: [...ports] }),
    },
    { ...{ apiVersion: 'discovery.k8s.io/v1', kind: 'EndpointSlice' }, ...dnsSlice(net, endpoint) },
  ]);
  const text = objects.map((object) => JSON.stringify(object)).join('\n---\n');
  writeFileSync(join(directory, 'objects', 'dns.yaml'), text);
}

test('a UDP flow keeps its endpoint while the mode changes, and none that has gone', async () => {
  writeDns('a');
  start('nftables');
  await settledIn('nftables');
  const flows = await Promise.all(
    NETS.flatMap((net) => [
      { from: lab.client, host: net.vip(2), port: 53 },
      { from: lab.outside, host: net.outer, port: DNS_NODE_PORT },
    ]).map(({ from, host, port }) => {
      const words = [process.execPath, UDP_STREAM, host, String(port), String(MOST_SILENCE_MS)];
      return startIn(from.path, words, 'ready');
    }),
  );
  const answers = () => flows.map((flow) => flow.output().trim().split('\n').slice(1));
  const all = (...servers: readonly string[]) => flows.map(() => servers);
  try {
    await expect.poll(answers, WAIT).toEqual(all('a'));
    for (const kind of ['iptables-nft', 'iptables-legacy', 'nftables']) {
      await end();
      start(kind);
      await settledIn(kind);
    }
    expect(answers()).toEqual(all('a'));
    // What serves is another one by the time that the next mode looks: nobody asks the one before any longer.
    const seen = ['a'];
    for (const [i, kind] of ['iptables-legacy', 'nftables', 'iptables-nft'].entries()) {
      const endpoint = i % 2 === 0 ? 'b' : 'a';
      await end();
      writeDns(endpoint);
      start(kind);
      await settledIn(kind);
      seen.push(endpoint);
      await expect.poll(answers, WAIT).toEqual(all(...seen));
    }
  } finally {
    for (const flow of flows) await flow.end('SIGKILL');
  }
}, 120_000);

test('those who test for gaps notice one', async () => {
  start('nftables');
  await settledIn('nftables');
  await end();
  const command = [process.execPath, OPENER, IPV4.vip(1), '80'];
  const opener = await startIn(lab.client.path, command, 'ready\n');
  const before = repeatedSyns(lab.client);
  lab.node.run('nft', 'delete', 'table', 'ip', 'weft-proxy');
  await expect
    .poll(() => opener.output().includes('failed') || repeatedSyns(lab.client) > before, WAIT)
    .toBe(true);
  await opener.end('SIGKILL');
}, 60_000);

async function resultOf(program: RunningProgram): Promise<string> {
  await program.end('SIGTERM');
  return program.output();
}

test('a switch that is cut short is finished by the next start', async () => {
  start('iptables-nft');
  await settledIn('iptables-nft');
  await end('SIGKILL');
  start('nftables');
  await expect.poll(() => kindsOfRules(lab.node), WAIT).toContain('nftables');
  await end('SIGKILL');
  start('iptables-legacy');
  await settledIn('iptables-legacy');
}, 60_000);

describe('weft cleanup', () => {
  const cleanup = () =>
    lab.node.run(
      'env',
      `WEFT_RUN_DIR=${join(directory, 'run')}`,
      ...[process.execPath, WEFT, 'cleanup', '--force', '--state-dir', join(directory, 'state')],
    );

  test.each(['iptables-nft', 'iptables-legacy'])(
    'takes our rules from %s only',
    async (kind) => {
      addForeign(lab.node);
      const foreign = foreignRules(lab.node);
      start(kind);
      await settledIn(kind);
      await end();
      expect(cleanup()).toContain(`removed chains of Services in ${kind}, IPv4`);
      expect([kindsOfRules(lab.node), foreignRules(lab.node)]).toEqual([[], foreign]);
    },
    60_000,
  );

  test("leaves kube-proxy's rules, which are not on record", async () => {
    start('iptables-nft');
    await settledIn('iptables-nft');
    await end();
    rmSync(join(directory, 'run', 'proxy-mode'));
    expect(cleanup()).not.toContain('chains');
    expect(kindsOfRules(lab.node)).toEqual(['iptables-nft']);
    start('nftables');
    await expect.poll(() => output, WAIT).toContain("chains of kube-proxy's iptables mode");
    expect(kindsOfRules(lab.node)).toEqual(['nftables', 'iptables-nft']);
  }, 60_000);
});

test("in mode iptables kube-proxy's chains become ours and its nftables tables go", async () => {
  start('iptables-nft');
  await settledIn('iptables-nft');
  await end();
  rmSync(join(directory, 'run'), { recursive: true });
  const before = lab.node.run('iptables-nft-save', '-t', 'nat').match(/^-A .*$/gm);
  lab.node.run('nft', 'add table ip kube-proxy');
  start('iptables');
  await expect.poll(() => output, WAIT).toContain('took over from kube-proxy');
  await settledIn('iptables-nft');
  expect(lab.node.run('nft', 'list', 'tables')).not.toContain('kube-proxy');
  expect(lab.node.run('iptables-nft-save', '-t', 'nat').match(/^-A .*$/gm)).toEqual(before);
  expect(output).not.toContain("chains of kube-proxy's iptables mode");
}, 60_000);

test('in mode iptables losses are repaired, and told', async () => {
  start('iptables-nft');
  await settledIn('iptables-nft');
  const rules = () =>
    lab.node
      .run('iptables-nft-save', '-t', 'nat')
      .match(/^-A .*$/gm)
      ?.sort();
  const before = rules();
  lab.node.run('iptables-nft', '-t', 'nat', '-F');
  await expect.poll(rules, WAIT).toEqual(before);
  expect(output).toContain('rules changed by somebody else');
  const diff = lab.node.attempt('env', [
    `WEFT_RUN_DIR=${join(directory, 'run')}`,
    ...[process.execPath, WEFT, 'diff'],
  ]);
  expect([diff.status, diff.stderr]).toEqual([
    2,
    expect.stringContaining('works in mode iptables'),
  ]);
  const metrics = get('http://127.0.0.1:10249/metrics');
  expect(metrics).toMatch(/^weft_iptables_repairs_total{table="ip nat"} [1-9]/m);
}, 60_000);

test('a node without iptables is told so, and nothing is changed', async () => {
  // Connections of the tests before end meanwhile.
  const settings = () =>
    lab.node
      .run('sysctl', 'net.netfilter')
      .replace(/^net\.netfilter\.nf_conntrack_count = .*$/m, '');
  const before = [kindsOfRules(lab.node), settings()];
  const child = start('iptables', ['env', 'PATH=/nonexistent']);
  const code = await new Promise((resolve) => child.once('exit', resolve));
  expect([code, output]).toEqual([1, expect.stringContaining('iptables is not installed on this')]);
  expect([kindsOfRules(lab.node), settings()]).toEqual(before);
}, 30_000);
