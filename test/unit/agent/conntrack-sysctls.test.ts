import { describe, expect, test } from 'vitest';
import { planConntrackSysctls } from '../../../src/agent/conntrack-sysctls.ts';

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
      nf_conntrack_max: 131_072,
      nf_conntrack_tcp_timeout_established: 86_400,
      nf_conntrack_tcp_timeout_close_wait: 3600,
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
    expect(valuesOf(settings, cpus)['nf_conntrack_max']).toBe(want);
  });

  test.each([
    { key: 'isTcpLiberal', value: true, name: 'nf_conntrack_tcp_be_liberal', want: 1 },
    { key: 'udpTimeoutMs', value: 30_500, name: 'nf_conntrack_udp_timeout', want: 30 },
    {
      key: 'udpStreamTimeoutMs',
      value: 180_000,
      name: 'nf_conntrack_udp_timeout_stream',
      want: 180,
    },
  ])('$key sets $name alone', ({ key, value, name, want }) => {
    expect(valuesOf({ ...none, [key]: value }, 4)).toEqual({ [name]: want });
  });

  test('only the table size is a minimum', () => {
    const minima = planConntrackSysctls(defaults, 2).filter(({ isMinimum }) => isMinimum);
    expect(minima.map(({ name }) => name)).toEqual(['nf_conntrack_max']);
  });
});
