/**
 * A router that spreads connections over the nodes that tell it of a load balancer's address, with packets:
 * scaling down, the loss of a node, and agents that are replaced.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Pod } from '../support/cluster.ts';
import { plan } from '../support/cluster.ts';
import { loadBalancerManifests } from '../support/manifests.ts';
import { ResilientRoute } from '../support/resilient-route.ts';
import { RoutedCluster } from '../support/routed-cluster.ts';
import { until } from '../support/until.ts';
import { probe, type RunningProgram, startIn, startServer, total } from '../support/workloads.ts';

const STREAMS = new URL('../support/workloads/streams.ts', import.meta.url).pathname;
const OPENER = new URL('../support/workloads/opener.ts', import.meta.url).pathname;
const PORT = 8080;
/** Any node takes it to any pod. */
const ANY = { name: 'any', clusterIP: '172.30.0.10', address: '198.51.100.10', isLocal: false };
/** Only nodes with a pod of their own. */
const NEAR = { name: 'near', clusterIP: '172.30.0.11', address: '198.51.100.11', isLocal: true };
const HELD = 60;
/** After that a connection counts as lost. */
const SILENT_MS = 2_000;
const ANSWERED_IN_MS = 10_000;

let lab: RoutedCluster;
let pods: readonly Pod[];
const servers: RunningProgram[] = [];

beforeAll(async () => {
  lab = new RoutedCluster({ nodes: 3, bfd: true });
  await lab.start();
  pods = await Promise.all(lab.nodes.map((node) => node.createPod(`web-${node.number}`)));
  for (const { netnsPath, name } of pods) servers.push(await startServer(netnsPath, name, PORT));
  publish(ANY, [1, 2, 3]);
  publish(NEAR, [1, 2]);
  await until('all nodes tell', async () => (await tellers(ANY)).length === 3);
}, 120_000);

afterAll(async () => {
  for (const server of servers) await server.end('SIGKILL');
  await lab?.remove();
});

type Balanced = typeof ANY;

/** The pods of these nodes serve; of those in `leaving` they still answer, but are no longer ready. */
function publish(
  balanced: Balanced,
  ready: readonly number[],
  leaving: readonly number[] = [],
): void {
  const served = pods.flatMap(({ addresses: [address = ''], node: { number, name } }) =>
    [...ready, ...leaving].includes(number)
      ? [{ address, nodeName: name, isReady: ready.includes(number) }]
      : [],
  );
  lab.cluster.writeManifest(`${balanced.name}.yaml`, loadBalancerManifests(balanced, PORT, served));
}

const tellers = ({ address }: Balanced) => lab.tellers(`${address}/32`);
const nodesOf = (...numbers: readonly number[]) => numbers.map((n) => `node${n}`);
const ask = ({ address: host }: Balanced, count: number) =>
  probe(lab.cluster.client.path, { host, port: 80, count, timeoutMs: ANSWERED_IN_MS });

/** New connections from outside, 100 a second, until it is ended. */
function openConnections({ address }: Balanced): Promise<RunningProgram> {
  const command = [process.execPath, OPENER, address, '80', '10', 'tcp', String(ANSWERED_IN_MS)];
  return startIn(lab.cluster.client.path, command, 'ready\n');
}

const failures = (opener: RunningProgram) => opener.output().match(/^failed .*/gm) ?? [];

/** Routes of the router's kernel as they come and go. */
const watchRoutes = () => startIn(lab.cluster.router.path, ['ip', 'monitor', 'route'], undefined);
const routesTakenBack = (monitor: RunningProgram) => monitor.output().match(/^Deleted .*/gm) ?? [];

describe('traffic policy Local', () => {
  test('only nodes with an endpoint tell, and serve by it', async () => {
    await until('both', async () => (await tellers(NEAR)).length === 2);
    expect(await tellers(NEAR)).toEqual(nodesOf(1, 2));
    const { servers: answered, errors, peers } = await ask(NEAR, 60);
    expect(errors).toEqual({});
    expect(Object.keys(answered).toSorted()).toEqual(['web-1', 'web-2']);
    // It is the client that the pod sees.
    expect(Object.keys(peers)).toEqual([plan.client[0]]);
  });

  test('a pod that is taken out, not ready first: no connection fails', async () => {
    const opener = await openConnections(NEAR);
    publish(NEAR, [1], [2]);
    await until('its node tells no more', async () => (await tellers(NEAR)).length === 1);
    publish(NEAR, [1]);
    await sleep(500);
    await opener.end('SIGTERM');
    expect(failures(opener)).toEqual([]);
  });

  test('the last one: the address is taken back while it still answers', async () => {
    const monitor = await watchRoutes();
    publish(NEAR, [], [1]);
    await until('nobody tells', async () => (await tellers(NEAR)).length === 0);
    await until('it is seen', () => routesTakenBack(monitor).length > 0);
    await monitor.end();
    // Who would still send to that node is served.
    const [address] = plan.nodeAddresses(1);
    lab.cluster.router.run('ip', 'route', 'add', `${NEAR.address}/32`, 'via', address);
    const { errors, servers: answered } = await ask(NEAR, 20);
    lab.cluster.router.run('ip', 'route', 'del', `${NEAR.address}/32`, 'via', address);
    expect(errors).toEqual({});
    expect(answered).toEqual({ 'web-1': 20 });
    publish(NEAR, [1, 2]);
    await until('both', async () => (await tellers(NEAR)).length === 2);
  });
});

describe('agents that are replaced', () => {
  test.each(['SIGTERM', 'SIGKILL'] as const)('after %s nothing is taken back', async (signal) => {
    const node = lab.node(1);
    const monitor = await watchRoutes();
    const before = await lab.sessionsSince(node);
    const opener = await openConnections(ANY);
    await node.stopAgent(signal);
    await sleep(1_000);
    await node.startAgent();
    // It looks at BIRD at its start and whenever something changes.
    publish(ANY, [1, 2, 3]);
    await sleep(1_000);
    await opener.end('SIGTERM');
    await monitor.end();
    expect(failures(opener)).toEqual([]);
    expect(routesTakenBack(monitor)).toEqual([]);
    expect(await lab.sessionsSince(node)).toEqual(before);
  });

  test('one that writes another configuration touches no session that stays', async () => {
    const node = lab.node(1);
    const monitor = await watchRoutes();
    const before = await lab.sessionsSince(node);
    await node.stopAgent();
    lab.addNeighbour(node);
    await node.startAgent();
    await until('BIRD has it', () => lab.neighbours(node) === 3);
    await sleep(500);
    await monitor.end();
    expect(routesTakenBack(monitor)).toEqual([]);
    expect(await lab.sessionsSince(node)).toEqual(before);
  });
});

test('a lost node takes its own connections with it, and those of nobody else', async () => {
  publish(NEAR, [1, 2, 3]);
  await until('all nodes tell', async () => (await tellers(NEAR)).length === 3);
  const gateways = lab.nodes.map(({ addresses: [address] }) => address);
  const route = new ResilientRoute(lab.cluster.router, `${NEAR.address}/32`, gateways);
  const command = [process.execPath, STREAMS, NEAR.address, '80', String(HELD)];
  const streams = await startIn(lab.cluster.client.path, command, 'ready\n');
  const start = performance.now();
  lab.cluster.router.run('ip', 'link', 'set', 'to-node3', 'down');
  await until('the router knows', async () => (await tellers(NEAR)).length === 2);
  const knownMs = performance.now() - start;
  route.set(gateways.slice(0, 2));
  // The control plane takes the endpoints of a lost node away.
  for (const balanced of [ANY, NEAR]) publish(balanced, [1, 2]);
  const gone = pods[2]?.addresses[0] ?? '';
  for (const { netns } of lab.nodes.slice(0, 2)) {
    const endpoints = () => netns.run('nft', 'list', 'map', 'ip', 'weft-proxy', 'endpoints');
    await until('the node knows that', () => !endpoints().includes(gone));
  }
  const answers = [await ask(NEAR, 100), await ask(ANY, 100)];
  await sleep(SILENT_MS);
  await streams.end('SIGTERM');
  expect(answers.map(({ errors }) => errors)).toEqual([{}, {}]);
  expect(answers.map(({ servers: answered }) => total(answered))).toEqual([100, 100]);
  const { held, lost } = JSON.parse(streams.output().replace('ready\n', ''));
  expect(Object.keys(held).toSorted()).toEqual(['web-1', 'web-2']);
  expect(Object.keys(lost)).toEqual(['web-3']);
  // BFD's time is 0.75 s; what it is without BFD is 9 s.
  expect(knownMs).toBeLessThan(5_000);
});
