import { describe, expect, test } from 'vitest';
import {
  applyConntrackSysctls,
  planConntrackSysctls,
  type SysctlFiles,
} from '../../../../src/agent/proxy/conntrack-sysctls.ts';
import { createLogger } from '../../../../src/util/log.ts';

const PREFIX = 'net/netfilter/nf_conntrack_';
const HASH_SIZE = '/sys/module/nf_conntrack/parameters/hashsize';

const defaults = {
  maxPerCore: 32_768,
  min: 131_072,
  tcpEstablishedTimeoutMs: 86_400_000,
  tcpCloseWaitTimeoutMs: 3_600_000,
  isTcpLiberal: false,
  udpTimeoutMs: 0,
  udpStreamTimeoutMs: 0,
};
const none = { ...defaults, maxPerCore: 0, tcpEstablishedTimeoutMs: 0, tcpCloseWaitTimeoutMs: 0 };

const valuesOf = (settings: typeof defaults, cpus: number) =>
  Object.fromEntries(planConntrackSysctls(settings, cpus).map(({ name, value }) => [name, value]));

describe('planConntrackSysctls', () => {
  test('the defaults on a small machine: the minimum counts', () => {
    expect(valuesOf(defaults, 2)).toEqual({
      [`${PREFIX}max`]: 131_072,
      [HASH_SIZE]: 32_768,
      [`${PREFIX}tcp_timeout_established`]: 86_400,
      [`${PREFIX}tcp_timeout_close_wait`]: 3600,
    });
  });

  test.each([
    { name: 'per core', settings: defaults, cpus: 16, want: 524_288 },
    { name: 'capped', settings: defaults, cpus: 256, want: 1_048_576 },
    {
      name: 'a configured minimum above the cap',
      settings: { ...defaults, min: 2_000_000 },
      cpus: 256,
      want: 2_000_000,
    },
    { name: 'left alone', settings: { ...defaults, maxPerCore: 0 }, cpus: 4, want: undefined },
  ])('table size: $name', ({ settings, cpus, want }) => {
    expect(valuesOf(settings, cpus)[`${PREFIX}max`]).toBe(want);
  });

  test.each([
    {
      key: 'isTcpLiberal',
      value: true,
      name: 'net/netfilter/nf_conntrack_tcp_be_liberal',
      want: 1,
    },
    {
      key: 'udpTimeoutMs',
      value: 30_500,
      name: 'net/netfilter/nf_conntrack_udp_timeout',
      want: 30,
    },
    {
      key: 'udpStreamTimeoutMs',
      value: 180_000,
      name: 'net/netfilter/nf_conntrack_udp_timeout_stream',
      want: 180,
    },
  ])('$key sets $name alone', ({ key, value, name, want }) => {
    expect(valuesOf({ ...none, [key]: value }, 4)).toEqual({ [name]: want });
  });

  test('only the sizes of the table are minima', () => {
    const minima = planConntrackSysctls(defaults, 2).filter(({ isMinimum }) => isMinimum);
    expect(minima.map(({ name }) => name)).toEqual([`${PREFIX}max`, HASH_SIZE]);
  });
});

/** A kernel of these values, by full name; `refused` are read-only. */
function fakeKernel(values: Record<string, string>, refused: readonly string[] = []) {
  const written: Record<string, string> = {};
  const files: SysctlFiles = {
    read: (name) => values[name],
    write: (name, value) => {
      if (refused.includes(name)) throw new Error('EROFS');
      written[name] = value;
    },
  };
  return { files, written };
}

describe('applyConntrackSysctls', () => {
  const KERNEL = {
    [`${PREFIX}max`]: '65536\n',
    [HASH_SIZE]: '16384\n',
    [`${PREFIX}tcp_timeout_established`]: '432000',
    [`${PREFIX}tcp_timeout_close_wait`]: '3600',
    [`${PREFIX}tcp_be_liberal`]: '1',
  };
  const settings = { ...defaults, maxPerCore: 1, min: 131_072 };

  test.each([
    {
      name: 'what differs is written',
      values: KERNEL,
      want: {
        [`${PREFIX}max`]: '131072',
        [HASH_SIZE]: '32768',
        [`${PREFIX}tcp_timeout_established`]: '86400',
      },
    },
    {
      name: 'larger tables stay',
      values: { ...KERNEL, [`${PREFIX}max`]: '2000000', [HASH_SIZE]: '500000' },
      want: { [`${PREFIX}tcp_timeout_established`]: '86400' },
    },
    { name: 'what is not there is left out', values: {}, want: {} },
    {
      name: 'a refused table size costs nothing else, and takes its buckets along',
      values: KERNEL,
      refused: [`${PREFIX}max`],
      want: { [`${PREFIX}tcp_timeout_established`]: '86400' },
    },
    {
      name: 'refused buckets',
      values: KERNEL,
      refused: [HASH_SIZE],
      want: { [`${PREFIX}max`]: '131072', [`${PREFIX}tcp_timeout_established`]: '86400' },
    },
  ])('$name', ({ values, refused = [], want }) => {
    const { files, written } = fakeKernel(values, refused);
    applyConntrackSysctls(settings, createLogger('silent'), files);
    expect(written).toEqual(want);
  });

  test('be_liberal is never switched off', () => {
    const { files, written } = fakeKernel(KERNEL);
    applyConntrackSysctls({ ...none, isTcpLiberal: false }, createLogger('silent'), files);
    expect(written).toEqual({});
  });
});
