import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { PolicyAdmission } from '../../../../src/agent/policy/admission.ts';
import { PolicyLife } from '../../../../src/agent/policy/life.ts';
import { LocalPods } from '../../../../src/agent/policy/local-pods.ts';
import { type BootGatePlace, markReady, openBootGate } from '../../../../src/cni/boot-gate.ts';
import { openRecords } from '../../../../src/cni/upkeep/records.ts';
import { decodeNetworkPolicy } from '../../../../src/kube/policy/decode-network-policy.ts';
import { decodePod } from '../../../../src/kube/policy/decode-pods.ts';
import { parseIP } from '../../../../src/net/ip.ts';
import { FakeClock } from '../../../support/fake-clock.ts';
import { recordingLog } from '../../../support/kube.ts';
import { podObject } from '../../../support/policy-objects.ts';
import { FakeSource } from './fake-source.ts';

let runDirectory: string;
let gate: BootGatePlace;
let clock: FakeClock;
let source: FakeSource;
/** What the enforcement was told, in order. */
let told: string[];
let failure: Error | undefined;
let refused: string | undefined;
let lives: PolicyLife[];
beforeEach(() => {
  runDirectory = mkdtempSync(join(tmpdir(), 'wt-policy-'));
  gate = { component: 'policy', runDirectory, bootId: () => 'boot' };
  [clock, source, told, lives] = [new FakeClock(), new FakeSource(), [], []];
  [failure, refused] = [undefined, undefined];
});
afterEach(async () => {
  await Promise.all(lives.map((life) => life.close()));
  rmSync(runDirectory, { recursive: true });
});

const records = () =>
  openRecords(join(runDirectory, 'attachments'), { bootId: () => 'boot', now: () => 1 });

function attach(name: string, ip: string): void {
  records().write({
    attachment: { network: 'net', containerId: name, ifName: 'eth0' },
    netns: { path: '/run/netns/x', id: 'n' },
    pod: { podNamespace: 'shop', podName: name, podUid: 'u1' },
    addresses: [parseIP(ip)],
  });
}

interface Surroundings {
  readonly obstacle?: string;
  readonly bypasses?: readonly { what: string; cure: string }[];
}

function start({ obstacle, bypasses = [] }: Surroundings = {}) {
  const admission = new PolicyAdmission({ clock, waitMs: () => 5_000 });
  const localPods = new LocalPods({ records: records(), bootId: () => 'boot' });
  localPods.read();
  const { log } = recordingLog();
  const life = new PolicyLife({
    ...{ source, nodeName: 'n1', admission, localPods, gate, clock, log },
    enforcement: {
      report: {
        get error() {
          return refused;
        },
      },
      apply: ({ kind, key, now }) => told.push(`${kind} ${key}${now === undefined ? ' gone' : ''}`),
      setSynced: () => told.push('synced'),
      prepare: async () => {},
      commit: () => {
        told.push('commit');
        if (failure !== undefined) throw failure;
      },
      concerns: () => true,
      knows: () => true,
    },
    obstacle: () => obstacle,
    bypasses: () => bypasses,
    onPodWaited: () => {},
  });
  lives.push(life);
  const admit = () =>
    admission.admit({ podNamespace: 'shop', podName: 'web', podUid: 'u1' }, [parseIP('10.0.0.9')]);
  return { life, admit };
}

const awaited = () => openBootGate(gate).awaited();
const settled = () => new Promise((resolve) => setImmediate(resolve));
const policy = decodeNetworkPolicy(
  { metadata: { name: 'deny', namespace: 'shop' }, spec: { podSelector: {} } },
  'strict',
);

describe('a first start of a boot', () => {
  test('knows its pods before anything else, and opens once what was last known holds', async () => {
    attach('web', '10.0.0.1');
    const { life, admit } = start();
    expect(told).toEqual(['localPod shop/web']);
    expect([life.whyNotReady(), awaited()]).toEqual([
      'policies and what they are about are not read yet',
      'policies and what they are about are not read yet',
    ]);
    expect(admit).toThrow('not read yet');
    source.put('networkpolicies ', policy);
    await source.syncAll(false);
    clock.advance(0);
    await settled();
    expect(told.slice(1)).toEqual(['networkPolicy shop/deny', 'synced', 'commit']);
    expect([life.whyNotReady(), awaited()]).toEqual(['', undefined]);
    expect(admit).not.toThrow();
  });

  test('stays shut and tries again while the kernel refuses', async () => {
    failure = new Error('no such expression');
    const { life } = start();
    await source.syncAll();
    clock.advance(0);
    await settled();
    const reason = 'policies are not in the kernel: no such expression';
    expect([life.whyNotReady(), awaited()]).toEqual([reason, reason]);
    failure = undefined;
    clock.advance(1_000);
    await settled();
    expect([life.whyNotReady(), awaited()]).toEqual(['', undefined]);
  });
});

test('a change that the kernel refuses is told as long as it does', async () => {
  const { life } = start();
  await source.syncAll();
  clock.advance(0);
  await settled();
  refused = 'no space';
  expect(life.whyNotReady()).toBe('policies are not in the kernel: no space');
  refused = undefined;
  expect(life.whyNotReady()).toBe('');
});

describe('a restart', () => {
  test('replaces nothing in the kernel before the server has confirmed what was last known', async () => {
    markReady(gate);
    const { life, admit } = start();
    await source.syncAll(false);
    clock.advance(1_000);
    await settled();
    expect(told).toEqual([]);
    expect(life.whyNotReady()).toContain('has not confirmed');
    expect(admit).toThrow('has not confirmed');
    expect(awaited()).toBeUndefined();
    await source.syncAll();
    clock.advance(0);
    await settled();
    expect(told).toEqual(['synced', 'commit']);
    expect(life.whyNotReady()).toBe('');
  });
});

test('what another process attaches is found within seconds', async () => {
  start();
  attach('late', '10.0.0.2');
  clock.advance(2_000);
  await settled();
  expect(told).toEqual(['localPod shop/late']);
  records().remove({ network: 'net', containerId: 'late', ifName: 'eth0' });
  clock.advance(2_000);
  await settled();
  expect(told.at(-1)).toBe('localPod shop/late gone');
});

test('a new policy whose pods are not read yet keeps pods of its namespace waiting', async () => {
  const { admit } = start();
  await source.syncAll();
  clock.advance(0);
  await settled();
  expect(admit).not.toThrow();
  const spec = { podSelector: {}, ingress: [{ from: [{ podSelector: {} }] }] };
  const metadata = { name: 'peers', namespace: 'shop' };
  source.put('networkpolicies ', decodeNetworkPolicy({ metadata, spec }, 'strict'));
  expect(admit).toThrow('a policy is new');
  await source.syncAll();
  expect(admit).not.toThrow();
});

test.each([
  [{ obstacle: 'proxy mode ipvs' }, 'proxy mode ipvs', true],
  [{ bypasses: [{ what: 'port x', cure: 'isolate it' }] }, 'port x: isolate it', false],
])(
  '%j is a reason not to be ready, namely %s, and refuses a pod: %s',
  async (surroundings, reason, isRefused) => {
    const { life, admit } = start(surroundings);
    await source.syncAll();
    clock.advance(0);
    await settled();
    expect([life.whyNotReady(), life.problems()]).toEqual([reason, [reason]]);
    if (isRefused) expect(admit).toThrow(reason);
    else expect(admit).not.toThrow();
    expect(awaited()).toBeUndefined();
  },
);

describe('what policies cannot hold for', () => {
  const own = 'pods spec.nodeName=n1';
  const pod = (name: string, change: Parameters<typeof podObject>[1] = {}) =>
    decodePod(podObject(`shop/${name}`, { node: 'n1', ips: ['10.0.0.7'], ...change }), 'strict');
  const begun = async () => {
    const { life, admit } = start();
    await source.syncAll();
    clock.advance(0);
    await settled();
    return { life, admit };
  };
  const pass = async (ms: number) => {
    for (let passed = 0; passed < ms; passed += 2_000) {
      clock.advance(2_000);
      await settled();
    }
  };

  test('a pod of this node that is on no record for a minute, until it is on one', async () => {
    attach('recorded', '10.0.0.1');
    const { life } = await begun();
    source.put(own, pod('recorded'));
    source.put(own, pod('other'));
    source.put(own, pod('hosts', { hostNetwork: true }));
    source.put(own, pod('ended', { phase: 'Succeeded' }));
    source.put(own, pod('starting', { ips: [] }));
    await pass(40_000);
    expect(life.whyNotReady()).toBe('');
    await pass(40_000);
    expect(life.problems()).toEqual([
      expect.stringMatching(
        /^shop\/other: it runs on this node, and the CNI has no record of it: /,
      ),
    ]);
    attach('other', '10.0.0.2');
    await pass(2_000);
    expect(life.problems()).toEqual([]);
  });

  test('pods with one address, where there are policies, and no other gets it', async () => {
    attach('one', '10.0.0.9');
    const { life, admit } = await begun();
    expect(admit).not.toThrow();
    source.put('networkpolicies ', policy);
    expect(admit).toThrow('shop/one');
    attach('two', '10.0.0.9');
    await pass(2_000);
    expect(life.problems()).toEqual([
      expect.stringContaining('pods shop/one and shop/two have one address, 10.0.0.9'),
    ]);
    for (const containerId of ['one', 'two']) {
      records().remove({ network: 'net', containerId, ifName: 'eth0' });
    }
    // Not told of yet, and looked for.
    expect(admit).not.toThrow();
  });
});
