/** Nodes that know each other by route reflectors alone, with packets of their pods. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { BgpCluster, numbersFrom } from '../support/bgp-cluster.ts';
import { reaches } from '../support/fabric-cluster.ts';

const [REFLECTOR, OTHER_REFLECTOR, FIRST, SECOND, LATE] = [1, 2, 3, 4, 6];

let cluster: BgpCluster;

beforeAll(async () => {
  cluster = new BgpCluster(2);
  cluster.build(numbersFrom(1, 5));
  await cluster.join(numbersFrom(1, 5));
  await cluster.converged();
}, 60_000);

afterAll(() => cluster?.remove());

/** Pings of a pod, twenty a second for some seconds, and how many were not answered. */
async function lostWhile(work: () => Promise<void>): Promise<number> {
  const { netns } = cluster.node(FIRST);
  const [address] = cluster.node(SECOND).podAddresses;
  const ping = netns.start('ping', ['-n', '-q', '-i', '0.05', '-c', '200', address]);
  let output = '';
  ping.stdout?.on('data', (chunk) => (output += chunk));
  const ended = new Promise((resolve) => ping.once('exit', resolve));
  await work();
  // It says what it counted.
  ping.kill('SIGINT');
  await ended;
  const [, sent, received] = /(\d+) packets transmitted, (\d+) received/.exec(output) ?? [];
  expect(Number(sent)).toBeGreaterThan(0);
  return Number(sent) - Number(received);
}

test('pods of two nodes without a session reach each other over both families', async () => {
  const { bird } = cluster.node(FIRST);
  expect(await bird.session(`n${SECOND}`)).toBeUndefined();
  expect(await bird.established()).toBe(4);
  for (const to of cluster.nodes.filter(({ n }) => n !== FIRST)) {
    expect(await reaches(cluster.node(FIRST), to), `pod of n${to.n}`).toBe(true);
  }
});

test('a node is one next hop, its address, whichever reflector told of it first', () => {
  const { bird } = cluster.node(FIRST);
  for (const n of [REFLECTOR, OTHER_REFLECTOR, SECOND]) {
    expect(bird.gateways(`10.244.${n}.0/24`)).toEqual([`192.0.2.${n}`]);
    expect(bird.gateways(`fd00:${n}::/64`)).toEqual([`2001:db8::${n}`]);
  }
});

test('one reflector is lost and comes back: nodes without it lose no packet', async () => {
  const all = cluster.nodes.map(({ n }) => n);
  const left = all.filter((n) => n !== REFLECTOR);
  const lost = await lostWhile(async () => {
    await cluster.crash([REFLECTOR]);
    await cluster.converged(left);
    await cluster.boot([REFLECTOR]);
    await cluster.converged(all);
  });
  expect(lost).toBe(0);
});

test('both are lost: nobody is reached by a way that nobody vouches for, until one is back', async () => {
  const others = cluster.nodes.map(({ n }) => n).filter((n) => n > OTHER_REFLECTOR);
  await cluster.crash([REFLECTOR, OTHER_REFLECTOR]);
  for (const n of others) await cluster.converged([n], [n]);
  await cluster.boot([OTHER_REFLECTOR]);
  await cluster.converged(others, [OTHER_REFLECTOR, ...others]);
  expect(await reaches(cluster.node(FIRST), cluster.node(SECOND))).toBe(true);
  await cluster.boot([REFLECTOR]);
  await cluster.converged();
});

test('a node that joins is known everywhere, and forgotten when it is lost', async () => {
  cluster.build([LATE]);
  await cluster.join([LATE]);
  await cluster.converged();
  expect(await reaches(cluster.node(LATE), cluster.node(FIRST))).toBe(true);
  cluster.unplug(LATE);
  await cluster.converged(numbersFrom(1, LATE - 1));
});
