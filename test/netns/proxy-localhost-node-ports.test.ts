/** NodePorts on loopback beside the rules of mode nftables. */
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { IPV4, IPV6, type Net } from '../support/flows/net.ts';
import { endpointsOf } from '../support/flows/objects.ts';
import { createProxyLab, type ProxyLab } from '../support/proxy-lab.ts';
import { service, slice } from '../support/proxy-objects.ts';
import { ModeAgent } from '../support/userspace-agent.ts';
import { probe, startServer } from '../support/workloads.ts';

const WAIT = { timeout: 15_000, interval: 50 };
const NODE_PORT = 30_090;
const UDP_PORT = 30_091;
const NETS = [IPV4, IPV6];
const PORTS = [
  { name: 'http', protocol: 'TCP', port: 80, nodePort: NODE_PORT },
  { name: 'dns', protocol: 'UDP', port: 53, nodePort: UDP_PORT },
] as const;
const LISTED = { nodePortAddresses: ['127.0.0.0/8', '::1/128', '203.0.113.0/24', '2001:db8::/64'] };

let lab: ProxyLab;
let agent: ModeAgent;

beforeAll(async () => {
  lab = await createProxyLab();
}, 60_000);

afterAll(() => lab.remove());

beforeEach(() => {
  agent = new ModeAgent(lab);
});

afterEach(() => agent.remove());

function write(net: Net, ...servers: readonly ('a' | 'b' | 'remote')[]): void {
  const name = `local-${net.family}`;
  const spec = { type: 'NodePort', ports: [...PORTS], externalTrafficPolicy: 'Local' } as const;
  agent.write(
    name,
    { apiVersion: 'v1', kind: 'Service', ...service(name, net.vip(1), spec) },
    {
      ...{ apiVersion: 'discovery.k8s.io/v1', kind: 'EndpointSlice' },
      ...slice({
        service: name,
        endpoints: endpointsOf(net, ...servers),
        ports: PORTS.map(({ name: portName, protocol }) => ({
          ...{ name: portName, protocol, port: 8080 },
        })),
      }),
    },
  );
}

const ask = (net: Net, protocol: 'tcp' | 'udp', count = 6) =>
  probe(lab.node.path, {
    ...{ protocol, host: net.loopback, count },
    port: protocol === 'tcp' ? NODE_PORT : UDP_PORT,
  });
const REFUSED = { servers: {}, errors: { ECONNREFUSED: 6 } };

test('processes of the node reach every endpoint at 127.0.0.1 and ::1, by TCP and UDP', async () => {
  for (const net of NETS) write(net, 'a', 'b', 'remote');
  await agent.start('nftables', {}, LISTED);
  for (const net of NETS) {
    for (const protocol of ['tcp', 'udp'] as const) {
      // The remote server has several addresses, and answers UDP by the wrong one.
      const servers = protocol === 'tcp' ? { a: 2, b: 2, remote: 2 } : { a: 3, b: 3 };
      if (protocol === 'udp') write(net, 'a', 'b');
      await expect.poll(() => ask(net, protocol), WAIT).toMatchObject({ servers });
    }
    const host = net.outer;
    const outside = await probe(lab.outside.path, { host, port: NODE_PORT, count: 6 });
    // The rules answer there, which lead to this node's endpoints and keep the source.
    expect([[net.outside], [net.stranger]]).toContainEqual(Object.keys(outside.peers));
  }
  const listening = lab.node.run('ss', '-Hlntu', `sport = :${NODE_PORT} or sport = :${UDP_PORT}`);
  const places = listening.match(/\S+:3009\d(?= )/g) ?? [];
  expect(places.sort()).toEqual([
    ...[`127.0.0.1:${NODE_PORT}`, `127.0.0.1:${UDP_PORT}`],
    ...[`[::1]:${NODE_PORT}`, `[::1]:${UDP_PORT}`],
  ]);
}, 60_000);

test('they follow endpoints and Services', async () => {
  for (const net of NETS) write(net, 'a');
  await agent.start('nftables', {}, LISTED);
  await expect.poll(() => ask(IPV4, 'tcp'), WAIT).toMatchObject({ servers: { a: 6 } });
  for (const net of NETS) write(net, 'b');
  for (const net of NETS) {
    await expect.poll(() => ask(net, 'tcp'), WAIT).toMatchObject({ servers: { b: 6 } });
  }
  write(IPV4);
  await expect.poll(() => ask(IPV4, 'tcp'), WAIT).toMatchObject(REFUSED);
  agent.delete('local-6');
  await expect.poll(() => ask(IPV6, 'tcp'), WAIT).toMatchObject(REFUSED);
}, 60_000);

test('a port that somebody else holds is left to him and told', async () => {
  const holder = await startServer(lab.node.path, 'holder', NODE_PORT);
  for (const net of NETS) write(net, 'a');
  await agent.start('nftables', {}, LISTED);
  await expect.poll(() => ask(IPV4, 'udp'), WAIT).toMatchObject({ servers: { a: 6 } });
  expect(await ask(IPV4, 'tcp')).toMatchObject({ servers: { holder: 6 } });
  expect(agent.output).toMatch(/"address":"127.0.0.1:30090\/tcp".*EADDRINUSE/);
  const problem = (place: string, name: string) =>
    expect.stringMatching(`^nobody listens at ${place} for Service ns/${name}: .*EADDRINUSE`);
  expect(await agent.problems()).toEqual([
    problem('127.0.0.1:30090/tcp', 'local-4'),
    problem('\\[::1\\]:30090/tcp', 'local-6'),
  ]);
  await holder.end();
}, 60_000);

test.each([
  { name: 'with the mode named: the default is the primary address', proxy: {} },
  { name: 'as listed', proxy: { nodePortAddresses: ['203.0.113.0/24', '2001:db8::/64'] } },
  {
    name: 'switched off',
    proxy: { ...LISTED, iptables: { localhostNodePorts: false } },
  },
])(
  'not without being asked for: $name',
  async ({ proxy }) => {
    for (const net of NETS) write(net, 'a');
    await agent.start('nftables', {}, proxy);
    for (const net of NETS) expect(await ask(net, 'tcp')).toMatchObject(REFUSED);
  },
  60_000,
);
