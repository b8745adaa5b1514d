import { describe, expect, test } from 'vitest';
import { requirePolicies } from '../../../src/cni/bridge/policy.ts';
import { runVerb } from '../../../src/cni/call.ts';
import type { PodPolicies } from '../../../src/cni/pod-policies.ts';
import { CniError } from '../../../src/cni/protocol/errors.ts';
import { FakeNode } from './fake-node.ts';

const config = {
  cniVersion: '1.1.0',
  name: 'net',
  type: 'weft',
  isDefaultGateway: true,
  policy: true,
  ipam: { type: 'host-local', subnet: '10.1.2.0/24' },
};
const CNI_ARGS = 'IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web;K8S_POD_UID=u1';
const POD = { podNamespace: 'shop', podName: 'web', podUid: 'u1' };

function call(node: FakeNode, command: string, change: object = {}) {
  const env = { CNI_COMMAND: command, CNI_CONTAINERID: 'pod-1', CNI_NETNS: 'pod' };
  const readStdin = () => Buffer.from(JSON.stringify({ ...config, ...change }));
  const more = { CNI_IFNAME: 'eth0', CNI_PATH: '/opt/cni/bin', CNI_ARGS };
  return runVerb({ env: { ...env, ...more }, readStdin }, node);
}

/** Policies that are programmed at once, and what they were told. */
function recording(node: FakeNode, fail?: () => never) {
  const told: unknown[] = [];
  const policies: PodPolicies = {
    admit: (...of) => {
      told.push({ of });
      fail?.();
    },
    check: (of) => {
      told.push({ of });
      fail?.();
    },
  };
  node.policies = policies;
  return told;
}

const linksOf = (footprint: object) => ('links' in footprint ? footprint.links : undefined);

const later = () => {
  throw new CniError(11, 'policies are not read yet');
};

describe('a network whose pods have policies', () => {
  test('gets none where nobody programs them, and leaves nothing', () => {
    const node = new FakeNode();
    const { footprint } = node;
    const { exitCode, stdout } = call(node, 'ADD');
    expect([exitCode, JSON.parse(stdout).code]).toEqual([1, 11]);
    expect(stdout).toContain('no weft agent');
    expect(node.footprint).toEqual(footprint);
    const require = () => requirePolicies({ policy: true, foreignIpam: 'dhcp' }, node);
    expect(require).toThrow('ipam type dhcp');
  });

  test('DEL and GC work all the same', () => {
    const node = new FakeNode();
    expect(call(node, 'DEL').exitCode).toBe(0);
    expect(call(node, 'GC', { 'cni.dev/valid-attachments': [] }).exitCode).toBe(0);
  });

  test('is told of each pod before there is anything of it', () => {
    const node = new FakeNode();
    const before = node.footprint;
    const told = recording(node, () => {
      expect(linksOf(node.footprint)).toEqual(linksOf(before));
      return later();
    });
    expect(JSON.parse(call(node, 'ADD').stdout)).toMatchObject({ code: 11 });
    expect(told).toEqual([expect.objectContaining({ of: [POD, ['10.1.2.2']] })]);
    expect(node.footprint).toEqual(before);
  });

  test('CHECK asks whether they hold', () => {
    const node = new FakeNode();
    recording(node);
    const prevResult = JSON.parse(call(node, 'ADD').stdout);
    expect(call(node, 'CHECK', { prevResult }).stdout).not.toContain('policies');
    recording(node, later);
    expect(call(node, 'CHECK', { prevResult }).stdout).toContain('policies are not read yet');
  });

  test('STATUS says what enforcement waits for', () => {
    const node = new FakeNode();
    node.awaitedPolicies = 'proxy mode ipvs';
    expect(JSON.parse(call(node, 'STATUS').stdout)).toMatchObject({
      code: 50,
      msg: 'policies of this node are not enforced yet: proxy mode ipvs',
    });
    expect(call(node, 'STATUS', { policy: false }).stdout).toBe('');
  });
});

test.each([false, undefined])('nobody else waits: policy %s', (policy) => {
  expect(call(new FakeNode(), 'ADD', { policy }).exitCode).toBe(0);
});
