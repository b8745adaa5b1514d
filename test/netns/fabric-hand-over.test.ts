/** ipMasq gives its pods to the fabric and gets them back, while they make connections. */
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { connect, createNetns, type TestNetns } from '../support/netns.ts';
import { probe, type RunningProgram, startServer, total } from '../support/workloads.ts';
import { UpkeepNode } from './cni-upkeep-lab.ts';

const program = new URL('./fabric-hand-over-agent.ts', import.meta.url).pathname;
const PORT = 8080;
const OUTSIDE = '192.0.2.254';
const OUTSIDE6 = '2001:db8::fe';
/** The fabric takes it for a network of pods; ipMasq does not know it. */
const REMOTE_POD = '198.51.100.1';
const NODE = '192.0.2.1';

let node: UpkeepNode;
let pod: TestNetns;
let outside: TestNetns;
let server: RunningProgram;

beforeAll(async () => {
  node = new UpkeepNode();
  outside = createNetns('outside');
  connect(
    { netns: node.host, link: 'up0', addresses: [`${NODE}/24`, '2001:db8::1/64'] },
    { netns: outside, link: 'up0', addresses: [`${OUTSIDE}/24`, `${OUTSIDE6}/64`] },
  );
  outside.batch([
    `addr add ${REMOTE_POD}/32 dev up0`,
    `route add 10.22.0.0/16 via ${NODE}`,
    'route add fd22::/64 via 2001:db8::1',
  ]);
  node.host.batch([`route add ${REMOTE_POD}/32 via ${OUTSIDE}`]);
  server = await startServer(outside.path, 'outside', PORT);
}, 60_000);

afterAll(async () => {
  await server.end('SIGKILL');
  outside.remove();
  node.remove();
});

beforeEach(async () => {
  pod = node.pod();
  attach(pod, 'one');
  await node.startAgent({ program });
});

afterEach(async () => {
  await node.tellAgent('gone');
  await node.stopAgent();
  for (const id of ['one', 'two']) node.detach(id, undefined, DEFAULT_GATEWAY);
});

const DEFAULT_GATEWAY = { isDefaultGateway: true };

function attach(at: TestNetns, id: string): string {
  const [address = ''] = node.attach(at, id, DEFAULT_GATEWAY);
  return address;
}

const elements = () => {
  const listing = node.host.attempt('nft', ['list', 'table', 'inet', 'weft-cni']).stdout;
  return listing.match(/ : goto masquerade-/g)?.length ?? 0;
};
const seen = async (host: string) =>
  Object.keys((await probe(pod.path, { host, port: PORT, timeoutMs: 2_000 })).peers)[0];

test('elements go with the first table and come back before it goes', async () => {
  expect(elements()).toBe(2);
  expect(await seen(REMOTE_POD)).toBe(NODE);
  await node.tellAgent('on');
  expect(elements()).toBe(0);
  expect(await seen(OUTSIDE)).toBe(NODE);
  expect(await seen(OUTSIDE6)).toBe('2001:db8::1');
  expect(await seen(REMOTE_POD)).toMatch(/^10\.22\./);
  await node.tellAgent('off');
  expect(elements()).toBe(2);
  expect(await seen(OUTSIDE)).toBe(NODE);
  await node.tellAgent('on');
  await node.tellAgent('gone');
  expect(elements()).toBe(2);
});

test('new pods need none, in an agent that starts and without one', async () => {
  await node.tellAgent('on');
  await node.stopAgent();
  attach(node.pod(), 'two');
  expect(elements()).toBe(0);
  await node.startAgent({ program });
  await node.tellAgent('on');
  expect(elements()).toBe(0);
  expect(node.count('repaired', 'masquerade')).toBe(0);
  node.detach('two', undefined, DEFAULT_GATEWAY);
  attach(node.pod(), 'two');
  await node.tellAgent('off');
  expect(elements()).toBe(4);
  node.detach('two', undefined, DEFAULT_GATEWAY);
  expect(elements()).toBe(2);
});

test('one that somebody adds goes, those that somebody takes stay away', async () => {
  await node.tellAgent('on');
  node.nft('flush ruleset');
  await node.until(() => node.nft('list tables').includes('weft-fabric'));
  expect(await seen(OUTSIDE)).toBe(NODE);
  await node.tellAgent('off');
  expect(elements()).toBe(2);
  const saved = node.nft('list table inet weft-cni');
  await node.tellAgent('on');
  expect(elements()).toBe(0);
  node.nft('delete table inet weft-cni');
  node.nft(saved.replaceAll('\n', ';').replaceAll('{;', '{ ').replaceAll(/,;\s*/g, ', '));
  await node.until(() => elements() === 0);
});

test('0 of 1,000 connections lose their masquerade in either direction', async () => {
  let isOver = false;
  const connections = probe(pod.path, { host: OUTSIDE, port: PORT, count: 1_000 }).finally(() => {
    isOver = true;
  });
  let rounds = 0;
  while (!isOver) {
    await node.tellAgent('on');
    await node.tellAgent(rounds % 2 === 0 ? 'off' : 'gone');
    rounds += 1;
  }
  expect(rounds).toBeGreaterThan(1);
  const { peers, errors } = await connections;
  expect(total(errors)).toBe(0);
  expect(peers).toEqual({ [NODE]: 1_000 });
}, 60_000);
