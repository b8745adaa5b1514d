/** The mode userspace by a real agent: connections and addresses over their whole life. */
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { IPV4, IPV6 } from '../support/flows/net.ts';
import { createProxyLab, type ProxyLab } from '../support/proxy-lab.ts';
import { clearRules, kindsOfRules, NETS, objectsOf } from '../support/proxy-modes.ts';
import { service, slice } from '../support/proxy-objects.ts';
import { ModeAgent } from '../support/userspace-agent.ts';
import { probe, type RunningProgram, startIn } from '../support/workloads.ts';

const WAIT = { timeout: 15_000, interval: 50 };
const workload = (name: string) =>
  new URL(`../support/workloads/${name}.ts`, import.meta.url).pathname;

let lab: ProxyLab;
let agent: ModeAgent;
const programs: RunningProgram[] = [];

beforeAll(async () => {
  lab = await createProxyLab();
}, 60_000);

afterAll(() => lab.remove());

beforeEach(() => {
  agent = new ModeAgent(lab);
  for (const net of NETS) agent.write(`web-${net.family}`, ...objectsOf(net));
});

afterEach(async () => {
  for (const program of programs.splice(0)) await program.end('SIGKILL');
  await agent.remove();
  await clearRules(lab.node);
});

async function start(from: 'client' | 'outside' | 'node', name: string, ...words: string[]) {
  const command = [process.execPath, workload(name), ...words];
  const program = await startIn(lab[from].path, command, 'ready\n');
  programs.push(program);
  return program;
}

async function resultOf(program: RunningProgram): Promise<string> {
  await program.end('SIGTERM');
  return program.output();
}

/** The addresses of Services on `lo`. */
const virtualAddresses = () =>
  lab.node
    .ip<{ addr_info: { local: string; metric?: number }[] }[]>('addr', 'show', 'dev', 'lo')
    .flatMap(({ addr_info }) => addr_info)
    .filter(({ metric }) => metric !== undefined)
    .map(({ local }) => local);

test('a connection outlives its Service, and so does the address it runs through', async () => {
  await agent.start('userspace');
  const streams = await Promise.all(NETS.map((net) => start('client', 'stream', net.vip(1), '80')));
  expect(agent.metric('weft_userspace_connections{protocol="tcp"}')).toBe(2);
  for (const net of NETS) agent.delete(`web-${net.family}`);
  const refused = { servers: {}, errors: { ECONNREFUSED: 4 } };
  for (const net of NETS) {
    const again = () => probe(lab.client.path, { host: net.vip(1), port: 80, count: 4 });
    await expect.poll(again, WAIT).toMatchObject(refused);
  }
  expect(virtualAddresses().sort()).toEqual([IPV4.vip(1), IPV6.vip(1)]);
  for (const text of await Promise.all(streams.map(resultOf))) {
    expect(text).not.toContain('lost');
    expect(text).toMatch(/returned (\d+) of \1/);
  }
  await expect.poll(virtualAddresses, WAIT).toEqual([]);
}, 60_000);

test('addresses that somebody removes come back, those of others are left alone', async () => {
  const foreign = ['172.30.0.77/32', '198.51.100.77/32', 'fd00:172::77/128'];
  for (const address of foreign) lab.node.run('ip', 'addr', 'add', address, 'dev', 'lo');
  await agent.start('userspace');
  const ours = [IPV4.vip(1), IPV6.vip(1)];
  expect(virtualAddresses().sort()).toEqual(ours);
  for (const [net, length] of [
    [IPV4, 32],
    [IPV6, 128],
  ] as const) {
    lab.node.run('ip', 'addr', 'del', `${net.vip(1)}/${length}`, 'dev', 'lo');
    const answered = () => probe(lab.client.path, { host: net.vip(1), port: 80 });
    await expect.poll(answered, WAIT).toMatchObject({ errors: {} });
  }
  expect(virtualAddresses().sort()).toEqual(ours);
  expect(agent.output).toContain(`address ${IPV4.vip(1)} of lo`);
  await agent.end();
  expect(virtualAddresses().sort()).toEqual(ours);
  expect(agent.cleanup()).toContain('removed addresses of Services on lo, IPv4');
  expect(virtualAddresses()).toEqual([]);
  const left = lab.node.run('ip', 'addr', 'show', 'dev', 'lo');
  expect(foreign.filter((address) => !left.includes(address))).toEqual([]);
  for (const address of foreign) lab.node.run('ip', 'addr', 'del', address, 'dev', 'lo');
}, 60_000);

test('the kernel takes no address of a Service as the source of connections to elsewhere', async () => {
  await agent.start('userspace');
  for (const net of NETS) {
    const [route] = lab.node.ip<{ prefsrc: string }[]>('route', 'get', net.podA);
    expect(route?.prefsrc).toBe(net.bridge);
    // A link without addresses: the kernel looks for one on the others, `lo` first.
    lab.node.run('ip', 'link', 'add', 'bare0', 'type', 'bridge');
    lab.node.run('ip', 'link', 'set', 'bare0', 'up');
    const [target, length] = net.family === 4 ? ['10.9.0.1', 32] : ['fd00:9::1', 128];
    lab.node.run('ip', 'route', 'add', `${target}/${length}`, 'dev', 'bare0');
    const [bare] = lab.node.ip<{ prefsrc: string }[]>('route', 'get', target);
    expect([net.vip(1), undefined]).not.toContain(bare?.prefsrc);
    lab.node.run('ip', 'link', 'del', 'bare0');
  }
}, 60_000);

test('a port that a program of the node holds on all addresses is led around', async () => {
  const holder = await start('node', 'server', 'holder', '80');
  const dns = { name: 'dns', protocol: 'UDP', port: 80 } as const;
  agent.write(
    'dns',
    { apiVersion: 'v1', kind: 'Service', ...service('dns', IPV4.vip(3), { ports: [dns] }) },
    {
      ...{ apiVersion: 'discovery.k8s.io/v1', kind: 'EndpointSlice' },
      ...slice({ service: 'dns', endpoints: [IPV4.podA], ports: [{ ...dns, port: 8080 }] }),
    },
  );
  await agent.start('userspace');
  for (const from of [lab.client, lab.node, lab.outside]) {
    const target = { protocol: 'udp', host: IPV4.vip(3), port: 80, count: 4 } as const;
    expect(await probe(from.path, target)).toMatchObject({ servers: { a: 4 }, errors: {} });
  }
  const answer = (net = IPV4, from: 'client' | 'node' | 'outside' = 'client') =>
    probe(lab[from].path, { host: net.vip(1), port: 80, count: 6 });
  for (const net of NETS) {
    for (const from of ['client', 'node', 'outside'] as const) {
      expect(await answer(net, from)).toMatchObject({ servers: { a: 2, b: 2, remote: 2 } });
    }
  }
  expect(await probe(lab.outside.path, { host: IPV4.outer, port: 80 })).toMatchObject({
    servers: { holder: 1 },
  });
  expect(lab.node.run('nft', 'list', 'map', 'ip', 'weft-portals', 'portals')).toContain(
    `${IPV4.vip(1)} . tcp . 80 : ${IPV4.vip(1)} . `,
  );
  expect(agent.metric('weft_userspace_failed_listeners')).toBe(0);
  lab.node.run('nft', 'flush', 'ruleset');
  for (const net of NETS) {
    await expect.poll(() => answer(net), WAIT).toMatchObject({ errors: {}, servers: { a: 2 } });
  }
  expect(agent.output).toContain('table ip weft-portals');
  await agent.end();
  await holder.end();
  await agent.start('userspace');
  expect(await answer()).toMatchObject({ servers: { a: 2, b: 2, remote: 2 } });
  expect(lab.node.run('nft', 'list', 'tables')).not.toContain('weft-portals');
}, 60_000);

test('endpoints that do not answer, or refuse, are left for others', async () => {
  const endpoints = ['10.1.0.99', IPV4.client, IPV4.podA];
  agent.write(
    'dead',
    { apiVersion: 'v1', kind: 'Service', ...service('dead', IPV4.vip(2)) },
    {
      ...{ apiVersion: 'discovery.k8s.io/v1', kind: 'EndpointSlice' },
      ...slice({ service: 'dead', endpoints }),
    },
  );
  await agent.start('userspace');
  const target = { host: IPV4.vip(2), port: 80, count: 6, timeoutMs: 6_000 };
  expect(await probe(lab.outside.path, target)).toMatchObject({ servers: { a: 6 }, errors: {} });
}, 60_000);

test('no more connections than the limits allow', async () => {
  await agent.start('userspace', { userspaceMaxConnectionsPerService: 2 });
  const words = [IPV4.vip(1), '80'];
  const streams = [
    await start('client', 'stream', ...words),
    await start('client', 'stream', ...words),
  ];
  const third = { host: IPV4.vip(1), port: 80 };
  expect(await probe(lab.client.path, third)).toMatchObject({ errors: { ECONNRESET: 1 } });
  expect(agent.metric('weft_userspace_refused_total{reason="limit"}')).toBe(1);
  for (const text of await Promise.all(streams.map(resultOf))) expect(text).not.toContain('lost');
  await expect.poll(() => probe(lab.client.path, third), WAIT).toMatchObject({ errors: {} });
}, 60_000);

test('connections end with the agent, which does not wait for them', async () => {
  await agent.start('userspace');
  const stream = await start('client', 'stream', IPV4.vip(1), '80');
  const before = performance.now();
  await agent.end();
  expect(performance.now() - before).toBeLessThan(5_000);
  await expect.poll(() => stream.output(), WAIT).toContain('lost read ECONNRESET');
}, 60_000);

describe('switching', () => {
  const tables = () => lab.node.run('nft', 'list', 'tables');
  const visits = NETS.map((net) => [net.vip(1), '80'] as const);
  const run = (program: string) =>
    Promise.all(visits.map((words) => start('client', program, ...words)));

  test.each(['nftables', 'iptables-nft', 'iptables-legacy'])(
    'from %s fails no connection and cuts none',
    async (kind) => {
      const [mode = '', iptablesVariant] = kind.split('-');
      const own = iptablesVariant === undefined ? {} : { iptablesVariant };
      // With loopback among them the guard of its NodePorts would stay.
      await agent.start(mode, own, { nodePortAddresses: ['203.0.113.0/24', '2001:db8::/64'] });
      const [openers, streams] = [await run('opener'), await run('stream')];
      await agent.end();
      await agent.start('userspace');
      await expect.poll(() => kindsOfRules(lab.node), WAIT).toEqual([]);
      const served = () => agent.metric('weft_userspace_connections_total{protocol="tcp"}') ?? 0;
      await expect.poll(served, WAIT).toBeGreaterThan(100);
      for (const text of await Promise.all([...openers, ...streams].map(resultOf))) {
        expect(text).not.toMatch(/failed|lost/);
      }
    },
    60_000,
  );

  test('to rules leaves nothing of this mode', async () => {
    await agent.start('userspace');
    await agent.end();
    await agent.start('nftables');
    await expect.poll(virtualAddresses, WAIT).toEqual([]);
    await expect.poll(tables, WAIT).not.toMatch(/weft-userspace|weft-portals/);
    expect(await probe(lab.client.path, { host: IPV4.vip(1), port: 80 })).toMatchObject({
      errors: {},
    });
  }, 60_000);
});
