import { expect, test } from 'vitest';
import { Election } from '../../../../src/agent/routing/election.ts';
import { apiAgreement } from '../../../../src/kube/api/api-agreement.ts';
import { ApiError } from '../../../../src/kube/api/api-error.ts';
import { createLogger } from '../../../../src/util/log.ts';
import { FakeClock } from '../../../support/fake-clock.ts';

const TIMINGS = { leaseMs: 15_000, renewMs: 4_000 };

interface StoredLease {
  metadata: { resourceVersion: string };
  spec: { holderIdentity: string; leaseTransitions?: number };
}

/** A server with one lease, which can be out of reach for some of those who ask. */
class LeaseServer {
  lease: StoredLease | undefined;
  readonly unreached = new Set<string>();
  #version = 0;

  clientOf(who: string) {
    const reach = () => {
      if (this.unreached.has(who)) throw new Error('no way there');
    };
    const fail = (status: number): never => {
      throw new ApiError('lease', { status, reason: '', message: '', retryAfterMs: undefined });
    };
    return {
      read: async () => {
        reach();
        return this.lease === undefined ? fail(404) : structuredClone(this.lease);
      },
      create: async (_path: string, object: unknown) => {
        reach();
        if (this.lease !== undefined) fail(409);
        this.#store(object);
      },
      patch: async (_path: string, object: unknown) => {
        reach();
        const { metadata } = object as StoredLease;
        if (metadata.resourceVersion !== this.lease?.metadata.resourceVersion) fail(409);
        this.#store(object);
      },
    };
  }

  #store(object: unknown): void {
    const { spec } = object as StoredLease;
    const former = this.lease?.spec ?? {};
    this.lease = {
      metadata: { resourceVersion: String(++this.#version) },
      spec: { ...former, ...spec },
    };
  }
}

function stand(server: LeaseServer, clock: FakeClock, identity: string) {
  const changes: boolean[] = [];
  const abort = new AbortController();
  const election = new Election({
    ...{ agreement: apiAgreement(server.clientOf(identity)), clock, identity, timings: TIMINGS },
    ...{ namespace: 'weft', name: 'one', log: createLogger('silent'), signal: abort.signal },
    onChange: (isLeader) => changes.push(isLeader),
  });
  election.start();
  return { election, changes, end: () => abort.abort() };
}

/** Lets time pass in steps, and what is asked be answered after each. */
async function pass(clock: FakeClock, ms: number, each: () => void = () => {}) {
  for (let at = 0; at < ms; at += 500) {
    clock.advance(500);
    for (let i = 0; i < 20; i++) await Promise.resolve();
    each();
  }
}

test('of many exactly one wins, and keeps it', async () => {
  const [server, clock] = [new LeaseServer(), new FakeClock()];
  const all = ['a', 'b', 'c', 'd'].map((name) => stand(server, clock, name));
  await pass(clock, 60_000, () => {
    expect(all.filter(({ election }) => election.isLeader).length).toBeLessThanOrEqual(1);
  });
  expect(all.filter(({ election }) => election.isLeader)).toHaveLength(1);
  expect(server.lease?.spec.leaseTransitions).toBe(0);
});

test('who does not reach the server stops before another begins', async () => {
  const [server, clock] = [new LeaseServer(), new FakeClock()];
  const a = stand(server, clock, 'a');
  await pass(clock, 1_000);
  const b = stand(server, clock, 'b');
  await pass(clock, 5_000);
  expect([a.election.isLeader, b.election.isLeader]).toEqual([true, false]);
  server.unreached.add('a');
  let moments = 0;
  await pass(clock, 40_000, () => {
    moments++;
    expect([a.election.isLeader, b.election.isLeader]).not.toEqual([true, true]);
  });
  expect(moments).toBeGreaterThan(0);
  expect([a.election.isLeader, b.election.isLeader]).toEqual([false, true]);
  expect(a.changes).toEqual([true, false]);
  expect(a.election.problem).toContain('no way there');
  server.unreached.delete('a');
  await pass(clock, 20_000);
  expect([a.election.isLeader, b.election.isLeader]).toEqual([false, true]);
});

test('who comes back soon goes on', async () => {
  const [server, clock] = [new LeaseServer(), new FakeClock()];
  const first = stand(server, clock, 'a');
  await pass(clock, 5_000);
  first.end();
  const again = stand(server, clock, 'a');
  await pass(clock, 1_000);
  expect(again.election.isLeader).toBe(true);
  expect(server.lease?.spec.leaseTransitions).toBe(0);
});
