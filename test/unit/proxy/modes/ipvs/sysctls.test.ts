import { expect, test } from 'vitest';
import { ipvsSysctls } from '../../../../../src/proxy/modes/ipvs/sysctls.ts';

const settingOf = (release: string, path: string, isStrictARP = false) =>
  ipvsSysctls({ release, isStrictARP }).find((sysctl) => sysctl.path === path)?.value;

test.each([
  ['4.0.9', undefined],
  ['4.1.0', '0'],
  ['5.4.0-150-generic', '0'],
  ['5.8.18', '0'],
  ['5.9.0', undefined],
  ['6.1.0-18-amd64', undefined],
])('on kernel %s conn_reuse_mode is %s', (release, want) => {
  expect(settingOf(release, 'net/ipv4/vs/conn_reuse_mode')).toBe(want);
});

test.each([
  [false, undefined, undefined],
  [true, '1', '2'],
])('strictARP %s', (isStrictARP, ignore, announce) => {
  expect(settingOf('6.1.0', 'net/ipv4/conf/all/arp_ignore', isStrictARP)).toBe(ignore);
  expect(settingOf('6.1.0', 'net/ipv4/conf/all/arp_announce', isStrictARP)).toBe(announce);
});

test('packets are tracked, forwarded, and ties to what is gone are cut', () => {
  expect(ipvsSysctls({ release: '6.1.0', isStrictARP: false })).toEqual([
    { path: 'net/ipv4/vs/conntrack', value: '1' },
    { path: 'net/ipv4/vs/expire_nodest_conn', value: '1' },
    { path: 'net/ipv4/vs/expire_quiescent_template', value: '1' },
    { path: 'net/ipv4/ip_forward', value: '1' },
  ]);
});
