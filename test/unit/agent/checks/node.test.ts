/** Ports, programs, disks and the runtime's configuration. */
import { expect, test } from 'vitest';
import type { Fact } from '../../../../src/agent/checks/check.ts';
import { DISK_CHECKS, type DiskFacts, type DiskRoom } from '../../../../src/agent/checks/disks.ts';
import { PORT_CHECKS, type PortFacts } from '../../../../src/agent/checks/ports.ts';
import { PROGRAM_CHECKS, type ProgramFacts } from '../../../../src/agent/checks/programs.ts';
import { RUNTIME_CHECKS, type RuntimeFacts } from '../../../../src/agent/checks/runtime-config.ts';
import { judge, UNKNOWN, UNREADABLE } from './judge.ts';

const TAKEN = {
  service: 'ns/web',
  protocol: 'tcp',
  port: 30_080,
  address: '0.0.0.0',
  holder: 'nginx, pid 77',
};

test.each<[string, Partial<PortFacts>, string | undefined]>([
  ['good', {}, 'ok: no program has a NodePort of Services'],
  [
    'bad',
    { taken: [TAKEN, { ...TAKEN, address: '[::]', holder: undefined }] },
    'warning: nginx, pid 77 listens at 0.0.0.0:30080/tcp, the NodePort of Service ns/web; ' +
      'a program listens at [::]:30080/tcp, the NodePort of Service ns/web | ' +
      'have the program listen at another port, or give the Service another nodePort',
  ],
  ['no NodePort', { nodePorts: 0 }, undefined],
  ['unreadable', { taken: UNREADABLE }, UNKNOWN],
])('node-ports: %s', (_, facts, want) => {
  expect(judge(PORT_CHECKS, 'node-ports', { nodePorts: 3, taken: [], ...facts })).toBe(want);
});

const PROGRAMS: ProgramFacts = {
  running: [],
  seesProcesses: true,
  hasProxy: true,
  hasNetwork: true,
  nftables: undefined,
  iptables: [],
  mode: 'nftables',
};
const PROXY = { pid: 77, name: 'kube-proxy', cgroup: '/system.slice/kube-proxy.service' };

test.each<[string, string, Partial<ProgramFacts>, RegExp | undefined]>([
  ['kube-proxy', 'good', {}, /^ok: no kube-proxy runs here$/],
  [
    'kube-proxy',
    'in a container',
    { seesProcesses: false },
    /^ok: no kube-proxy among the processes/,
  ],
  [
    'kube-proxy',
    'bad',
    { running: [PROXY] },
    /^failing: kube-proxy runs here too, pid 77 \| stop it first: systemctl disable --now kube-proxy\.service/,
  ],
  ['kube-proxy', 'no proxy', { hasProxy: false, running: [PROXY] }, undefined],
  ['kube-proxy', 'unreadable', { running: UNREADABLE }, new RegExp(`^${UNKNOWN}$`)],
  ['other-network', 'good', { running: [PROXY] }, /^ok: no daemon of another/],
  [
    'other-network',
    'bad',
    { running: [{ ...PROXY, name: 'flanneld' }] },
    /^warning: flanneld runs here too, pid 77 \| take its DaemonSet/,
  ],
  ['other-network', 'not ours', { hasNetwork: false }, undefined],
  ['other-network', 'unreadable', { running: UNREADABLE }, new RegExp(`^${UNKNOWN}$`)],
  ['kernel-features', 'good', {}, /^ok: the kernel has nf_tables$/],
  [
    'kernel-features',
    'mode iptables',
    { nftables: 'EPROTONOSUPPORT', mode: 'iptables' },
    /^ok: .*mode iptables needs none$/,
  ],
  [
    'kernel-features',
    'only iptables',
    { nftables: 'EPROTONOSUPPORT', mode: undefined, iptables: ['legacy'] },
    /^warning: .*; iptables \(legacy\) is there \| boot a kernel/,
  ],
  [
    'kernel-features',
    'nothing',
    { nftables: 'EPROTONOSUPPORT', mode: undefined },
    /^failing: .*; iptables is not installed \| /,
  ],
  ['kernel-features', 'unreadable', { nftables: UNREADABLE }, new RegExp(`^${UNKNOWN}$`)],
])('%s: %s', (id, _, facts, want) => {
  const told = judge(PROGRAM_CHECKS, id, { ...PROGRAMS, ...facts });
  if (want === undefined) expect(told).toBeUndefined();
  else expect(told).toMatch(want);
});

const ROOM: DiskRoom = { freeBytes: 1e9, freeFiles: 1e6, isWritable: true };

function disks(
  run: Fact<DiskRoom>,
  state: Fact<DiskRoom>,
  stateProblems: readonly string[] = [],
): DiskFacts {
  return {
    directories: [
      { path: '/run/weft', holds: 'records of pods', isNeededByPods: true, room: run },
      { path: '/var/lib/weft', holds: 'last known objects', isNeededByPods: false, room: state },
    ],
    stateProblems,
  };
}

test.each<[string, DiskFacts, string]>([
  ['good', disks(ROOM, ROOM), 'ok: there is room where records are written'],
  [
    'the state',
    disks(ROOM, { ...ROOM, freeBytes: 0 }),
    'warning: the disk of /var/lib/weft is full: last known objects cannot be written | ' +
      'df /var/lib/weft; delete what fills it, or move it to a larger disk',
  ],
  [
    'the records',
    disks({ ...ROOM, freeFiles: 0 }, { ...ROOM, freeBytes: 0 }),
    'failing: the disk of /run/weft has no inode left: records of pods cannot be written | df -i /run/weft; delete files',
  ],
  [
    'read-only',
    disks({ ...ROOM, isWritable: false }, ROOM),
    'failing: /run/weft may not be written: records of pods cannot be written | mount /run/weft writable for the agent',
  ],
  [
    'little',
    disks(ROOM, { ...ROOM, freeBytes: 9 * 1024 * 1024 }),
    'warning: the disk of /var/lib/weft has 9 MiB left | df /var/lib/weft; delete what fills it, or move it to a larger disk',
  ],
  [
    'what the last attempt said',
    disks(ROOM, ROOM, ['last known objects are not kept: ENOSPC']),
    'warning: last known objects are not kept: ENOSPC | see that stateDir can be written, and has room',
  ],
  ['unreadable', disks(UNREADABLE, ROOM), UNKNOWN],
])('disk: %s', (_, facts, want) => {
  expect(judge(DISK_CHECKS, 'disk', facts)).toBe(want);
});

const OURS = { file: '10-weft.conflist', types: ['weft', 'portmap'], foreignIpam: ['dhcp'] };
const OTHER = { file: '05-cilium.conflist', types: ['cilium-cni'], foreignIpam: [] };
const RUNTIME: RuntimeFacts = {
  hasCni: true,
  confDirectory: '/etc/cni/net.d',
  configs: [OURS, { ...OTHER, file: '90-cilium.conflist' }],
  binDirectory: '/opt/cni/bin',
  plugins: ['weft', 'portmap', 'dhcp'],
  ownNames: ['weft', 'bridge', 'host-local'],
};

test.each<[string, string, Partial<RuntimeFacts>, string | undefined]>([
  ['cni-config', 'good', {}, 'ok: 10-weft.conflist is the first network configuration'],
  [
    'cni-config',
    'behind another',
    { configs: [OTHER, OURS] },
    "failing: 05-cilium.conflist (cilium-cni) is the first network configuration, before 10-weft.conflist, which is weft's | " +
      "mv /etc/cni/net.d/05-cilium.conflist out of the directory, if pods shall be weft's",
  ],
  [
    'cni-config',
    'only another',
    { configs: [OTHER] },
    'failing: 05-cilium.conflist (cilium-cni) is the first network configuration, and none is for weft | ' +
      "mv /etc/cni/net.d/05-cilium.conflist out of the directory, if pods shall be weft's",
  ],
  [
    'cni-config',
    'none',
    { configs: [] },
    'warning: there is no network configuration in /etc/cni/net.d | ' +
      'have the fabric write one (fabric.manageConflist), or put one there: docs/node.md',
  ],
  ['cni-config', 'no runtime', { configs: undefined }, undefined],
  ['cni-config', "somebody else's", { hasCni: false }, undefined],
  ['cni-config', 'unreadable', { configs: UNREADABLE }, UNKNOWN],
  ['cni-plugins', 'good', {}, 'ok: the plugins of 10-weft.conflist are in /opt/cni/bin'],
  [
    'cni-plugins',
    'bad',
    { plugins: ['portmap'] },
    'failing: 10-weft.conflist wants weft, dhcp, which are not in /opt/cni/bin | install the plugins there ' +
      '(weft install --drop-in --cni-bin /opt/cni/bin answers for the reference ones)',
  ],
  ['cni-plugins', 'no directory', { plugins: undefined }, undefined],
  ['cni-plugins', 'unreadable', { plugins: UNREADABLE }, UNKNOWN],
])('%s: %s', (id, _, facts, want) => {
  expect(judge(RUNTIME_CHECKS, id, { ...RUNTIME, ...facts })).toBe(want);
});
