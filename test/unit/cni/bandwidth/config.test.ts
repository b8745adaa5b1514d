import { describe, expect, test } from 'vitest';
import { parseBandwidthConfig } from '../../../../src/cni/bandwidth/config.ts';
import { type CniError, toCniError } from '../../../../src/cni/protocol/errors.ts';

function failureOf(config: object): CniError {
  try {
    parseBandwidthConfig({ ...config });
  } catch (thrown) {
    return toCniError(thrown);
  }
  throw new Error('nothing was thrown');
}

const limit = (rateBits: number, burstBits: number) => ({ rateBits, burstBits });

describe('parseBandwidthConfig', () => {
  test.each([
    { name: 'nothing', config: {}, want: {} },
    { name: 'zeros', config: { ingressRate: 0, ingressBurst: 0 }, want: {} },
    {
      name: 'one direction',
      config: { ingressRate: 8000, ingressBurst: 80 },
      want: { ingress: limit(8000, 80) },
    },
    {
      name: 'both from the runtime',
      config: {
        runtimeConfig: {
          bandwidth: { ingressRate: 1, ingressBurst: 2, egressRate: 3, egressBurst: 4 },
        },
      },
      want: { ingress: limit(1, 2), egress: limit(3, 4) },
    },
    {
      name: 'the top level wins over the runtime, whole',
      config: {
        egressRate: 5,
        egressBurst: 6,
        runtimeConfig: { bandwidth: { ingressRate: 1, ingressBurst: 2 } },
      },
      want: { egress: limit(5, 6) },
    },
    {
      name: 'zeros at the top level win, too',
      config: { egressRate: 0, runtimeConfig: { bandwidth: { ingressRate: 1, ingressBurst: 2 } } },
      want: {},
    },
    {
      name: 'keys in any case, null as absent',
      config: {
        ingressRate: null,
        RuntimeConfig: { Bandwidth: { EGRESSRATE: 9, egressburst: 8 } },
      },
      want: { egress: limit(9, 8) },
    },
    {
      name: "containerd's burst",
      config: { ingressRate: 8000, ingressBurst: 0xffffffff },
      want: { ingress: limit(8000, 0xffffffff) },
    },
    {
      name: 'the longest burst',
      config: { ingressRate: 8000, ingressBurst: 8 * 0xffffffff - 1 },
      want: { ingress: limit(8000, 8 * 0xffffffff - 1) },
    },
  ])('$name', ({ config, want }) => {
    expect(parseBandwidthConfig({ ...config })).toEqual(want);
  });

  test.each([
    {
      config: { ingressRate: 8000 },
      want: 'ingressBurst: if rate is set, burst must also be set',
    },
    {
      config: { runtimeConfig: { bandwidth: { egressBurst: 8000 } } },
      want: 'runtimeConfig.bandwidth.egressRate: if burst is set, rate must also be set',
    },
    {
      config: { ingressRate: 8000, ingressBurst: 8 * 0xffffffff },
      want: 'ingressBurst: burst cannot be more than 4GB',
    },
    {
      config: { ingressRate: '8M', ingressBurst: 1 },
      want: 'ingressRate: must be a whole number of bits, not "8M"',
    },
    {
      config: { egressRate: -8, egressBurst: 1 },
      want: 'egressRate: must be a whole number of bits, not -8',
    },
    {
      config: { runtimeConfig: { bandwidth: [] } },
      want: 'runtimeConfig.bandwidth: must be an object',
    },
  ])('$want', ({ config, want }) => {
    expect(failureOf(config)).toMatchObject({ cniCode: 7, message: want });
  });

  test.each(['shapedSubnets', 'unshapedSubnets'])('%s: all subnets, as 1.9.1', (key) => {
    const limit = { ingressRate: 8, ingressBurst: 16 };
    const ingress = { rateBits: 8, burstBits: 16 };
    expect(parseBandwidthConfig({ [key]: ['10.0.0.0/8'], ...limit })).toEqual({ ingress });
    const runtimeConfig = { bandwidth: { [key]: ['10.0.0.0/8'], ...limit } };
    expect(parseBandwidthConfig({ runtimeConfig })).toEqual({ ingress });
  });
});
