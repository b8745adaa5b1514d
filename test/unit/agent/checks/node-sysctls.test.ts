import { expect, test } from 'vitest';
import { SYSCTL_CHECKS, type SysctlFacts } from '../../../../src/agent/checks/node-sysctls.ts';
import { judge, UNKNOWN, UNREADABLE } from './judge.ts';

const FACTS: SysctlFacts = {
  families: [4, 6],
  forwardsNow: true,
  forwarding: { 4: '1', 6: '1' },
  bridgeCalls: { 4: '1', 6: '1' },
  sharedBridges: ['cni0'],
  isolatedBridges: [],
  hasProxy: true,
};

test.each<[string, Partial<SysctlFacts>, string]>([
  ['good', {}, 'ok: forwarding is on (IPv4, IPv6)'],
  [
    'bad',
    { forwarding: { 4: '0', 6: '1' } },
    'failing: net.ipv4.ip_forward is 0 | sysctl -w net.ipv4.ip_forward=1; keep it in /etc/sysctl.d',
  ],
  [
    'both',
    { forwarding: { 4: '0', 6: '0' } },
    'failing: net.ipv4.ip_forward and net.ipv6.conf.all.forwarding are 0 | ' +
      'sysctl -w net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1; keep it in /etc/sysctl.d',
  ],
  [
    'nobody needs it yet',
    { forwarding: { 4: '0', 6: '0' }, families: [4], forwardsNow: false },
    'warning: net.ipv4.ip_forward is 0 | sysctl -w net.ipv4.ip_forward=1; keep it in /etc/sysctl.d',
  ],
  [
    'a family without pods',
    { forwarding: { 4: '1', 6: '0' }, families: [4] },
    'ok: forwarding is on (IPv4)',
  ],
  ['unreadable', { forwarding: { 4: UNREADABLE, 6: '1' } }, UNKNOWN],
])('ip-forward: %s', (_, facts, want) => {
  expect(judge(SYSCTL_CHECKS, 'ip-forward', { ...FACTS, ...facts })).toBe(want);
});

test.each<[string, Partial<SysctlFacts>, string | undefined]>([
  ['good', {}, 'ok: bridged packets pass the rules of the node'],
  [
    'bad',
    { bridgeCalls: { 4: '0', 6: '1' } },
    'failing: net.bridge.bridge-nf-call-iptables is 0, and pods share bridge cni0 | ' +
      'sysctl -w net.bridge.bridge-nf-call-iptables=1',
  ],
  [
    'not loaded',
    { bridgeCalls: { 4: undefined, 6: undefined }, families: [4] },
    'failing: br_netfilter is not loaded, and pods share bridge cni0 | ' +
      'modprobe br_netfilter && sysctl -w net.bridge.bridge-nf-call-iptables=1',
  ],
  [
    'somebody else has the Services',
    { bridgeCalls: { 4: '0', 6: '0' }, families: [4], hasProxy: false },
    'warning: net.bridge.bridge-nf-call-iptables is 0, and pods share bridge cni0 | ' +
      'sysctl -w net.bridge.bridge-nf-call-iptables=1',
  ],
  [
    'not needed',
    { bridgeCalls: { 4: '0', 6: '0' }, sharedBridges: [], isolatedBridges: ['cni0'] },
    'ok: not needed: pods of cni0 are sent through the node',
  ],
  ['no two pods', { bridgeCalls: { 4: '0', 6: '0' }, sharedBridges: [] }, undefined],
  ['unreadable', { bridgeCalls: { 4: '1', 6: UNREADABLE } }, UNKNOWN],
])('bridge-nf-call: %s', (_, facts, want) => {
  expect(judge(SYSCTL_CHECKS, 'bridge-nf-call', { ...FACTS, ...facts })).toBe(want);
});
