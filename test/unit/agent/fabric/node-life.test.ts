import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { renderConflist } from '../../../../src/agent/fabric/conflist.ts';
import type { FabricFacts } from '../../../../src/agent/fabric/facts.ts';
import type { PodRecord } from '../../../../src/agent/fabric/former-pods.ts';
import { NodeLife, type NodeLifeEvent } from '../../../../src/agent/fabric/node-life.ts';
import { openBootGate } from '../../../../src/cni/boot-gate.ts';
import { parseCidr } from '../../../../src/net/cidr.ts';
import { parseIP } from '../../../../src/net/ip.ts';
import { FakeClock } from '../../../support/fake-clock.ts';
import { recordingLog } from '../../../support/kube.ts';

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'wt-life-'));
  mkdirSync(join(root, 'run'));
});
afterEach(() => rmSync(root, { recursive: true }));

const CONFLIST = 'net.d/10-weft.conflist';
const ready: FabricFacts = {
  ...{ isReady: true, reason: '', mtu: 1450 },
  podCIDRs: [parseCidr('10.244.1.0/24')],
};
const waiting: FabricFacts = {
  ...{ isReady: false, reason: 'Node a has no podCIDRs', mtu: 1450, podCIDRs: [] },
};

/** A node whose fabric says what the test says; `order` is what became visible, in order. */
function startLife(
  change: { readonly records?: readonly PodRecord[]; readonly boot?: string } = {},
) {
  const clock = new FakeClock();
  const order: string[] = [];
  const events: NodeLifeEvent[] = [];
  const proxy = { isServing: true };
  const policy: { awaited: string | undefined } = { awaited: undefined };
  let tell: (facts: FabricFacts) => void = () => {};
  const bootId = () => change.boot ?? 'boot';
  const gate = { component: 'fabric' as const, runDirectory: join(root, 'run'), bootId };
  const life = new NodeLife({
    fabric: {
      follow: (listener) => {
        tell = listener;
      },
    },
    isProxyServing: () => proxy.isServing,
    gate,
    policyGate: { awaited: () => policy.awaited },
    conflist: { directory: join(root, 'net.d'), name: '10-weft.conflist' },
    condition: {
      ...{ isSet: false, problem: undefined },
      set: () => order.push(`condition, conflist ${existsSync(join(root, CONFLIST))}`),
    },
    records: () => change.records ?? [],
    followMtu: () => undefined,
    removeFormerGateways: () => {
      order.push('former gateways');
      return [];
    },
    report: (event) => events.push(event),
    clock,
    log: recordingLog().log,
  });
  const step = async (ms = 0) => {
    clock.advance(ms);
    // The runner's job is asynchronous.
    for (let i = 0; i < 5; i++) await Promise.resolve();
  };
  const say = async (facts: FabricFacts) => {
    tell(facts);
    await step(200);
  };
  const awaited = () => openBootGate(gate).awaited();
  return { life, clock, order, events, proxy, policy, step, say, awaited };
}

const conflist = () =>
  existsSync(join(root, CONFLIST)) ? readFileSync(join(root, CONFLIST), 'utf8') : undefined;

describe('a node', () => {
  test('that is ready: gate, conflist, condition, in this order', async () => {
    const { say, awaited, order, life } = startLife();
    expect(awaited()).toBeDefined();
    await say(ready);
    expect(awaited()).toBeUndefined();
    expect(conflist()).toBe(renderConflist(ready));
    expect(order).toEqual(['condition, conflist true', 'former gateways']);
    expect(life.problems()).toEqual([]);
    expect(life.state()).toMatchObject({ isOpen: true, isConfigured: true });
  });

  test('whose policies are not enforced yet waits for them', async () => {
    const { policy, say, step, awaited } = startLife();
    policy.awaited = 'policies are not read';
    await say(ready);
    expect(awaited()).toBe('policies are not enforced yet: policies are not read');
    expect(conflist()).toBeUndefined();
    policy.awaited = undefined;
    await step(200);
    expect([awaited(), conflist()]).toEqual([undefined, renderConflist(ready)]);
  });

  test('without podCIDRs waits: told at the CNI at once, as event soon and again now and then', async () => {
    const { say, step, awaited, events, order, life } = startLife();
    await say(waiting);
    expect(awaited()).toBe('Node a has no podCIDRs');
    expect([conflist(), order, events]).toEqual([undefined, [], []]);
    expect(life.problems()).toEqual(['pods do not start yet: Node a has no podCIDRs']);
    for (let i = 0; i < 20; i++) await step(200);
    const note = 'pods do not start yet: Node a has no podCIDRs';
    expect(events).toEqual([{ type: 'Warning', reason: 'PodNetworkWaits', note }]);
    for (let i = 0; i < 2 * 60 * 5; i++) await step(1_000);
    expect(events.length).toBeGreaterThanOrEqual(2);
    expect(events.length).toBeLessThanOrEqual(4);
    events.length = 0;
    await say(ready);
    expect(events).toMatchObject([{ type: 'Normal', reason: 'PodNetworkReady' }]);
    expect([conflist(), life.problems()]).toEqual([renderConflist(ready), []]);
  });

  test('waits for Services too', async () => {
    const { say, step, proxy, awaited } = startLife();
    proxy.isServing = false;
    await say(ready);
    expect(awaited()).toMatch(/Services are not in the kernel/);
    expect(conflist()).toBeUndefined();
    proxy.isServing = true;
    await step(200);
    expect([awaited(), conflist()]).toEqual([undefined, renderConflist(ready)]);
  });

  test('whose agent starts again takes nothing back while it waits, and says nothing', async () => {
    await startLife().say(ready);
    const again = startLife();
    again.proxy.isServing = false;
    await again.say(waiting);
    for (let i = 0; i < 20; i++) await again.step(1_000);
    expect(again.awaited()).toBeUndefined();
    expect(conflist()).toBe(renderConflist(ready));
    expect([again.events, again.life.problems()]).toEqual([[], []]);
  });

  test('that was started anew waits again, with the conflist on disk', async () => {
    await startLife().say(ready);
    const { say, awaited } = startLife({ boot: 'another' });
    await say(waiting);
    expect(awaited()).toBe('Node a has no podCIDRs');
    expect(conflist()).toBe(renderConflist(ready));
    await say(ready);
    expect(awaited()).toBeUndefined();
  });

  test('with another MTU or other podCIDRs gets another conflist', async () => {
    const { say } = startLife();
    await say(ready);
    for (const facts of [
      { ...ready, mtu: 1400 },
      { ...ready, podCIDRs: [parseCidr('10.244.2.0/24')] },
    ]) {
      await say(facts);
      expect(conflist()).toBe(renderConflist(facts));
    }
  });

  test('gets a conflist back that somebody has removed', async () => {
    const { say, step } = startLife();
    await say(ready);
    rmSync(join(root, CONFLIST));
    await step(30_000);
    expect(conflist()).toBe(renderConflist(ready));
  });

  test('with a configuration of somebody else before ours says so, once for a while', async () => {
    mkdirSync(join(root, 'net.d'));
    writeFileSync(join(root, 'net.d/05-flannel.conflist'), '{}');
    const { say, step, events, life } = startLife();
    await say(ready);
    await step(30_000);
    const note = expect.stringContaining('05-flannel.conflist');
    const warnings = () => events.filter(({ type }) => type === 'Warning');
    expect(warnings()).toEqual([{ type: 'Warning', reason: 'NetworkConfiguration', note }]);
    expect([life.problems(), life.state().isConfigured]).toEqual([[note], false]);
    rmSync(join(root, 'net.d/05-flannel.conflist'));
    await step(30_000);
    expect([life.problems(), life.state().isConfigured]).toEqual([[], true]);
  });

  test('with pods outside of its podCIDRs says so, and leaves their gateway', async () => {
    const pod = {
      attachment: { network: 'weft', containerId: 'c', ifName: 'eth0' },
      pod: { podNamespace: 'default', podName: 'web' },
      addresses: [parseIP('10.244.9.5')],
    };
    const records = [pod];
    const { say, step, events, order, life } = startLife({ records });
    await say(ready);
    const note = expect.stringMatching(/outside of podCIDRs 10\.244\.1\.0\/24.*default\/web/);
    expect(events).toContainEqual({ type: 'Warning', reason: 'FormerPods', note });
    expect([life.problems(), life.state().podsOutside]).toEqual([[note], 1]);
    expect(order).not.toContain('former gateways');
    records.pop();
    await step(30_000);
    expect([life.problems(), life.state().podsOutside]).toEqual([[], 0]);
    expect(order).toContain('former gateways');
  });

  test('whose directory cannot be written says so, sets no condition, and tries again', async () => {
    writeFileSync(join(root, 'net.d'), 'a file');
    const { say, step, order, life } = startLife();
    await say(ready);
    expect(life.problems()).toEqual([expect.stringMatching(/net\.d/)]);
    expect(order).toEqual([]);
    rmSync(join(root, 'net.d'));
    await step(5_000);
    expect([life.problems(), conflist()]).toEqual([[], renderConflist(ready)]);
    expect(order).toContain('condition, conflist true');
  });
});
