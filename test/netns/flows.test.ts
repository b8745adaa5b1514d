/** `weft flows` of an installed agent: real connections through Services, policies, refusals, bursts. */
import { readFileSync, writeFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { FlowEvent } from '../../src/agent/flows/flow-event.ts';
import { watchConnections } from '../../src/kernel/connections.ts';
import { netnses } from '../../src/kernel/netns.ts';
import { Cluster, type ClusterNode, WEFT_BINARY } from '../support/cluster.ts';
import { nodeManifest } from '../support/manifests.ts';
import { createNetns, type TestNetns } from '../support/netns.ts';
import { until } from '../support/until.ts';
import { type RunningProgram, startIn, startServer } from '../support/workloads.ts';

const WEB = '172.30.0.10';
const EMPTY = '172.30.0.11';
const SYSCTLS = ['nf_conntrack_acct', 'nf_conntrack_timestamp', 'nf_conntrack_events'];

let cluster: Cluster;
let node: ClusterNode;
let client: TestNetns;
let web: TestNetns;
let webIP: string;
const pods: TestNetns[] = [];
const programs: RunningProgram[] = [];

beforeAll(async () => {
  cluster = new Cluster(1, 'flows');
  [node] = cluster.nodes as [ClusterNode];
  const config = JSON.parse(readFileSync(node.configFile, 'utf8'));
  const components = ['cni', 'proxy', 'policy'];
  writeFileSync(node.configFile, JSON.stringify({ ...config, components }));
  writeObjects([]);
  await node.startAgent();
  client = createPod('shop/client')[0];
  [web, webIP] = createPod('shop/web-1');
  createPod('shop/closed');
  writeObjects([webIP]);
  programs.push(await startServer(web.path, 'web', 8080));
  await until('the Service is there', () => knockOn(WEB, 80).status === 0);
}, 60_000);

afterAll(async () => {
  for (const program of programs) await program.end('SIGKILL');
  for (const pod of pods) pod.remove();
  await cluster?.remove();
});

function writeObjects(endpoints: readonly string[]): void {
  const service = (name: string, clusterIP: string) => ({
    ...{ apiVersion: 'v1', kind: 'Service', metadata: { namespace: 'shop', name } },
    spec: {
      ...{ clusterIP, clusterIPs: [clusterIP], ipFamilies: ['IPv4'] },
      ports: [
        { name: 'http', protocol: 'TCP', port: 80 },
        { name: 'dns', protocol: 'UDP', port: 53 },
      ],
    },
  });
  const pod = (name: string) => ({
    ...{ apiVersion: 'v1', kind: 'Pod' },
    metadata: { namespace: 'shop', name, labels: { app: name } },
    spec: { nodeName: node.name, containers: [{ name: 'c', image: 'i' }] },
  });
  cluster.writeManifest('objects.yaml', [
    nodeManifest(1, node.addresses),
    { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'shop', labels: {} } },
    ...['client', 'web-1', 'closed'].map(pod),
    ...[service('web', WEB), service('empty', EMPTY)],
    {
      ...{ apiVersion: 'discovery.k8s.io/v1', kind: 'EndpointSlice', addressType: 'IPv4' },
      metadata: {
        ...{ namespace: 'shop', name: 'web' },
        labels: { 'kubernetes.io/service-name': 'web' },
      },
      ports: [
        { name: 'http', protocol: 'TCP', port: 8080 },
        { name: 'dns', protocol: 'UDP', port: 8080 },
      ],
      endpoints: endpoints.map((ip) => ({ addresses: [ip], conditions: { ready: true } })),
    },
    {
      ...{ apiVersion: 'networking.k8s.io/v1', kind: 'NetworkPolicy' },
      metadata: { namespace: 'shop', name: 'closed' },
      spec: { podSelector: { matchLabels: { app: 'closed' } }, policyTypes: ['Ingress'] },
    },
  ]);
}

/** As a runtime does. */
function createPod(key: string): readonly [TestNetns, string] {
  const [namespace, name = ''] = key.split('/');
  const netns = createNetns(`flows-${name}`);
  pods.push(netns);
  const args = `K8S_POD_NAMESPACE=${namespace};K8S_POD_NAME=${name}`;
  const pod = { name, netnsPath: netns.path, args };
  const conf = node.networkConfiguration({ policy: true });
  const { status, stdout, stderr } = node.cni('ADD', pod, conf);
  if (status !== 0) throw new Error(`ADD ${key}: ${stdout}${stderr}`);
  const address: string = JSON.parse(stdout).ips[0].address;
  return [netns, address.split('/')[0] ?? ''];
}

/** A TCP connection that is ended at once; exit code 0 where somebody answers. */
function knock(ip: string, port: number): string {
  return `exec 2>/dev/null; timeout 2 bash -c 'exec 3<>/dev/tcp/${ip}/${port}; echo hi >&3; head -c1 <&3'`;
}

const knockOn = (ip: string, port: number) => client.attempt('bash', ['-c', knock(ip, port)]);

/** `weft flows --output json`, read as it comes. */
class Follower {
  readonly #program: RunningProgram;

  private constructor(program: RunningProgram) {
    this.#program = program;
  }

  /** Follows as soon as it has told of a connection that only it can mean. */
  static async start(...flags: readonly string[]): Promise<Follower> {
    const command = [WEFT_BINARY, 'flows', '--follow', '--output', 'json', ...flags];
    const where = ['--run-dir', node.runDir];
    const program = await startIn(node.netns.path, [...command, ...where], undefined);
    programs.push(program);
    const follower = new Follower(program);
    await until('it follows', () => isFollowed());
    return follower;
  }

  get events(): readonly FlowEvent[] {
    const lines = this.#program.output().split('\n');
    // The last line may not be whole yet; notices on standard error are no JSON.
    return lines.slice(0, -1).flatMap((line) => (line.startsWith('{') ? [JSON.parse(line)] : []));
  }

  async find(what: string, isIt: (event: FlowEvent) => boolean): Promise<FlowEvent> {
    return until(`it tells of ${what}`, () => this.events.find(isIt));
  }

  async end(): Promise<void> {
    await this.#program.end('SIGKILL');
  }
}

const sysctl = (name: string) => node.netns.run('sysctl', '-n', `net.netfilter.${name}`).trim();
const isFollowed = () => node.netns.run('nft', 'list', 'tables').includes('weft-flows');
const flows = (...flags: readonly string[]) =>
  node.netns.run(WEFT_BINARY, 'flows', '--run-dir', node.runDir, ...flags);

describe('somebody follows', () => {
  let follower: Follower;
  let before: readonly string[];

  beforeAll(async () => {
    before = SYSCTLS.map(sysctl);
    expect(isFollowed()).toBe(false);
    follower = await Follower.start('--namespace', 'shop');
  }, 30_000);

  test('a connection through a Service, from its first packet to its end', async () => {
    knockOn(WEB, 80);
    const begun = await follower.find('its beginning', ({ kind, protocol, to }) => {
      return kind === 'new' && protocol === 'TCP' && to.ip === WEB;
    });
    expect(begun).toMatchObject({
      from: { pod: 'shop/client' },
      to: { ip: WEB, port: 80, service: 'shop/web:http' },
      endpoint: { ip: webIP, port: 8080, pod: 'shop/web-1' },
      verdict: 'begun',
    });
    // A closed connection would be remembered for minutes.
    node.netns.run('conntrack', '-D', '-p', 'tcp', '-d', WEB);
    const end = await follower.find('its end', ({ kind, from }) => {
      return kind === 'end' && from.port === begun.from.port;
    });
    expect(end).toMatchObject({
      ...{ verdict: 'established', from: begun.from, endpoint: begun.endpoint },
      sent: { packets: expect.any(Number), bytes: expect.any(Number) },
      received: { packets: expect.any(Number) },
      durationMs: expect.any(Number),
    });
    expect(end.sent?.bytes).toBeGreaterThan(100);
  });

  test('UDP and ICMP', async () => {
    client.run('bash', '-c', `echo hi > /dev/udp/${WEB}/53`);
    client.attempt('ping', ['-c', '1', '-W', '1', webIP]);
    expect(
      await follower.find('UDP', ({ protocol, to }) => protocol === 'UDP' && to.ip === WEB),
    ).toMatchObject({ to: { service: 'shop/web:dns' }, endpoint: { pod: 'shop/web-1' } });
    expect(await follower.find('ICMP', ({ protocol }) => protocol === 'ICMP')).toMatchObject({
      from: { pod: 'shop/client' },
      to: { ip: webIP, pod: 'shop/web-1' },
    });
  });

  test('a Service without endpoints', async () => {
    expect(knockOn(EMPTY, 80).status).not.toBe(0);
    client.attempt('bash', ['-c', `echo hi > /dev/udp/${EMPTY}/53`]);
    const isRefused = (name: string) => (event: FlowEvent) => {
      return event.kind === 'refused' && event.protocol === name;
    };
    for (const [protocol, port] of [['TCP', 'http'] as const, ['UDP', 'dns'] as const]) {
      expect(await follower.find(protocol, isRefused(protocol))).toMatchObject({
        ...{ verdict: 'no endpoint', from: { pod: 'shop/client' } },
        to: { ip: EMPTY, service: `shop/empty:${port}` },
        reason: `Service shop/empty:${port} has no endpoint that is ready`,
      });
    }
  });

  test('an endpoint where nobody listens', async () => {
    expect(knockOn(webIP, 81).status).not.toBe(0);
    const { verdict, to } = await follower.find('it', ({ kind, to: { port } }) => {
      return kind === 'end' && port === 81;
    });
    expect({ verdict, pod: to.pod }).toEqual({ verdict: 'refused', pod: 'shop/web-1' });
  });

  test('a policy denies', async () => {
    const closed = pods[2]?.ip<{ addr_info: { local: string }[] }[]>('addr', 'show', 'eth0')[0];
    const ip = closed?.addr_info[0]?.local ?? '';
    expect(knockOn(ip, 80).status).not.toBe(0);
    const denied = await follower.find('it', ({ kind }) => kind === 'denied');
    expect(denied).toMatchObject({
      ...{
        verdict: 'denied',
        from: { pod: 'shop/client' },
        to: { ip, pod: 'shop/closed', port: 80 },
      },
      policies: ['NetworkPolicy shop/closed'],
    });
    expect(follower.events.filter(({ verdict }) => verdict === 'rejected')).toEqual([]);
    expect(flows('--dropped')).toContain('shop/closed');
  });

  test('the table has what is there, and text is for people', () => {
    const text = flows('--service', 'shop/web', '--pod', 'shop/client');
    expect(text).toMatch(/live {5}shop\/client:\d+ -> shop\/web:dns/);
    expect(text.split('\n').filter((line) => line.length > 80)).toEqual([]);
    expect(flows('--service', 'shop/web')).toMatch(/shop\/client:\d+ -> shop\/web:dns/);
    expect(flows('--pod', 'shop/nobody')).toBe('');
    expect(flows('--namespace', 'shop', '--last', '1').match(/live/g)).toHaveLength(1);
  });

  test('who is killed is forgotten, and another begins anew', async () => {
    await follower.end();
    const second = await Follower.start('--dropped');
    await second.end();
    await until('nobody follows', () => !isFollowed());
    expect(SYSCTLS.map(sysctl)).toEqual(before);
  }, 40_000);

  test('what a killed agent had set is put back by the next', async () => {
    const third = await Follower.start('--dropped');
    expect(SYSCTLS.map(sysctl)).toEqual(['1', '1', '2']);
    await node.stopAgent('SIGKILL');
    await third.end();
    expect(isFollowed()).toBe(false);
    await node.startAgent();
    expect(SYSCTLS.map(sysctl)).toEqual(before);
  }, 40_000);
});

describe('mode iptables', () => {
  let follower: Follower;
  const explain = (to: string) => {
    const words = ['--from', 'shop/client', '--to', to, '--live', '--send', '--timeout', '10s'];
    return node.netns.attempt(WEFT_BINARY, ['explain', '--run-dir', node.runDir, ...words]);
  };

  beforeAll(async () => {
    await node.stopAgent();
    const config = JSON.parse(readFileSync(node.configFile, 'utf8'));
    config.proxy = { ...config.proxy, mode: 'iptables' };
    writeFileSync(node.configFile, JSON.stringify(config));
    await node.startAgent();
    await until('rules serve', () => node.netns.run('iptables-save').includes('shop/web:http'));
    follower = await Follower.start('--dropped');
  }, 60_000);

  afterAll(() => follower.end());

  test('a Service without endpoints, by flows, explain and services', async () => {
    expect(knockOn(WEB, 80).status).toBe(0);
    expect(knockOn(EMPTY, 80).status).not.toBe(0);
    expect(await follower.find('it', ({ kind }) => kind === 'refused')).toMatchObject({
      ...{ verdict: 'no endpoint', from: { pod: 'shop/client' } },
      to: { ip: EMPTY, service: 'shop/empty:http' },
    });
    const said = explain('shop/empty:http');
    expect([said.status, said.stdout]).toEqual([
      3,
      expect.stringMatching(/refused by ip filter, chain KUBE-SERVICES/),
    ]);
    expect(said.stdout).toContain('That is what the model says.');
    const services = node.netns.run(
      WEFT_BINARY,
      'services',
      'shop/empty',
      '--run-dir',
      node.runDir,
    );
    expect(services).toMatch(/no endpoint/);
  });

  test('a policy denies behind a Service, by flows and explain', async () => {
    const closed = pods[2]?.ip<{ addr_info: { local: string }[] }[]>('addr', 'show', 'eth0')[0];
    const ip = closed?.addr_info[0]?.local ?? '';
    writeObjects([ip]);
    await until('the endpoint is there', () =>
      node.netns.run('iptables-save').includes(`${ip}:8080`),
    );
    expect(knockOn(WEB, 80).status).not.toBe(0);
    expect(await follower.find('it', ({ kind }) => kind === 'denied')).toMatchObject({
      ...{ verdict: 'denied', from: { pod: 'shop/client' } },
      policies: ['NetworkPolicy shop/closed'],
    });
    const said = explain('shop/web:http');
    expect([said.status, said.stdout]).toEqual([
      4,
      expect.stringMatching(/denied by policies, in inet weft-policy/),
    ]);
    expect(said.stdout).toContain('That is what the model says.');
  });
});

test('of a burst that does not fit some is lost, which is told, and then it goes on', async () => {
  const netns = netnses.open(node.netns.path);
  const ports = new Set<number | undefined>();
  let lost = 0;
  const watch = watchConnections({ netns, receiveBufferBytes: 16_384 }, (batch) => {
    lost += batch.lost;
    for (const { connection } of batch.events) ports.add(connection.flow.original.destinationPort);
  });
  try {
    // The event loop does not read meanwhile.
    const burst = `for i in range(2000): s.sendto(b"x", ("${webIP}", 20000 + i))`;
    client.run('python3', '-c', `from socket import *\ns = socket(AF_INET, SOCK_DGRAM)\n${burst}`);
    await until('the loss is told', () => lost > 0);
    expect(ports.size).toBeGreaterThan(0);
    expect(ports.size).toBeLessThan(2000);
    client.run('bash', '-c', `echo hi > /dev/udp/${webIP}/53`);
    await until('it goes on', () => ports.has(53));
  } finally {
    watch.close();
    netns.close();
  }
});
