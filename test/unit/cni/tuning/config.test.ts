import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type CniError, toCniError } from '../../../../src/cni/protocol/errors.ts';
import type { Request } from '../../../../src/cni/protocol/request.ts';
import { isEmptyTuning, parseTuningConfig } from '../../../../src/cni/tuning/config.ts';
import { repeatedSysctl, sysctlPath } from '../../../../src/cni/tuning/sysctl-path.ts';
import { request } from '../builders.ts';

function requestOf(config: object, args = ''): Request {
  const full = { type: 'tuning', ...config };
  return request({ config: full, args, stdin: Buffer.from(JSON.stringify(full)) });
}

function failureOf(job: () => unknown): CniError {
  try {
    job();
  } catch (thrown) {
    return toCniError(thrown);
  }
  throw new Error('nothing was thrown');
}

describe('sysctlPath', () => {
  test.each([
    ['net.ipv4.conf.IFNAME.arp_filter', 'net/ipv4/conf/eth0.7/arp_filter'],
    ['net/ipv4/conf/IFNAME/arp_filter', 'net/ipv4/conf/eth0.7/arp_filter'],
    ['net.core.somaxconn', 'net/core/somaxconn'],
    ['net.ipv4.conf.eth0/7.arp_filter', 'net/ipv4/conf/eth0.7/arp_filter'],
    ['net/ipv4/conf/eth0.7/arp_filter', 'net/ipv4/conf/eth0.7/arp_filter'],
  ])('%s', (key, want) => {
    expect(sysctlPath(key, 'eth0.7')).toBe(want);
  });

  test.each([
    'kernel.hostname',
    'net',
    '',
    'net/../kernel/hostname',
    'net.//.kernel.hostname',
    'net..ipv4',
    '/net/ipv4/ip_forward',
    '../net/ipv4/ip_forward',
    'net.ipv4.\0',
  ])('%j is none', (key) => {
    expect(failureOf(() => sysctlPath(key, 'eth0'))).toMatchObject({
      cniCode: 7,
      message: expect.stringContaining('invalid net sysctl key'),
    });
  });

  test('never leaves net/', () => {
    const part = fc.constantFrom('net', '.', '/', '..', 'IFNAME', 'kernel', 'a');
    fc.assert(
      fc.property(fc.array(part, { maxLength: 8 }), (parts) => {
        let path: string;
        try {
          path = sysctlPath(parts.join(''), 'eth0');
        } catch {
          return;
        }
        expect(new URL(`file:///${path}`).pathname).toBe(`/${path}`);
        expect(path).toMatch(/^net\/./);
      }),
    );
  });
});

describe('repeatedSysctl', () => {
  test.each([
    ['{"sysctl":{"net.a":"1","net.b":"1"}}', undefined],
    ['{"sysctl":{"net.a":"1","net.b":"}","net.a":"2"}}', 'net.a'],
    ['{"Sysctl" : { "net.a" : "1", "net.a" : "1" } }', 'net.a'],
    ['{"sysctl":{"net.a":"1"},"args":{"cni":{"sysctl":{"net.a":"2"}}}}', undefined],
    ['{"sysctl":{},"args":{"cni":{"sysctl":{"net.a":"2","net.a":"3"}}}}', 'net.a'],
    ['{"sysctl":{"net.a":"net.b","net.b":"net.a\\":"}}', undefined],
  ])('%s', (json, want) => {
    expect(repeatedSysctl(json)).toBe(want);
  });
});

describe('parseTuningConfig', () => {
  test.each([
    { name: 'nothing', config: {}, want: { sysctls: [] } },
    {
      name: 'zero values',
      config: { mtu: 0, mac: '', promisc: false, txQLen: null, allmulti: null },
      want: { sysctls: [] },
    },
    {
      name: 'link settings',
      config: {
        mtu: 1400,
        mac: 'C2:11:22:33:44:55',
        promisc: true,
        allmulti: true,
        txQLen: 500,
      },
      want: {
        sysctls: [],
        mtu: 1400,
        mac: 'c2:11:22:33:44:55',
        isPromiscuous: true,
        isAllMulticast: true,
        txQueueLength: 500,
      },
    },
    {
      name: 'where Go has a pointer, a zero is a wish, too',
      config: { allmulti: false, txQLen: 5, args: { cni: { txQLen: 0 } } },
      want: { sysctls: [], isAllMulticast: false, txQueueLength: 0 },
    },
    {
      name: 'args.cni wins',
      config: { mtu: 1400, promisc: true, args: { cni: { mtu: 1300, promisc: false } } },
      want: { sysctls: [], mtu: 1300, isPromiscuous: false },
    },
    {
      name: 'a sysctl of args.cni replaces one of the network in either spelling',
      config: {
        sysctl: { 'net.core.somaxconn': '1', 'net.ipv4.tcp_sack': '0' },
        args: { cni: { sysctl: { 'net/core/somaxconn': '2' } } },
      },
      want: {
        sysctls: [
          { key: 'net/core/somaxconn', path: 'net/core/somaxconn', value: '2' },
          { key: 'net.ipv4.tcp_sack', path: 'net/ipv4/tcp_sack', value: '0' },
        ],
      },
    },
    {
      name: 'sysctls of args.cni alone',
      config: { args: { cni: { sysctl: { 'net.core.somaxconn': '2' } } } },
      want: {
        sysctls: [{ key: 'net.core.somaxconn', path: 'net/core/somaxconn', value: '2' }],
      },
    },
    {
      name: "in one exec the main plugin's keys do not count",
      config: { type: 'weft', mtu: 1400, runtimeConfig: { mac: 'c2:11:22:33:44:55' } },
      want: { sysctls: [] },
    },
  ])('$name', ({ config, want }) => {
    expect(parseTuningConfig(requestOf(config))).toEqual(want);
  });

  const mac = (n: number) => `c2:00:00:00:00:0${n}`;
  test.each([
    [{ mac: mac(1) }, '', 1],
    [{ mac: mac(1) }, `MAC=${mac(2)}`, 2],
    [{ mac: mac(1), runtimeConfig: { mac: mac(3) } }, `MAC=${mac(2)}`, 3],
    [
      { mac: mac(1), runtimeConfig: { mac: mac(3) }, args: { cni: { mac: mac(4) } } },
      `MAC=${mac(2)}`,
      4,
    ],
  ])('the mac of %j with CNI_ARGS %j', (config, args, want) => {
    expect(parseTuningConfig(requestOf(config, args)).mac).toBe(mac(want));
  });

  test.each([
    [{ sysctl: { 'net.core.somaxconn': 5 } }, 7, 'sysctl.net.core.somaxconn: must be a string'],
    [{ sysctl: { 'net.core.a': '1', 'net/core/a': '2' } }, 7, 'duplicate sysctl key: "net/core/a"'],
    [{ sysctl: { 'kernel.hostname': 'x' } }, 7, 'invalid net sysctl key: "kernel.hostname"'],
    [{ mac: 'nonsense' }, 7, 'invalid mac address nonsense'],
    [{ mtu: -1 }, 7, 'mtu: must be 0 to 65535'],
    [{ promisc: 'yes' }, 7, 'promisc: must be a boolean'],
    [{ txQLen: -1 }, 7, 'txQLen: must be 0 to 4294967295, not -1'],
    [{ args: { cni: { allmulti: 1 } } }, 7, 'allmulti: must be a boolean'],
  ])('%j is refused', (config, cniCode, message) => {
    const failure = failureOf(() => parseTuningConfig(requestOf(config)));
    expect(failure.cniCode).toBe(cniCode);
    expect(failure.message).toContain(message);
  });

  test('a key written twice is refused although parsed JSON has one', () => {
    const json = '{"type":"tuning","sysctl":{"net.a.b":"1","net.a.b":"2"}}';
    const twice = request({ config: JSON.parse(json), stdin: Buffer.from(json) });
    expect(failureOf(() => parseTuningConfig(twice)).message).toContain('duplicate sysctl key');
  });
});

test('isEmptyTuning', () => {
  expect(isEmptyTuning({ sysctls: [] })).toBe(true);
  expect(isEmptyTuning({ sysctls: [], isPromiscuous: false })).toBe(false);
});
