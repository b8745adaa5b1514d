import { beforeEach, describe, expect, test } from 'vitest';
import { PolicyAdmission } from '../../../../src/agent/policy/admission.ts';
import { parseIP } from '../../../../src/net/ip.ts';
import type { LocalPod } from '../../../../src/policy/change.ts';
import { FakeClock } from '../../../support/fake-clock.ts';

const POD = { podNamespace: 'shop', podName: 'web', podUid: 'u1' };
const ADDRESSES = [parseIP('10.0.0.1')];
const CNI_ARGS = 'IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web;K8S_POD_UID=u1';
const ADD = { CNI_COMMAND: 'ADD', CNI_ARGS, WEFT_ARGV0: '/opt/cni/bin/weft' };

let clock: FakeClock;
let waited: (readonly [seconds: number, isInTime: boolean])[];
let admission: PolicyAdmission;
let state: {
  awaited: string | undefined;
  obstacle: string | undefined;
  isConcerned: boolean;
  isKnown: boolean;
  commits: number;
  failure: Error | undefined;
  rival: string | undefined;
  asked: LocalPod[];
};

beforeEach(() => {
  clock = new FakeClock();
  waited = [];
  state = {
    ...{ awaited: undefined, obstacle: undefined, isConcerned: true, isKnown: true },
    ...{ commits: 0, failure: undefined, asked: [], rival: undefined },
  };
  admission = new PolicyAdmission({
    clock,
    waitMs: () => 5_000,
  });
});

function serve(change: Partial<typeof state> = {}): void {
  Object.assign(state, change);
  admission.serve({
    awaited: () => state.awaited,
    obstacle: () => state.obstacle,
    concerns: (namespace) => namespace === 'shop' && state.isConcerned,
    knows: (pod) => {
      state.asked.push(pod);
      return state.isKnown;
    },
    onWaited: (...what) => waited.push(what),
    rivalOf: () => state.rival,
    localPod: (key) => ({ key, uid: 'u1', ips: ADDRESSES }),
    commit: () => {
      state.commits++;
      if (state.failure !== undefined) throw state.failure;
    },
  });
}

const admit = () => admission.admit(POD, ADDRESSES);

/** Whether a promise has settled by now. */
async function isSettled(promise: Promise<void> | undefined): Promise<boolean> {
  const open = Symbol();
  return (await Promise.race([promise, Promise.resolve(open)])) !== open;
}

describe('an ADD', () => {
  test('of a pod that no policy can select waits for nothing, and takes its address from who had it', () => {
    serve({ isConcerned: false, isKnown: false });
    expect(admission.waitFor(ADD)).toBeUndefined();
    admit();
    expect([state.asked, state.commits]).toEqual([[], 1]);
    state.failure = new Error('no space');
    expect(admit).not.toThrow();
  });

  test('commits once everything is known', () => {
    serve();
    expect(admission.waitFor(ADD)).toBeUndefined();
    admit();
    expect(state.commits).toBe(1);
    expect(state.asked.at(-1)).toEqual({ key: 'shop/web', uid: 'u1', ips: ADDRESSES });
  });

  test.each([
    ['nobody enforces yet', {}],
    ['policies are not read', { awaited: 'policies are not read yet' }],
    ['the pod is not known', { isKnown: false }],
  ])('is refused with 11 while %s', (name, change) => {
    if (name !== 'nobody enforces yet') serve(change);
    expect(admit).toThrow(expect.objectContaining({ cniCode: 11 }));
    expect(state.commits).toBe(0);
  });

  test('is refused with 11 when the kernel refuses', () => {
    serve({ failure: new Error('no space') });
    expect(admit).toThrow(/no space/);
    expect(admit).toThrow(expect.objectContaining({ cniCode: 11 }));
  });

  test('is refused where policies do not hold, but not for pods without any', () => {
    serve({ obstacle: 'proxy mode ipvs' });
    expect(admit).toThrow('proxy mode ipvs');
    state.isConcerned = false;
    expect(admit).not.toThrow();
  });

  test('is refused with 11 while another pod of the node has its address', () => {
    serve({ rival: 'shop/other' });
    expect(admit).toThrow(/shop\/other/);
    expect(admit).toThrow(expect.objectContaining({ cniCode: 11 }));
    expect(state.commits).toBe(0);
  });

  test('of what is no pod is not looked at', () => {
    expect(() => admission.admit({}, ADDRESSES)).not.toThrow();
    expect(admission.waitFor({ ...ADD, CNI_ARGS: '' })).toBeUndefined();
  });
});

describe('the wait', () => {
  test('ends as soon as the pod is known', async () => {
    serve({ isKnown: false });
    const wait = admission.waitFor(ADD);
    clock.advance(1_000);
    admission.wake();
    expect(await isSettled(wait)).toBe(false);
    state.isKnown = true;
    admission.wake();
    expect(await isSettled(wait)).toBe(true);
    expect(waited).toEqual([[1, true]]);
  });

  test('begins before anybody enforces, and ends with who does', async () => {
    const wait = admission.waitFor(ADD);
    expect(await isSettled(wait)).toBe(false);
    serve();
    expect(await isSettled(wait)).toBe(true);
  });

  test('is bounded: what comes of it is a refusal', async () => {
    serve({ awaited: 'policies are not read yet' });
    const wait = admission.waitFor(ADD);
    clock.advance(5_000);
    expect(await isSettled(wait)).toBe(true);
    expect(waited).toEqual([[5, false]]);
    expect(admit).toThrow('policies are not read yet');
  });

  test.each([
    { CNI_COMMAND: 'DEL' },
    { CNI_COMMAND: 'CHECK' },
    { WEFT_ARGV0: '/opt/cni/bin/loopback' },
  ])('is not for %j', (change) => {
    expect(admission.waitFor({ ...ADD, ...change })).toBeUndefined();
  });
});

test('CHECK tells what does not hold', () => {
  serve();
  expect(() => admission.check(POD)).not.toThrow();
  state.obstacle = 'proxy mode ipvs';
  expect(() => admission.check(POD)).toThrow('proxy mode ipvs');
});
