import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { fillDefaults } from '../../../src/agent/config/kube-proxy-config.ts';
import { resolveProxySettings } from '../../../src/agent/config/proxy-settings.ts';
import {
  readSysctlRecord,
  recordSysctls,
  SYSCTL_RECORD,
  stoppedCallsOf,
  sysctlsOfAgent,
} from '../../../src/agent/sysctl-record.ts';

let directory: string;
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'weft-sysctls-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

const access = (values: Record<string, string>) => ({
  read: (path: string) => values[path],
  write: () => {
    throw new Error('nothing is written');
  },
});
const wanted = (values: Record<string, string>) => new Map(Object.entries(values));

test('what was before is what the first start of a boot has seen', () => {
  recordSysctls(directory, 'boot', wanted({ a: '1', gone: '1' }), access({ a: '0' }));
  recordSysctls(directory, 'boot', wanted({ a: '2', b: '1' }), access({ a: '1', b: '7' }));
  expect(readSysctlRecord(directory, 'boot')).toEqual([
    { path: 'a', before: '0', ours: '2' },
    { path: 'b', before: '7', ours: '1' },
  ]);
  expect(readSysctlRecord(directory, 'later')).toEqual([]);
  recordSysctls(directory, 'later', wanted({ a: '2' }), access({ a: '5' }));
  expect(readSysctlRecord(directory, 'later')).toEqual([{ path: 'a', before: '5', ours: '2' }]);
});

test.each(['', '{', '[]', 'null', '{"bootId":"boot"}'])('a file that says %j is none', (text) => {
  writeFileSync(join(directory, SYSCTL_RECORD), text);
  expect(readSysctlRecord(directory, 'boot')).toEqual([]);
});

test('the record is bounded', () => {
  const many = Object.fromEntries(Array.from({ length: 1_000 }, (_, index) => [`p${index}`, '1']));
  recordSysctls(directory, 'boot', wanted(many), { ...access({}), read: () => '0' });
  expect(readSysctlRecord(directory, 'boot')).toHaveLength(128);
  expect(readFileSync(join(directory, SYSCTL_RECORD), 'utf8').length).toBeLessThan(16_384);
});

test('an agent may set forwarding, conntrack, and what IPVS and links of the node need', () => {
  const proxy = resolveProxySettings(fillDefaults({ ipvs: { strictARP: true } }), (path) =>
    path.join('.'),
  );
  const links = [
    { name: 'eth0', master: undefined },
    { name: 'veth0', master: 7 },
  ];
  const all = sysctlsOfAgent(proxy, links);
  expect([...all.keys()]).toEqual(
    expect.arrayContaining([
      'net/ipv4/ip_forward',
      'net/ipv6/conf/all/forwarding',
      'net/ipv4/conf/all/arp_ignore',
      'net/ipv6/conf/eth0/accept_ra',
      'net/netfilter/nf_conntrack_max',
    ]),
  );
  expect(all.has('net/ipv6/conf/veth0/accept_ra')).toBe(false);
  expect(all.get('net/netfilter/nf_conntrack_tcp_timeout_close_wait')).toBe('3600');
});

test('what was switched off of br_netfilter is known to the next agent, until it is on again', () => {
  const path = 'net/bridge/bridge-nf-call-iptables';
  // Off when an agent first looked, and switched on by somebody since.
  recordSysctls(
    directory,
    'boot',
    wanted({ [path]: '0', a: '1' }),
    access({ [path]: '0', a: '0' }),
  );
  const now: Record<string, string> = { [path]: '1' };
  const stopped = () => stoppedCallsOf(directory, 'boot', access(now));
  expect(stopped().read()).toEqual([]);
  stopped().add([path]);
  now[path] = '0';
  expect(stopped().read()).toEqual([path]);
  expect(readSysctlRecord(directory, 'boot')).toEqual([
    { path: 'a', before: '0', ours: '1' },
    { path, before: '1', ours: '0' },
  ]);
  expect(stoppedCallsOf(directory, 'later', access(now)).read()).toEqual([]);
  stopped().remove([path]);
  expect(stopped().read()).toEqual([]);
});
