import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { openFlowSweeper } from '../../src/kernel/conntrack-sweep.ts';
import { netnses } from '../../src/kernel/netns.ts';
import { openRtnl } from '../../src/kernel/rtnl.ts';
import type { Netns } from '../../src/kernel/types.ts';
import type { EndpointSlice, Service } from '../../src/kube/types.ts';
import { ConntrackReconciler } from '../../src/proxy/conntrack/reconciler.ts';
import type { ServiceProxy, ServiceProxyOptions } from '../../src/proxy/service-proxy.ts';
import { systemClock } from '../../src/util/clock.ts';
import { createLogger } from '../../src/util/log.ts';
import { openIptablesLab, VARIANTS } from '../support/iptables-lab.ts';
import type { TestNetns } from '../support/netns.ts';
import { createProxyLab, type ProxyLab, SERVER_PORT } from '../support/proxy-lab.ts';
import { clearRules } from '../support/proxy-modes.ts';
import { type EndpointText, service, slice } from '../support/proxy-objects.ts';
import { type RunningProgram, startIn, startServer } from '../support/workloads.ts';

const STREAM = new URL('../support/workloads/udp-stream.ts', import.meta.url).pathname;
const TCP_STREAM = new URL('../support/workloads/stream.ts', import.meta.url).pathname;
const SECOND_PORT = 9090;
const NODE_PORT = 30053;
const LB = '198.51.100.53';
const V4 = { vip: '172.30.0.53', a: '10.1.0.3', b: '10.1.0.4', node: '203.0.113.1' };
const V6 = {
  vip: 'fd00:172::53',
  a: 'fd00:10:1::3',
  b: 'fd00:10:1::4',
  node: '2001:db8::1',
};

let lab: ProxyLab;
let nodeNetns: Netns;
let second: RunningProgram;
const streams: RunningProgram[] = [];
const running: { stop(): Promise<void> }[] = [];

beforeAll(async () => {
  lab = await createProxyLab();
  nodeNetns = netnses.open(lab.node.path);
  second = await startServer(lab.podA.path, 'second', SECOND_PORT);
});

afterAll(async () => {
  await second.end('SIGKILL');
  nodeNetns.close();
  await lab.remove();
});

afterEach(async () => {
  await Promise.all(streams.splice(0).map((stream) => stream.end('SIGKILL')));
  for (const part of running.splice(0)) await part.stop();
  lab.node.run('nft', 'flush', 'ruleset');
  lab.node.run('conntrack', '-F');
});

function startReconciler(killsTcp = false): ConntrackReconciler {
  const reconciler = new ConntrackReconciler({
    killsTcp,
    sweeper: openFlowSweeper(nodeNetns),
    localAddresses() {
      const rtnl = openRtnl(nodeNetns);
      const addresses = rtnl.addresses().map(({ address }) => address);
      rtnl.close();
      return addresses;
    },
    clock: systemClock,
    log: createLogger('warn'),
  });
  running.push(reconciler);
  return reconciler;
}

async function startProxy(
  objects: { readonly services: readonly Service[]; readonly slices: readonly EndpointSlice[] },
  listeners = [startReconciler()],
  options: Pick<Partial<ServiceProxyOptions>, 'openSession'> = {},
): Promise<ServiceProxy> {
  const proxy = lab.proxy({ listeners, ...options });
  running.unshift(proxy);
  for (const object of objects.services) proxy.apply({ kind: 'service', now: object });
  for (const object of objects.slices) proxy.apply({ kind: 'slice', now: object });
  proxy.setSynced();
  await proxy.sync();
  return proxy;
}

const PORT = { name: 'udp', protocol: 'UDP', port: 53, nodePort: NODE_PORT } as const;

function dns(vip: string, hasLoadBalancer = true): Service {
  const base = service('dns', vip, { type: 'LoadBalancer', ports: [PORT] });
  const ingress = hasLoadBalancer && !vip.includes(':') ? [{ ip: LB }] : [];
  return { ...base, status: { loadBalancer: { ingress } } };
}

const endpoints = (ips: readonly EndpointText[], port = SERVER_PORT, owner = 'dns') =>
  slice({ service: owner, endpoints: ips, ports: [{ name: 'udp', protocol: 'UDP', port }] });

/** Begins a UDP flow that goes on until the test ends. */
async function stream(from: TestNetns, host: string, port: number): Promise<RunningProgram> {
  const started = await startIn(from.path, [process.execPath, STREAM, host, String(port)], 'ready');
  streams.push(started);
  return started;
}

/** Waits until the servers that have answered so far are these. */
const answeredBy = (program: RunningProgram, ...servers: readonly string[]) =>
  expect
    .poll(() => program.output().trim().split('\n').slice(1), { timeout: 5_000, interval: 20 })
    .toEqual(servers);

const flowIds = (...filter: readonly string[]) =>
  [
    ...lab.node.run('conntrack', '-L', '-o', 'id', '-p', 'udp', ...filter).matchAll(/ id=(\d+)/g),
  ].map(([, id]) => id);

describe.each(['nftables', ...VARIANTS] as const)(
  'mode %s: a UDP flow of a Service that goes while no agent runs ends with the next start',
  (mode) => {
    const open = async () => {
      if (mode === 'nftables') return {};
      const { openSession, close } = await openIptablesLab(lab.node, mode);
      running.push({ stop: async () => close() });
      return { openSession };
    };

    afterEach(async () => clearRules(lab.node));

    test.each([
      { name: 'clusterIP', from: () => lab.client, to: V4.vip, port: 53, ips: V4 },
      { name: 'NodePort', from: () => lab.outside, to: V4.node, port: NODE_PORT, ips: V4 },
      { name: 'clusterIP over IPv6', from: () => lab.client, to: V6.vip, port: 53, ips: V6 },
      {
        name: 'NodePort over IPv6',
        from: () => lab.outside,
        to: V6.node,
        port: NODE_PORT,
        ips: V6,
      },
    ])('$name', async ({ from, to, port, ips }) => {
      const objects = { services: [dns(ips.vip)], slices: [endpoints([ips.a])] };
      const first = await startProxy(objects, [], await open());
      const flow = await stream(from(), to, port);
      await answeredBy(flow, 'a');
      await first.stop();
      const led = flowIds('--reply-src', ips.a);
      expect(led).toHaveLength(1);
      await startProxy({ services: [], slices: [] }, undefined, await open());
      await expect
        .poll(() => flowIds('--reply-src', ips.a), { timeout: 5_000, interval: 20 })
        .not.toContain(led[0]);
    });
  },
);

describe('a UDP flow follows the endpoint', () => {
  test.each([
    { name: 'clusterIP', from: () => lab.client, to: V4.vip, port: 53, ips: V4 },
    { name: 'clusterIP of the node itself', from: () => lab.node, to: V4.vip, port: 53, ips: V4 },
    { name: 'NodePort', from: () => lab.outside, to: V4.node, port: NODE_PORT, ips: V4 },
    {
      name: 'NodePort of the node itself',
      from: () => lab.node,
      to: V4.node,
      port: NODE_PORT,
      ips: V4,
    },
    { name: 'load balancer', from: () => lab.outside, to: LB, port: 53, ips: V4 },
    { name: 'clusterIP over IPv6', from: () => lab.client, to: V6.vip, port: 53, ips: V6 },
    { name: 'NodePort over IPv6', from: () => lab.outside, to: V6.node, port: NODE_PORT, ips: V6 },
  ])('$name', async ({ from, to, port, ips }) => {
    const proxy = await startProxy({ services: [dns(ips.vip)], slices: [endpoints([ips.a])] });
    const flow = await stream(from(), to, port);
    await answeredBy(flow, 'a');
    proxy.apply({ kind: 'slice', now: endpoints([ips.b]) });
    await answeredBy(flow, 'a', 'b');
    // By way of none, as when a pod is made anew.
    proxy.apply({ kind: 'slice', now: endpoints([]) });
    await proxy.sync();
    proxy.apply({ kind: 'slice', now: endpoints([ips.a]) });
    await answeredBy(flow, 'a', 'b', 'a');
  });

  test('which it would not do by itself', async () => {
    const proxy = await startProxy({ services: [dns(V4.vip)], slices: [endpoints([V4.a])] }, []);
    const flow = await stream(lab.client, V4.vip, 53);
    await answeredBy(flow, 'a');
    const before = flowIds('-d', V4.vip);
    proxy.apply({ kind: 'slice', now: endpoints([V4.b]) });
    await proxy.sync();
    const later = await stream(lab.client, V4.vip, 53);
    await answeredBy(later, 'b');
    await answeredBy(flow, 'a');
    expect(flowIds('-d', V4.vip)).toEqual(expect.arrayContaining(before));
  });

  test('to the new target port', async () => {
    const proxy = await startProxy({ services: [dns(V4.vip)], slices: [endpoints([V4.a])] });
    const flow = await stream(lab.client, V4.vip, 53);
    await answeredBy(flow, 'a');
    proxy.apply({ kind: 'slice', now: endpoints([V4.a], SECOND_PORT) });
    await answeredBy(flow, 'a', 'second');
  });

  test('from the moment there is one', async () => {
    const proxy = await startProxy({ services: [dns(V4.vip)], slices: [] });
    const flow = await stream(lab.client, V4.vip, 53);
    proxy.apply({ kind: 'slice', now: endpoints([V4.a]) });
    await answeredBy(flow, 'a');
  });

  test('and the Service, to an address it gains', async () => {
    const objects = { services: [dns(V4.vip, false)], slices: [endpoints([V4.a])] };
    const proxy = await startProxy(objects);
    // Until then the address is somebody else's, behind the node, who does not answer.
    const flow = await stream(lab.client, LB, 53);
    await expect.poll(() => flowIds('-d', LB)).toHaveLength(1);
    proxy.apply({ kind: 'service', now: dns(V4.vip) });
    await answeredBy(flow, 'a');
  });

  test('when it changed while no agent ran', async () => {
    const before = await startProxy({ services: [dns(V4.vip)], slices: [endpoints([V4.a])] });
    const flow = await stream(lab.client, V4.vip, 53);
    await answeredBy(flow, 'a');
    await before.stop();
    await startProxy({ services: [dns(V4.vip)], slices: [endpoints([V4.b])] });
    await answeredBy(flow, 'a', 'b');
  });
});

describe('a UDP flow ends', () => {
  const EXTERNAL = '198.51.100.54';
  const withExternal = (externalIPs: readonly string[], nodePort = NODE_PORT) =>
    service('dns', V4.vip, {
      type: 'NodePort',
      ports: [{ ...PORT, nodePort }],
      externalIPs: [...externalIPs],
    });

  test.each<{
    name: string;
    to: string;
    port: number;
    change: (proxy: ServiceProxy) => void;
  }>([
    {
      name: 'with the last endpoint',
      to: V4.vip,
      port: 53,
      change: (proxy) => proxy.apply({ kind: 'slice', now: endpoints([]) }),
    },
    {
      name: 'with its Service',
      to: V4.vip,
      port: 53,
      change: (proxy) => proxy.apply({ kind: 'service', was: withExternal([]) }),
    },
    {
      name: 'with the external IP',
      to: EXTERNAL,
      port: 53,
      change: (proxy) => proxy.apply({ kind: 'service', now: withExternal([]) }),
    },
    {
      name: 'with the NodePort',
      to: V4.node,
      port: NODE_PORT,
      change: (proxy) => proxy.apply({ kind: 'service', now: withExternal([EXTERNAL], 0) }),
    },
  ])('$name, and another Service keeps its own', async ({ to, port, change }) => {
    const other = service('other', '172.30.0.54', {
      ports: [{ name: 'udp', protocol: 'UDP', port: 53 }],
    });
    const proxy = await startProxy({
      services: [withExternal([EXTERNAL]), other],
      slices: [endpoints([V4.a]), endpoints([V4.a], SERVER_PORT, 'other')],
    });
    const flow = await stream(lab.outside, to, port);
    const witness = await stream(lab.client, '172.30.0.54', 53);
    await answeredBy(flow, 'a');
    await answeredBy(witness, 'a');
    const kept = flowIds('-d', '172.30.0.54');
    const led = () => flowIds('--orig-dst', to, '--reply-src', V4.a);
    expect(led()).toHaveLength(1);
    change(proxy);
    await proxy.sync();
    await expect.poll(led, { timeout: 5_000, interval: 20 }).toEqual([]);
    expect(flowIds('-d', '172.30.0.54')).toEqual(kept);
  });
});

describe('a flow that is right stays', () => {
  test('on an endpoint that another one joins, and that then drains', async () => {
    const otherVip = '172.30.0.54';
    const other = service('other', otherVip, {
      ports: [{ name: 'udp', protocol: 'UDP', port: 53 }],
    });
    const ofOther = (ip: string) => endpoints([ip], SERVER_PORT, 'other');
    const proxy = await startProxy({
      services: [dns(V4.vip), other],
      slices: [endpoints([V4.a]), ofOther(V4.a)],
    });
    const [flow, witness] = [
      await stream(lab.client, V4.vip, 53),
      await stream(lab.client, otherVip, 53),
    ];
    await answeredBy(flow, 'a');
    await answeredBy(witness, 'a');
    const ids = flowIds('-d', V4.vip);
    proxy.apply({ kind: 'slice', now: endpoints([V4.a, V4.b]) });
    await proxy.sync();
    const conditions = { ready: false, serving: true, terminating: true };
    proxy.apply({ kind: 'slice', now: endpoints([{ ip: V4.a, conditions }, V4.b]) });
    // The flow that does have to go proves that all flows were looked at.
    proxy.apply({ kind: 'slice', now: ofOther(V4.b) });
    await answeredBy(witness, 'a', 'b');
    await answeredBy(flow, 'a');
    expect(flowIds('-d', V4.vip)).toEqual(ids);
  });

  test('to a port that is a NodePort here, on another host', async () => {
    const server = await startServer(lab.remote.path, 'elsewhere', NODE_PORT);
    streams.push(server);
    const proxy = await startProxy({ services: [dns(V4.vip)], slices: [endpoints([V4.a])] });
    const unrelated = await stream(lab.outside, '10.2.0.2', NODE_PORT);
    const related = await stream(lab.outside, V4.node, NODE_PORT);
    await answeredBy(unrelated, 'elsewhere');
    await answeredBy(related, 'a');
    const [id] = flowIds('-d', '10.2.0.2');
    proxy.apply({ kind: 'slice', now: endpoints([V4.b]) });
    await answeredBy(related, 'a', 'b');
    expect(flowIds('-d', '10.2.0.2')).toEqual([id]);
  });
});

test.each([V4, V6])('a connection to $vip begun before its Service is led to it', async (net) => {
  const tracked = () => lab.node.run('conntrack', '-L', '-f', net === V4 ? 'ipv4' : 'ipv6');
  // Connections are tracked where some rule asks for their state.
  lab.node.run(
    'nft',
    'add table inet other; add chain inet other c { type filter hook forward priority 0; }; add rule inet other c ct state new counter',
  );
  const command = [process.execPath, TCP_STREAM, net.vip, '80', '200', '60000'];
  const early = await startIn(lab.client.path, command, undefined);
  streams.push(early);
  await expect.poll(tracked).toMatch(/ SYN_SENT .*UNREPLIED/);
  const services = [service('web', net.vip)];
  await startProxy({ services, slices: [slice({ service: 'web', endpoints: [net.a] })] });
  await expect.poll(() => early.output(), { timeout: 10_000 }).toContain('ready');
});

describe('a TCP connection to an endpoint that is gone', () => {
  const web = service('web', V4.vip);
  const to = (...ips: readonly string[]) => slice({ service: 'web', endpoints: ips });

  async function connected(): Promise<RunningProgram> {
    const command = [process.execPath, TCP_STREAM, V4.vip, '80'];
    const program = await startIn(lab.client.path, command, 'ready');
    streams.push(program);
    return program;
  }

  test('is reset where that is asked for', async () => {
    const objects = { services: [web], slices: [to(V4.a)] };
    const proxy = await startProxy(objects, [startReconciler(true)]);
    const gone = await connected();
    proxy.apply({ kind: 'slice', now: to(V4.b) });
    await proxy.sync();
    const right = await connected();
    await expect.poll(() => gone.output(), { timeout: 5_000 }).toContain('lost');
    expect(right.output()).toBe('ready\n');
  });

  test('is left alone by default', async () => {
    const objects = { services: [web, dns('172.30.0.54')], slices: [to(V4.a), endpoints([V4.a])] };
    const proxy = await startProxy(objects);
    const connection = await connected();
    const flow = await stream(lab.client, '172.30.0.54', 53);
    await answeredBy(flow, 'a');
    proxy.apply({ kind: 'slice', now: to(V4.b) });
    proxy.apply({ kind: 'slice', now: endpoints([V4.b]) });
    // The UDP flow proves that the round has been.
    await answeredBy(flow, 'a', 'b');
    expect(connection.output()).toBe('ready\n');
  });
});
