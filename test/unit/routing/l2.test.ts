import { expect, test } from 'vitest';
import { type IP, parseIP } from '../../../src/net/ip.ts';
import type { ServiceAddress } from '../../../src/routing/facts.ts';
import { AliveNodes } from '../../../src/routing/l2/alive.ts';
import { announcerOf, Turns } from '../../../src/routing/l2/announcer.ts';
import { FakeClock } from '../../support/fake-clock.ts';

const NODES = Array.from({ length: 10 }, (_, i) => `n${i}`);
const IPS = Array.from({ length: 200 }, (_, i) => parseIP(`198.51.100.${i}`));

const service = (more: Partial<ServiceAddress> = {}): ServiceAddress => ({
  ...{ ip: parseIP('198.51.100.7'), kind: 'loadBalancerIPs', services: ['shop/web'] },
  ...{ isServed: true, isLocal: false, isServedSomewhere: true, ...more },
});

/** Without a wait for nodes that give something up. */
function announcedBy(
  node: string,
  services: readonly ServiceAddress[],
  alive: ReadonlySet<string>,
): readonly IP[] {
  return new Turns(node, new FakeClock(), 0).next(services, alive);
}

test('addresses spread over nodes, and only those of a lost node move', () => {
  const before = IPS.map((ip) => announcerOf(ip, NODES));
  const counts = NODES.map((node) => before.filter((each) => each === node).length);
  expect(Math.min(...counts)).toBeGreaterThan(5);
  const after = IPS.map((ip) => announcerOf(ip, NODES.slice(1)));
  const moved = IPS.filter((_, i) => before[i] !== after[i]);
  expect(moved).toHaveLength(counts[0] ?? 0);
});

test('every node comes to the same answer: exactly one answers', () => {
  const alive = new Set(NODES);
  const services = IPS.map((ip) => service({ ip }));
  const all = NODES.flatMap((node) => announcedBy(node, services, alive));
  expect(all.toSorted()).toEqual(IPS.toSorted());
});

test.each([
  ['no endpoint is ready anywhere', { isServedSomewhere: false }, []],
  ['it is no load balancer address', { kind: 'clusterIPs' as const }, []],
  ['under a Local policy another has the endpoints', { nodes: ['n2'] }, []],
  ['under a Local policy who has them is gone', { nodes: ['n9'] }, []],
  ['under a Local policy it has them', { nodes: ['n1', 'n9'] }, ['198.51.100.7']],
])('%s', (_, more, wanted) => {
  expect(announcedBy('n1', [service(more)], new Set(['n1', 'n2']))).toEqual(wanted);
});

test('who is not alive itself answers for nothing', () => {
  expect(announcedBy('n1', [service()], new Set())).toEqual([]);
});

test('a node is alive as long as its lease changes, whatever its clock says', () => {
  const clock = new FakeClock();
  const alive = new AliveNodes(clock, 2_000);
  alive.see('n1', '1999');
  clock.advance(1_999);
  expect([...alive.list()]).toEqual(['n1']);
  alive.see('n1', '1999');
  clock.advance(1);
  expect([...alive.list()]).toEqual([]);
  alive.see('n1', '1998');
  expect([...alive.list(0)]).toEqual([]);
  expect([...alive.list()]).toEqual(['n1']);
  alive.forget('n1');
  expect([...alive.list()]).toEqual([]);
});

/** Of two nodes the one that wins the address, and the other. */
const [WINNER = '', LOSER = ''] = ['n1', 'n2'].toSorted((a, b) =>
  announcerOf(parseIP('198.51.100.7'), [a, b]) === a ? -1 : 1,
);
const ADDRESS = '198.51.100.7';

test('what a living node has is taken over once it had time to give it up', () => {
  const clock = new FakeClock();
  const [comes, stays] = [new Turns(WINNER, clock, 400), new Turns(LOSER, clock, 400)];
  expect(stays.next([service()], new Set([LOSER]))).toEqual([ADDRESS]);
  expect(comes.next([service()], new Set([LOSER]))).toEqual([]);
  const both = new Set([WINNER, LOSER]);
  expect(stays.next([service()], both)).toEqual([]);
  expect(comes.next([service()], both)).toEqual([]);
  clock.advance(399);
  expect(comes.next([service()], both)).toEqual([]);
  clock.advance(1);
  expect(comes.next([service()], both)).toEqual([ADDRESS]);
});

test('what a lost node had is taken over at once', () => {
  const clock = new FakeClock();
  const turns = new Turns(LOSER, clock, 400);
  expect(turns.next([service()], new Set([WINNER, LOSER]))).toEqual([]);
  clock.advance(100);
  expect(turns.next([service()], new Set([LOSER]))).toEqual([ADDRESS]);
});

test('who had no time to begin is not who is waited for', () => {
  const [c = '', b = '', a = ''] = ['n1', 'n2', 'n3'].toSorted((one, other) =>
    announcerOf(parseIP(ADDRESS), [one, other]) === one ? -1 : 1,
  );
  const clock = new FakeClock();
  const turns = new Turns(c, clock, 400);
  turns.next([service()], new Set([a]));
  clock.advance(1_000);
  turns.next([service()], new Set([a, b]));
  clock.advance(200);
  // What a has seen of b's coming nobody knows.
  expect(turns.next([service()], new Set([a, c]))).toEqual([]);
  clock.advance(400);
  expect(turns.next([service()], new Set([a, c]))).toEqual([ADDRESS]);
});

test('who was away waits for who took over meanwhile', () => {
  const clock = new FakeClock();
  const turns = new Turns(WINNER, clock, 400);
  const both = new Set([WINNER, LOSER]);
  turns.next([service()], both);
  clock.advance(400);
  expect(turns.next([service()], both)).toEqual([ADDRESS]);
  expect(turns.next([service()], new Set([LOSER]))).toEqual([]);
  clock.advance(5_000);
  expect(turns.next([service()], both)).toEqual([]);
  clock.advance(400);
  expect(turns.next([service()], both)).toEqual([ADDRESS]);
});

test('why nobody answers is said', () => {
  const turns = new Turns('n1', new FakeClock(), 0);
  const services = [
    service({ isServedSomewhere: false }),
    service({ ip: parseIP('198.51.100.8'), nodes: ['n9'] }),
    service({ ip: parseIP('198.51.100.9') }),
  ];
  turns.next(services, new Set(['n1']));
  expect(turns.list().map(({ ip, node, whyNot }) => [ip, node, whyNot])).toEqual([
    ['198.51.100.7', undefined, 'no endpoint is ready'],
    [
      '198.51.100.8',
      undefined,
      'externalTrafficPolicy is Local, and of the nodes with endpoints (n9) none can answer',
    ],
    ['198.51.100.9', 'n1', ''],
  ]);
});

test('hundreds of nodes that come one by one and leave again cost no choice among all of them', () => {
  const nodes = Array.from({ length: 300 }, (_, i) => `node-${i}`);
  const services = IPS.map((ip) => service({ ip }));
  const turns = new Turns('node-7', new FakeClock(), 0);
  const alive = new Set<string>();
  const before = process.cpuUsage();
  for (const node of nodes) turns.next(services, alive.add(node));
  const { user } = process.cpuUsage(before);
  const chosen = () => turns.list().map(({ node }) => node);
  expect(chosen()).toEqual(IPS.map((ip) => announcerOf(ip, nodes)));
  for (const node of nodes.slice(100)) alive.delete(node);
  turns.next(services, alive);
  expect(chosen()).toEqual(IPS.map((ip) => announcerOf(ip, alive)));
  expect(user).toBeLessThan(4_000_000);
});
