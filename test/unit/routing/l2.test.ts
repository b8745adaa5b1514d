import { expect, test } from 'vitest';
import { parseIP } from '../../../src/net/ip.ts';
import type { ServiceAddress } from '../../../src/routing/facts.ts';
import { AliveNodes } from '../../../src/routing/l2/alive.ts';
import { announcedBy, announcerOf } from '../../../src/routing/l2/announcer.ts';
import { FakeClock } from '../../support/fake-clock.ts';

const NODES = Array.from({ length: 10 }, (_, i) => `n${i}`);
const IPS = Array.from({ length: 200 }, (_, i) => parseIP(`198.51.100.${i}`));

const service = (more: Partial<ServiceAddress> = {}): ServiceAddress => ({
  ...{ ip: parseIP('198.51.100.7'), kind: 'loadBalancerIPs', services: ['shop/web'] },
  ...{ isServed: true, isLocal: false, isServedSomewhere: true, ...more },
});

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
