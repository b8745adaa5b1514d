import { beforeEach, describe, expect, test } from 'vitest';
import { PolicyFeed } from '../../../../src/agent/policy/feed.ts';
import { needsAllPods } from '../../../../src/agent/policy/needs.ts';
import { decodeClusterNetworkPolicy } from '../../../../src/kube/policy/decode-cluster-network-policy.ts';
import { decodeNetworkPolicy } from '../../../../src/kube/policy/decode-network-policy.ts';
import { podsOfNode, podsOfOtherNodes } from '../../../../src/kube/policy/resources.ts';
import type { NetworkPolicy, Pod } from '../../../../src/kube/policy/types.ts';
import type { KubernetesObject } from '../../../../src/kube/types.ts';
import type { PolicyChange } from '../../../../src/policy/change.ts';
import { FakeClock } from '../../../support/fake-clock.ts';
import { FakeSource, readingOf } from './fake-source.ts';

const OWN = readingOf(podsOfNode('n1'));
const OTHERS = readingOf(podsOfOtherNodes('n1'));

let source: FakeSource;
let clock: FakeClock;
let told: string[];
let feed: PolicyFeed;
let onProgress: () => void;
beforeEach(() => {
  onProgress = () => {};
  source = new FakeSource();
  clock = new FakeClock();
  told = [];
  feed = new PolicyFeed({
    ...{ source, nodeName: 'n1', clock, onProgress: () => onProgress() },
    apply: (change) => told.push(textOf(change)),
  });
});

function textOf(change: PolicyChange): string {
  const { kind, key, now } = change;
  if (now === undefined) return `${kind} ${key} gone`;
  return kind === 'pod' ? `${kind} ${key} of ${change.now?.nodeName}` : `${kind} ${key}`;
}

const pod = (name: string, nodeName: string): Pod => ({
  metadata: { name, namespace: 'shop' },
  ...{ nodeName, usesHostNetwork: false, hasEnded: false, ips: [], ports: [] },
});

const policy = (name: string, spec: object): NetworkPolicy =>
  decodeNetworkPolicy({ metadata: { name, namespace: 'shop' }, spec }, 'strict');
const toBlock = policy('to-block', {
  podSelector: {},
  egress: [{ to: [{ ipBlock: { cidr: '10.0.0.0/8' } }] }],
});
const fromPods = policy('from-pods', {
  podSelector: {},
  ingress: [{ from: [{ podSelector: {} }] }],
});

const put = (reading: string, object: KubernetesObject) => source.put(reading, object);
const remove = (reading: string, key: string) => source.remove(reading, key);
const putPolicy = (object: NetworkPolicy) => put('networkpolicies ', object);
const take = () => told.splice(0);

const syncAll = (confirms?: boolean) => source.syncAll(confirms);

test('read is what was read, confirmed what the server has said', async () => {
  expect(feed.isRead).toBe(false);
  await syncAll(false);
  expect([feed.isRead, feed.isConfirmed]).toEqual([true, false]);
  await syncAll();
  expect(feed.isConfirmed).toBe(true);
});

describe('pods of other nodes', () => {
  test('are not read while no policy is about them', async () => {
    await syncAll();
    putPolicy(toBlock);
    expect([feed.readsAllPods, source.open.has(OTHERS)]).toEqual([false, false]);
    expect(told).toEqual(['networkPolicy shop/to-block']);
  });

  test('are there before the policy that is about them', async () => {
    await syncAll();
    putPolicy(fromPods);
    put(OTHERS, pod('peer', 'n2'));
    expect([take(), feed.isRead]).toEqual([['pod shop/peer of n2'], false]);
    await syncAll();
    expect([take(), feed.isRead]).toEqual([['networkPolicy shop/from-pods'], true]);
  });

  test('keep no policy out when the server does not tell of them', async () => {
    await syncAll();
    putPolicy(fromPods);
    clock.advance(9_999);
    expect(told).toEqual([]);
    clock.advance(1);
    expect([take(), feed.isRead]).toEqual([['networkPolicy shop/from-pods'], true]);
    // An agent that has just started must not replace what the kernel knows of them.
    expect(feed.isConfirmed).toBe(false);
    await syncAll();
    expect(feed.isConfirmed).toBe(true);
  });

  test('a policy that is taken back while it waits was never there', async () => {
    await syncAll();
    putPolicy(fromPods);
    remove('networkpolicies ', 'shop/from-pods');
    clock.advance(20_000);
    await syncAll();
    expect(told).toEqual(['networkPolicy shop/from-pods gone']);
  });

  test.each([
    ['is gone', () => remove('networkpolicies ', 'shop/from-pods')],
    ['is about others by now', () => putPolicy({ ...toBlock, metadata: fromPods.metadata })],
  ])('whoever waits is told when a policy that is held back %s', async (_, change) => {
    await syncAll();
    putPolicy(fromPods);
    const seen: string[] = [];
    onProgress = () => seen.push(`${take().length} told, held back: ${feed.holdsBackFor('shop')}`);
    change();
    expect(seen).toEqual(['1 told, held back: false']);
  });

  test('are let go a minute after the last policy about them', async () => {
    await syncAll();
    putPolicy(fromPods);
    put(OTHERS, pod('peer', 'n2'));
    await syncAll();
    remove('networkpolicies ', 'shop/from-pods');
    clock.advance(59_000);
    expect(source.open.has(OTHERS)).toBe(true);
    putPolicy(fromPods);
    clock.advance(120_000);
    expect(source.open.has(OTHERS)).toBe(true);
    remove('networkpolicies ', 'shop/from-pods');
    take();
    clock.advance(60_000);
    expect([source.open.has(OTHERS), take()]).toEqual([false, ['pod shop/peer gone']]);
  });
});

describe('pods of this node', () => {
  test('go with their objects', () => {
    put(OWN, pod('web', 'n1'));
    remove(OWN, 'shop/web');
    expect(take()).toEqual(['pod shop/web of n1', 'pod shop/web gone']);
  });

  test.each(['left', 'came'])('one that moves is never lost: first it %s', async (first) => {
    putPolicy(fromPods);
    await syncAll();
    put(OWN, pod('web', 'n1'));
    take();
    if (first === 'left') remove(OWN, 'shop/web');
    put(OTHERS, pod('web', 'n2'));
    if (first === 'came') remove(OWN, 'shop/web');
    expect(take().at(-1)).toBe('pod shop/web of n2');
    remove(OTHERS, 'shop/web');
    expect(take()).toEqual(['pod shop/web gone']);
  });
});

const cluster = (spec: object) =>
  decodeClusterNetworkPolicy(
    {
      metadata: { name: 'c' },
      spec: { tier: 'Admin', priority: 1, subject: { namespaces: {} }, ...spec },
    },
    'strict',
  );

test.each([
  { name: 'ipBlock', of: toBlock, want: false },
  { name: 'pods', of: fromPods, want: true },
  {
    name: 'namespaces',
    of: policy('a', { podSelector: {}, egress: [{ to: [{ namespaceSelector: {} }] }] }),
    want: true,
  },
  {
    name: 'a port to all',
    of: policy('a', { podSelector: {}, egress: [{ ports: [{ port: 53 }] }] }),
    want: false,
  },
  {
    name: 'a named port to all',
    of: policy('a', { podSelector: {}, egress: [{ ports: [{ port: 'dns' }] }] }),
    want: true,
  },
  {
    name: 'a named port of its own',
    of: policy('a', { podSelector: {}, ingress: [{ ports: [{ port: 'dns' }] }] }),
    want: false,
  },
  {
    name: 'networks',
    of: cluster({ egress: [{ action: 'Deny', to: [{ networks: ['10.0.0.0/8'] }] }] }),
    want: false,
  },
  {
    name: 'namespaces of the cluster',
    of: cluster({ ingress: [{ action: 'Deny', from: [{ namespaces: {} }] }] }),
    want: true,
  },
])('a policy about $name: $want', ({ of, want }) => {
  expect(needsAllPods(of)).toBe(want);
});
