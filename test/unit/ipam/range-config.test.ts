import { describe, expect, test } from 'vitest';
import {
  buildRangeSets,
  type RangeConfig,
  type RangesConfig,
  requestedAddresses,
} from '../../../src/ipam/range-config.ts';
import { ConfigError } from '../../../src/util/errors.ts';

const v4 = { subnet: '10.1.2.0/24' };
const v6 = { subnet: 'fd00:10::/64' };
const built4 = { subnet: '10.1.2.0/24', start: '10.1.2.1', end: '10.1.2.254', gateway: '10.1.2.1' };
const built6 = {
  subnet: 'fd00:10::/64',
  start: 'fd00:10::1',
  end: 'fd00:10::ffff:ffff:ffff:ffff',
  gateway: 'fd00:10::1',
};

describe('[97] every form of configuration gives the same structures', () => {
  test.each<{
    name: string;
    ipam: RangesConfig;
    runtime?: RangeConfig[][];
    want: unknown;
  }>([
    { name: 'old single range', ipam: v4, want: [[built4]] },
    { name: 'ranges', ipam: { ranges: [[v4], [v6]] }, want: [[built4], [built6]] },
    { name: 'single range first', ipam: { ...v4, ranges: [[v6]] }, want: [[built4], [built6]] },
    {
      name: 'runtime ranges before both',
      ipam: { ...v4, ranges: [[v6]] },
      runtime: [[{ subnet: '10.9.0.0/30' }]],
      want: [
        [{ subnet: '10.9.0.0/30', start: '10.9.0.1', end: '10.9.0.2', gateway: '10.9.0.1' }],
        [built4],
        [built6],
      ],
    },
    { name: 'runtime ranges alone', ipam: {}, runtime: [[v6]], want: [[built6]] },
    {
      name: 'everything given',
      ipam: { ...v4, rangeStart: '10.1.2.10', rangeEnd: '10.1.2.20', gateway: '10.1.2.254' },
      want: [[{ ...built4, start: '10.1.2.10', end: '10.1.2.20', gateway: '10.1.2.254' }]],
    },
    {
      name: 'empty text is absent',
      ipam: { ...v4, rangeStart: '', rangeEnd: '', gateway: '' },
      want: [[built4]],
    },
    {
      name: 'alternatives in one set',
      ipam: { ranges: [[v4, { subnet: '10.1.4.0/24' }]] },
      want: [
        [
          built4,
          { subnet: '10.1.4.0/24', start: '10.1.4.1', end: '10.1.4.254', gateway: '10.1.4.1' },
        ],
      ],
    },
    {
      name: 'a gateway elsewhere',
      ipam: { ...v4, gateway: '10.9.9.9' },
      want: [[{ ...built4, gateway: '10.9.9.9' }]],
    },
    { name: 'zeros before the length', ipam: { subnet: '10.1.2.0/024' }, want: [[built4]] },
  ])('$name', ({ ipam, runtime, want }) =>
    expect(buildRangeSets('1.0.0', ipam, runtime)).toEqual(want),
  );
});

describe('[99, 100] rejected with the reference words and the key', () => {
  test.each<{ ipam: RangesConfig; runtime?: RangeConfig[][]; key: string; message: string }>([
    { ipam: {}, key: 'ipam.ranges', message: 'no IP ranges specified' },
    { ipam: { ranges: [] }, key: 'ipam.ranges', message: 'no IP ranges specified' },
    {
      ipam: { ranges: [[]] },
      key: 'ipam.ranges[0]',
      message: 'invalid range set 0: empty range set',
    },
    { ipam: { subnet: 'x' }, key: 'ipam.subnet', message: 'invalid CIDR address: x' },
    {
      ipam: { subnet: '10.0.0.0/31' },
      key: 'ipam.subnet',
      message: 'invalid range set 0: Network 10.0.0.0/31 too small to allocate from',
    },
    {
      ipam: { subnet: 'fd00::/127' },
      key: 'ipam.subnet',
      message: 'invalid range set 0: Network fd00::/127 too small to allocate from',
    },
    {
      ipam: { ranges: [[v4], [{ subnet: 'fd00::5/64' }]] },
      key: 'ipam.ranges[1][0].subnet',
      message:
        'invalid range set 1: Network has host bits set. For a subnet mask of length 64 the network address is fd00::',
    },
    {
      ipam: { subnet: '10.0.0.1/24' },
      key: 'ipam.subnet',
      message:
        'invalid range set 0: Network has host bits set. For a subnet mask of length 24 the network address is 10.0.0.0',
    },
    {
      ipam: { ...v4, rangeStart: '10.1.3.1' },
      key: 'ipam.rangeStart',
      message: 'invalid range set 0: RangeStart 10.1.3.1 not in network 10.1.2.0/24',
    },
    {
      ipam: { ...v4, rangeEnd: '10.1.3.1' },
      key: 'ipam.rangeEnd',
      message: 'invalid range set 0: RangeEnd 10.1.3.1 not in network 10.1.2.0/24',
    },
    {
      ipam: { ...v4, rangeStart: '10.1.2.9', rangeEnd: '10.1.2.8' },
      key: 'ipam.rangeStart',
      message: 'invalid range set 0: RangeStart 10.1.2.9 not in network 10.1.2.0/24',
    },
    {
      ipam: { ...v4, rangeStart: 'fd00::1' },
      key: 'ipam.rangeStart',
      message: 'invalid range set 0: RangeStart fd00::1 not in network 10.1.2.0/24',
    },
    { ipam: { ...v4, gateway: 'x' }, key: 'ipam.gateway', message: 'invalid IP address: x' },
    {
      ipam: { ranges: [[{ ...v4, rangeStart: '010.1.2.3' }]] },
      key: 'ipam.ranges[0][0].rangeStart',
      message: 'invalid IP address: 010.1.2.3',
    },
    {
      ipam: { subnet: '::ffff:10.0.0.0/120' },
      key: 'ipam.subnet',
      message: 'invalid range set 0: IPNet IP and Mask version mismatch',
    },
    {
      ipam: { ranges: [[v4, v6]] },
      key: 'ipam.ranges[0][1].subnet',
      message: 'invalid range set 0: mixed address families',
    },
    {
      ipam: { ranges: [[v4, { subnet: '10.1.2.0/25' }]] },
      key: 'ipam.ranges[0][1].subnet',
      message: 'invalid range set 0: subnets 10.1.2.1-10.1.2.254 and 10.1.2.1-10.1.2.126 overlap',
    },
    {
      ipam: { ranges: [[v4], [v6], [{ subnet: '10.1.2.0/25' }]] },
      key: 'ipam.ranges[2]',
      message: 'range set 0 overlaps with 2',
    },
    {
      ipam: v4,
      runtime: [[{ subnet: '10.1.2.64/26' }]],
      key: 'ipam',
      message: 'range set 0 overlaps with 1',
    },
  ])('$message', ({ ipam, runtime, key, message }) => {
    const build = () => buildRangeSets('1.0.0', ipam, runtime);
    expect(build).toThrow(ConfigError);
    expect(build).toThrow(expect.objectContaining({ key, message }));
  });

  test('parts of one network that do not meet are no overlap', () => {
    const ipam = {
      ranges: [
        [{ ...v4, rangeEnd: '10.1.2.99' }],
        [{ ...v4, rangeStart: '10.1.2.100', rangeEnd: '10.1.2.200' }],
      ],
    };
    expect(buildRangeSets('1.0.0', ipam)).toHaveLength(2);
  });

  test.each([
    ['0.2.0', [[v4], [{ subnet: '10.2.0.0/24' }]], false],
    ['0.2.0', [[v6], [{ subnet: 'fd00:11::/64' }]], false],
    ['0.2.0', [[v4], [v6]], true],
    ['0.2.0', [[v4, { subnet: '10.2.0.0/24' }]], true],
    ['0.3.0', [[v4], [{ subnet: '10.2.0.0/24' }]], true],
    ['1.0.0', [[v4], [{ subnet: '10.2.0.0/24' }]], true],
  ])('version %s with %j: allowed %s', (version, ranges, isAllowed) => {
    const build = () => buildRangeSets(version, { ranges });
    if (isAllowed) expect(build()).toHaveLength(ranges.length);
    else {
      expect(build).toThrow(
        `CNI version ${version} does not support more than 1 address per family`,
      );
    }
  });
});

describe('[59, 98] requested addresses', () => {
  test('come from three places in order, without prefix and once each', () =>
    expect(
      requestedAddresses({
        cniArgsIP: '10.1.2.3/24',
        argsIps: ['10.1.2.4', 'FD00::5/64'],
        runtimeIps: ['10.1.2.3', '10.1.2.6/8'],
      }),
    ).toEqual(['10.1.2.3', '10.1.2.4', 'fd00::5', '10.1.2.6']));

  test('may be absent', () => expect(requestedAddresses({ cniArgsIP: '' })).toEqual([]));

  test.each([
    [{ cniArgsIP: '10.1.2.x' }, 'CNI_ARGS.IP', 'invalid IP address 10.1.2.x'],
    [{ argsIps: ['10.1.2.3', 'zz'] }, 'args.cni.ips', 'invalid IP address zz'],
    [{ runtimeIps: ['10.1.2.3/33'] }, 'runtimeConfig.ips', 'invalid IP address 10.1.2.3/33'],
  ])('%j is refused', (config, key, message) =>
    expect(() => requestedAddresses(config)).toThrow(expect.objectContaining({ key, message })),
  );
});
