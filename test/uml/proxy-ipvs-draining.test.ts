/** Connections run through their virtual server: nothing that has some goes before they end. */
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { IPV4 } from '../support/flows/net.ts';
import { endpointsOf, sliceOf } from '../support/flows/objects.ts';
import { openIpvsLab } from '../support/ipvs-lab.ts';
import { createProxyLab, type ProxyLab, SERVER_PORT } from '../support/proxy-lab.ts';
import { service, slice } from '../support/proxy-objects.ts';
import { probe, type RunningProgram, startIn } from '../support/workloads.ts';

const STREAM = new URL('../support/workloads/stream.ts', import.meta.url).pathname;
const UDP_STREAM = new URL('../support/workloads/udp-stream.ts', import.meta.url).pathname;
/** A connection that was reset is remembered for 10 s; one that was closed, for two minutes. */
const WAIT = { timeout: 40_000, interval: 250 };

let lab: ProxyLab;
const closing: (() => Promise<void> | void)[] = [];

beforeAll(async () => {
  lab = await createProxyLab();
});

afterAll(() => lab.remove());

async function stop(): Promise<void> {
  for (const close of closing.splice(0).reverse()) await close();
}
afterEach(stop);

type Endpoints = readonly ('a' | 'b')[];

/** An agent's part in it, from its start, with these endpoints of Services; gives what changes them. */
async function start(services: Readonly<Record<string, Endpoints>>) {
  const { mode, close } = await openIpvsLab(lab.node);
  closing.push(close);
  const { openSession } = mode;
  const proxy = lab.proxy({ families: [4], syncPeriodMs: 1_000, openSession });
  closing.push(() => proxy.stop());
  const change = async (vip: string, endpoints: Endpoints | undefined) => {
    const name = `web-${vip}`;
    if (endpoints === undefined) proxy.apply({ kind: 'service', was: service(name, vip) });
    else proxy.apply({ kind: 'service', now: service(name, vip) });
    if (endpoints !== undefined) {
      proxy.apply({ kind: 'slice', now: sliceOf(name, endpointsOf(IPV4, ...endpoints)) });
    }
    await proxy.sync();
  };
  for (const [vip, endpoints] of Object.entries(services)) await change(vip, endpoints);
  proxy.setSynced();
  await proxy.sync();
  return change;
}

/** What mentions the address: virtual servers, entries of sets, links. */
function traces(vip: string): readonly string[] {
  const listings = [
    lab.node.run('ipvsadm', '--save', '-n'),
    lab.node.run('ipset', 'save'),
    lab.node.run('ip', '-4', '-o', 'addr'),
  ];
  return listings.flatMap((text) => text.split('\n').filter((line) => line.includes(vip)));
}

/** Weights of the endpoints: `a 0, b 1`. */
function weights(vip: string): string {
  const names = { [IPV4.podA]: 'a', [IPV4.podB]: 'b' };
  const words = traces(vip).flatMap((line) => {
    const [, ip = '', weight] = / -r (.*):8080 -m -w (\d+)$/.exec(line) ?? [];
    return weight === undefined ? [] : [`${names[ip]} ${weight}`];
  });
  return words.sort().join(', ');
}

/** Who answers four new connections; errors by code. */
async function answers(host: string): Promise<Readonly<Record<string, number>>> {
  const target = { host, port: 80, count: 4 };
  const { servers, errors } = await probe(lab.client.path, target);
  return { ...servers, ...errors };
}

const stream = (host: string) =>
  startIn(lab.client.path, [process.execPath, STREAM, host, '80'], 'ready\n');

/** Ends it, after an answer to everything it has sent. */
async function endWell(program: RunningProgram): Promise<void> {
  await program.end('SIGTERM');
  expect(program.output()).toMatch(/returned (\d+) of \1/);
  expect(program.output()).not.toContain('lost');
}

test('what goes keeps its connections, through a restart, and is gone after them', async () => {
  const [moving, going] = [IPV4.vip(1), IPV4.vip(2)];
  const changeFirst = await start({ [moving]: ['a'], [going]: ['a'] });
  const streams = await Promise.all([stream(moving), stream(going)]);
  await changeFirst(moving, ['b']);
  await changeFirst(going, undefined);
  expect([weights(moving), await answers(moving)]).toEqual(['a 0, b 1', { b: 4 }]);
  expect([weights(going), Object.keys(await answers(going))]).toEqual(['a 0', ['ECONNREFUSED']]);
  await stop();
  const change = await start({ [moving]: ['b'] });
  expect([weights(moving), weights(going)]).toEqual(['a 0, b 1', 'a 0']);
  await change(moving, ['a', 'b']);
  expect(weights(moving)).toBe('a 1, b 1');
  await change(moving, ['b']);
  expect(weights(moving)).toBe('a 0, b 1');
  for (const each of streams) await endWell(each);
  await expect.poll(() => [weights(moving), ...traces(going)], WAIT).toEqual(['b 1']);
}, 120_000);

test('a UDP flow of a Service that goes while no agent runs ends with the next start', async () => {
  const vip = IPV4.vip(3);
  const port = { name: 'udp', protocol: 'UDP', port: SERVER_PORT } as const;
  const { mode, close } = await openIpvsLab(lab.node);
  const first = lab.proxy({ families: [4], openSession: mode.openSession });
  closing.push(close, () => first.stop());
  first.apply({ kind: 'service', now: service('dns', vip, { ports: [port] }) });
  first.apply({
    kind: 'slice',
    now: slice({ service: 'dns', endpoints: [IPV4.podA], ports: [port] }),
  });
  first.setSynced();
  await first.sync();
  const args = [process.execPath, UDP_STREAM, vip, String(SERVER_PORT)];
  const flow = await startIn(lab.client.path, args, 'ready\n');
  closing.push(() => flow.end('SIGKILL').then(() => {}));
  const led = () => lab.node.run('conntrack', '-L', '-p', 'udp', '--reply-src', IPV4.podA);
  await expect.poll(led, WAIT).toContain(vip);
  await first.stop();
  await start({});
  await expect.poll(led, WAIT).not.toContain(vip);
}, 120_000);
