import { describe, expect, test } from 'vitest';
import { formatResult, type Result } from '../../../../src/cni/protocol/result.ts';
import { SUPPORTED_VERSIONS } from '../../../../src/cni/protocol/versions.ts';
import { parseIPWithPrefix } from '../../../../src/net/cidr.ts';
import { parseIP } from '../../../../src/net/ip.ts';
import { parseMac } from '../../../../src/net/mac.ts';
import { golden } from '../golden.ts';

const interfaces: Result['interfaces'] = [
  { name: 'cni0', mac: parseMac('aa:bb:cc:00:00:01') },
  { name: 'veth1a2b3c4d', mac: parseMac('aa:bb:cc:00:00:02') },
  { name: 'eth0', mac: parseMac('aa:bb:cc:00:00:03'), sandbox: '/var/run/netns/blue' },
];
const v4 = {
  interface: 2,
  address: parseIPWithPrefix('10.1.2.2/24'),
  gateway: parseIP('10.1.2.1'),
};
const v6 = {
  interface: 2,
  address: parseIPWithPrefix('fd00:1::2/64'),
  gateway: parseIP('fd00:1::1'),
};
const routes: Result['routes'] = [
  { dst: parseIPWithPrefix('0.0.0.0/0') },
  { dst: parseIPWithPrefix('::/0'), gw: parseIP('fd00:1::1') },
];

const results: readonly [string, Result][] = [
  ['ipv4', { interfaces, ips: [v4], routes: routes.slice(0, 1), dns: {} }],
  ['dual-stack', { interfaces, ips: [v4, v6], routes, dns: {} }],
  ['ipv6-only', { interfaces, ips: [v6], routes, dns: {} }],
  [
    'everything',
    {
      interfaces,
      ips: [{ ...v4, interface: 0 }, { address: parseIPWithPrefix('10.1.3.9/24') }],
      routes: [
        {
          dst: parseIPWithPrefix('10.9.1.2/16'),
          gw: parseIP('10.1.2.9'),
          mtu: 1400,
          advmss: 0,
          priority: 5,
          table: 0,
          scope: 0,
        },
      ],
      dns: { nameservers: ['10.1.0.1'], domain: 'a<b', search: [], options: ['ndots:5'] },
    },
  ],
];

describe.each(SUPPORTED_VERSIONS)('result of %s [20, 21, 24]', (version) => {
  test.each(results)('%s', (name, result) => {
    const text = formatResult(result, version);
    expect(text).toBe(golden(`result-${name}-${version}.json`, text));
    expect(JSON.parse(text)).toHaveProperty('cniVersion', version);
  });
});

const none: Result = { interfaces, ips: [], routes: [], dns: {} };

test.each(['0.1.0', '0.2.0'] as const)('%s cannot tell a result without addresses [23]', (v) => {
  expect(() => formatResult(none, v)).toThrow('cannot convert: no valid IP addresses');
});

test.each(['0.3.0', '1.0.0'] as const)('%s can', (version) => {
  expect(JSON.parse(formatResult(none, version))).not.toHaveProperty('ips');
});
