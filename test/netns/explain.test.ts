import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { askAgent } from '../../src/agent/debug/client.ts';
import type { ExplainAnswer } from '../../src/agent/debug/explain.ts';
import type { DebugRequest } from '../../src/agent/debug/protocol.ts';
import { LabAgent } from '../support/flows/agent.ts';
import { IPV4, IPV6, type Net } from '../support/flows/net.ts';
import { endpointsOf, loadBalancer, sliceOf } from '../support/flows/objects.ts';
import { tryFlows } from '../support/flows/probing.ts';
import { createProxyLab, type ProxyLab } from '../support/proxy-lab.ts';
import { probe } from '../support/workloads.ts';

const NETS = [IPV4, IPV6];
const SERVICE = { apiVersion: 'v1', kind: 'Service' };
const SLICE = { apiVersion: 'discovery.k8s.io/v1', kind: 'EndpointSlice' };

let lab: ProxyLab;
let agent: LabAgent;

beforeAll(async () => {
  lab = await createProxyLab();
  agent = new LabAgent(lab);
  for (const net of NETS) writeObjects(net);
  await agent.start();
});

afterAll(async () => {
  await agent.remove();
  await lab.remove();
});

/** `web` has endpoints here and elsewhere and policy Local for outside; `none` has no endpoints. */
function writeObjects(net: Net): void {
  const { family } = net;
  const spec = { externalTrafficPolicy: 'Local' } as const;
  const web = loadBalancer(`web-${family}`, net, 9, {
    nodePort: 30000 + family,
    ips: [net.lb(9)],
    spec,
  });
  const none = loadBalancer(`none-${family}`, net, 8, { nodePort: 30010 + family, ips: [] });
  agent.writeObject(`web-${family}`, { ...SERVICE, ...web });
  agent.writeObject(`none-${family}`, { ...SERVICE, ...none });
  const slice = sliceOf(`web-${family}`, endpointsOf(net, 'a', 'remote'));
  agent.writeObject(`slice-${family}`, { ...SLICE, ...slice });
}

async function until(what: string, isDone: () => boolean): Promise<void> {
  for (const deadline = Date.now() + 10_000; Date.now() < deadline; ) {
    if (isDone()) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`timed out waiting until ${what}`);
}

const target = (ip: string, port: number) =>
  ip.includes(':') ? `[${ip}]:${port}` : `${ip}:${port}`;
const nft = (...words: readonly string[]) => lab.node.run('nft', ...words);
const traceTables = () => nft('list', 'tables').match(/weft-trace-\S+/g) ?? [];

test('explain teaches', () => {
  const { status, stdout } = agent.run(
    'explain',
    '--from',
    IPV4.client,
    '--to',
    target(IPV4.vip(9), 80),
  );
  expect([status, stdout]).toEqual([0, expect.any(String)]);
  expect(stdout).toContain('1. From a pod: 10.1.0.2 is in 10.0.0.0/8, a network of pods.');
  expect(stdout).toContain(
    '2. Map service-ips has 172.30.0.9 tcp 80: the clusterIP of ns/web-4:http.',
  );
  expect(stdout).toContain('50.0%  10.2.0.2:8080  on another node');
  expect(stdout).toContain('request  in by br0, out by eth0 via 192.168.0.2, up to 1500 bytes');
  expect(stdout).toContain('reply    in by eth0, out by br0, up to 1500 bytes');
});

test('explain without flags', () => {
  const { status, stderr } = agent.run('explain');
  expect([status, stderr]).toEqual([2, 'weft: --from is missing; see weft explain --help\n']);
});

describe.each(NETS)('live, IPv$family', (net) => {
  interface LiveCase {
    readonly name: string;
    readonly from: 'client' | 'node' | 'outside';
    readonly source: string;
    readonly to: string;
    readonly port: number;
    readonly outcome: object;
  }
  const sentTo = (destination: string, source: string) => ({
    ...{ kind: 'sent', destination, port: 8080, source },
  });
  const cases: readonly LiveCase[] = [
    {
      name: 'outside to the load balancer',
      ...{ from: 'outside', source: net.outside, to: net.lb(9), port: 80 },
      outcome: sentTo(net.podA, net.outside),
    },
    {
      name: 'pod to a NodePort without endpoints',
      ...{ from: 'client', source: net.client, to: net.node, port: 30010 + net.family },
      outcome: { kind: 'refused', chain: 'reject-chain' },
    },
    {
      name: 'pod to no Service',
      ...{ from: 'client', source: net.client, to: net.node, port: 9999 },
      outcome: { kind: 'delivered', destination: net.node, port: 9999 },
    },
  ];
  test.each(cases)('$name', async ({ from, source, to, port, outcome }) => {
    const live = explainLive(source, target(to, port));
    await until('packets are watched for', () => traceTables().length > 0);
    await tryFlows(lab, [{ net, flow: { name: 'live', from, to, port, want: 'reject' } }]);
    const answer = await live();
    expect(answer.live).toMatchObject({ outcome, agreesWithModel: true, isNewConnection: true });
    expect(traceTables()).toEqual([]);
  });
});

/** Asks the agent; the function waits for its answer. */
function explainLive(source: string, to: string): () => Promise<ExplainAnswer> {
  const [, six, four, port] = /^(?:\[(.*)\]|(.*)):(\d+)$/.exec(to) ?? [];
  const packet = { source, destination: six ?? four, protocol: 'tcp', port: Number(port) };
  const asked = askAgent(agent.runDir, {
    command: 'explain',
    packet,
    liveTimeoutMs: 8_000,
  } as DebugRequest);
  // The agent answers a request of this command with this shape.
  return async () => (await asked) as ExplainAnswer;
}

test('live says when somebody else drops', async () => {
  nft('add', 'table', 'ip', 'foreign');
  lab.node.run(
    'nft',
    'add',
    'chain',
    'ip',
    'foreign',
    'f',
    '{ type filter hook forward priority -1; policy drop; }',
  );
  try {
    const live = explainLive(IPV4.client, target(IPV4.vip(9), 80));
    await until('packets are watched for', () => traceTables().length > 0);
    await probe(lab.client.path, { host: IPV4.vip(9), port: 80, timeoutMs: 300 });
    expect((await live()).live).toMatchObject({
      outcome: { kind: 'dropped', table: 'ip foreign', chain: 'f' },
      // The rule drops every packet, which the model can tell.
      agreesWithModel: true,
    });
  } finally {
    nft('delete', 'table', 'ip', 'foreign');
  }
});

test('live ends without a packet', () => {
  const words = ['explain', '--from', IPV4.client, '--to', target(IPV4.vip(9), 80)];
  const { status, stdout } = agent.run(...words, '--live', '--timeout', '200ms');
  expect([status, stdout]).toEqual([0, expect.stringContaining('no such packet came in time')]);
  expect(traceTables()).toEqual([]);
});

test('nothing is left of a trace whose agent died', async () => {
  const words = ['explain', '--from', IPV4.client, '--to', target(IPV4.vip(9), 80), '--live'];
  const command = await agent.startCommand(...words);
  await until('packets are watched for', () => traceTables().length > 0);
  await agent.end('SIGKILL');
  expect(traceTables()).toEqual([]);
  expect([await command.ended, command.output()]).toEqual([
    1,
    expect.stringContaining('it ended before it had answered'),
  ]);
  await agent.start();
});

describe('diff', () => {
  test('nothing differs', () => {
    const { status, stdout } = agent.run('diff');
    expect([status, stdout]).toEqual([
      0,
      'table ip weft-proxy: as it should be\ntable ip6 weft-proxy: as it should be\n',
    ]);
  });

  /** An agent that waits long between two syncs, so that a change stays on its way. */
  test('what is on its way', async () => {
    await agent.end();
    await agent.start('1h');
    await until('the table is adopted', () => agent.run('diff').status === 0);
    const slice = sliceOf('web-4', endpointsOf(IPV4, 'b', 'remote'));
    agent.writeObject('slice-4', { ...SLICE, ...slice });
    await until('the change is known', () => agent.run('diff').status === 1);
    const { stdout } = agent.run('diff');
    expect(stdout.split('\n')).toEqual(
      expect.arrayContaining([
        '  on its way to the kernel:',
        '    ~ endpoints 172.30.0.9 . tcp . 80 . 0: 10.1.0.3 . 8080 -> 10.1.0.4 . 8080 (ns/web-4:http)',
        '    - hairpins 10.1.0.3 . 10.1.0.3',
        'table ip6 weft-proxy: as it should be',
      ]),
    );
  });

  test('without an agent', async () => {
    await agent.end();
    const { status, stderr } = agent.run('diff');
    expect([status, stderr]).toEqual([
      2,
      expect.stringContaining('start weft agent, or name its --run-dir'),
    ]);
  });
});
