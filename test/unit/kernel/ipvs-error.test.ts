import { describe, expect, test } from 'vitest';
import { describeFailure, IpvsError, noIpvs } from '../../../src/kernel/ipvs-error.ts';
import type { IpvsChange, VirtualServerKey } from '../../../src/kernel/ipvs-types.ts';
import { parseIP } from '../../../src/net/ip.ts';

const key: VirtualServerKey = {
  kind: 'address',
  ip: parseIP('fd00::1'),
  protocol: 'tcp',
  port: 80,
};
const addServer: IpvsChange = {
  op: 'addServer',
  server: { key, scheduler: 'wrr', persistenceSeconds: 0 },
};
const addDestination: IpvsChange = {
  op: 'addDestination',
  key,
  destination: { ip: parseIP('fd00::2'), port: 80, weight: 1 },
};

test.each([
  {
    name: 'a scheduler that is not there: its module and option',
    change: addServer,
    code: 'ENOENT',
    want: /^refused: the kernel has no scheduler "wrr": .*"modprobe ip_vs_wrr".*CONFIG_IP_VS_WRR$/,
  },
  {
    name: 'IPVS without IPv6',
    change: addServer,
    code: 'EAFNOSUPPORT',
    want: /CONFIG_IP_VS_IPV6$/,
  },
  {
    name: 'a destination that is not there is no missing scheduler',
    change: addDestination,
    code: 'ENOENT',
    want: /^refused$/,
  },
  { name: 'a server that is there', change: addServer, code: 'EEXIST', want: /^refused$/ },
])('$name', ({ change, code, want }) => {
  const failure = describeFailure(change, { code, message: 'refused' });
  expect(failure).toEqual({ change, code, message: expect.stringMatching(want) });
});

describe('IpvsError', () => {
  const first = { change: addServer, code: 'EEXIST', message: 'first' };
  const second = { change: addDestination, code: 'ESRCH', message: 'second' };

  test('is about the first failure', () => {
    expect(new IpvsError([first])).toMatchObject({ code: 'EEXIST', message: 'first' });
  });

  test('says how many more there are, and keeps them', () => {
    const error = new IpvsError([first, second]);
    expect(error.message).toBe('first (changes refused besides: 1)');
    expect(error.failures).toEqual([first, second]);
  });
});

test('a kernel without IPVS: the module, the option and what to do', () => {
  expect(noIpvs()).toMatchObject({
    code: 'IO',
    message: expect.stringMatching(/no IPVS.*"modprobe ip_vs".*CONFIG_IP_VS/),
  });
});
