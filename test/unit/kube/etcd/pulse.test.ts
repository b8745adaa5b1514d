import { expect, test } from 'vitest';
import type { Question } from '../../../../src/kube/etcd/gateway.ts';
import { History } from '../../../../src/kube/etcd/history.ts';
import { Pulse } from '../../../../src/kube/etcd/pulse.ts';
import { FakeClock } from '../../../support/fake-clock.ts';

const HEADER = { cluster_id: '1', revision: '7', raft_term: '2' };

test('beats while somebody watches, also when nobody answers', async () => {
  const clock = new FakeClock();
  const history = new History();
  const asked: Question[] = [];
  const gateway = {
    accesses: [],
    ask: async (question: Question) => {
      asked.push(question);
      if (asked.length === 1) throw new Error('no answer');
      return { header: HEADER };
    },
  };
  const pulse = new Pulse({ gateway, history, clock, prefix: '/weft' });
  const pass = async () => {
    clock.advance(5_000);
    await new Promise((resolve) => setImmediate(resolve));
  };
  await pass();
  expect(asked).toEqual([]);
  const releases = [pulse.hold(), pulse.hold()];
  await pass();
  expect(history.last).toBeUndefined();
  await pass();
  expect(asked).toHaveLength(2);
  expect(asked[0]).toMatchObject({ isRead: true, body: { key: 'L3dlZnQv' } });
  expect(history.last?.revision).toBe(7);
  releases[0]?.();
  await pass();
  expect(asked).toHaveLength(3);
  releases[1]?.();
  await pass();
  expect([asked.length, clock.scheduled]).toEqual([3, 0]);
});
