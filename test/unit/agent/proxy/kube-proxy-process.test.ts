import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  findKubeProxy,
  seesNodeProcesses,
  stopAdvice,
} from '../../../../src/agent/proxy/kube-proxy-process.ts';

let proc: string;

beforeEach(() => {
  proc = mkdtempSync(join(tmpdir(), 'weft-proc-'));
  put('self', { comm: 'node', net: 'net:[1]', pid: 'pid:[4026531836]' });
});

afterEach(() => rmSync(proc, { recursive: true }));

interface Shown {
  readonly comm: string;
  readonly net?: string;
  readonly pid?: string;
  readonly cgroup?: string;
}

function put(entry: string, { comm, net, pid, cgroup }: Shown): void {
  mkdirSync(join(proc, entry, 'ns'), { recursive: true });
  writeFileSync(join(proc, entry, 'comm'), `${comm}\n`);
  if (net !== undefined) symlinkSync(net, join(proc, entry, 'ns/net'));
  if (pid !== undefined) symlinkSync(pid, join(proc, entry, 'ns/pid'));
  if (cgroup !== undefined) writeFileSync(join(proc, entry, 'cgroup'), cgroup);
}

describe('a kube-proxy', () => {
  test('of this network is found', () => {
    put('12', { comm: 'kubelet', net: 'net:[1]' });
    put('77', { comm: 'kube-proxy', net: 'net:[1]', cgroup: '0::/kubepods.slice/pod1\n' });
    expect(findKubeProxy(proc)).toEqual({ pid: 77, cgroup: '/kubepods.slice/pod1' });
  });

  test('of a nested cluster is not ours', () => {
    put('77', { comm: 'kube-proxy', net: 'net:[2]' });
    expect(findKubeProxy(proc)).toBeUndefined();
    put('78', { comm: 'kube-proxy', net: 'net:[1]' });
    expect(findKubeProxy(proc)?.pid).toBe(78);
  });

  test('whose network may not be read counts', () => {
    put('77', { comm: 'kube-proxy' });
    expect(findKubeProxy(proc)?.pid).toBe(77);
  });
});

test('processes of the node are seen in the first namespace of processes alone', () => {
  expect(seesNodeProcesses(proc)).toBe(true);
  rmSync(join(proc, 'self'), { recursive: true });
  put('self', { comm: 'node', pid: 'pid:[4026532001]' });
  expect(seesNodeProcesses(proc)).toBe(false);
});

test.each([
  ['/kubepods.slice/kubepods-besteffort.slice/x', 'DaemonSet'],
  ['/system.slice/kube-proxy.service', 'systemctl disable --now kube-proxy.service'],
  ['/user.slice', 'end its DaemonSet, static pod or service'],
  ['', 'end its DaemonSet, static pod or service'],
])('how one in %j is stopped, before its rules are removed', (cgroup, how) => {
  const advice = stopAdvice({ cgroup });
  expect(advice).toMatch(/^stop it first: /);
  expect(advice.indexOf(how)).toBeGreaterThan(0);
  expect(advice.indexOf('--cleanup')).toBeGreaterThan(advice.indexOf(how));
});
