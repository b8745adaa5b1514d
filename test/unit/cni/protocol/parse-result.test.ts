import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseResult } from '../../../../src/cni/protocol/parse-result.ts';
import {
  parsePreviousResult,
  requirePreviousResult,
} from '../../../../src/cni/protocol/previous-result.ts';
import { formatResult } from '../../../../src/cni/protocol/result.ts';
import { type SpecVersion, SUPPORTED_VERSIONS } from '../../../../src/cni/protocol/versions.ts';
import { request } from '../builders.ts';

const none = { interfaces: [], ips: [], routes: [], dns: {} };

/** Everything each family of versions can tell. */
const legacy = {
  ip4: {
    ip: '10.1.2.3/24',
    gateway: '10.1.2.1',
    routes: [{ dst: '0.0.0.0/0', gw: '10.1.2.1' }, { dst: '10.9.0.0/16' }],
  },
  ip6: { ip: 'fd00::3/64', routes: [{ dst: '::/0', gw: 'fd00::1' }] },
  dns: { nameservers: ['10.0.0.53'], domain: 'a', search: ['b'], options: ['c'] },
};
const current = {
  interfaces: [
    { name: 'cni0', mac: 'aa:bb:cc:00:00:01' },
    { name: 'eth0', mac: 'x', mtu: 1400, sandbox: '/run/netns/a', socketPath: '/s', pciID: '1' },
  ],
  ips: [{ interface: 0, address: '10.1.2.3/24', gateway: '10.1.2.1' }, { address: 'fd00::3/64' }],
  routes: [{ dst: '0.0.0.0/0', mtu: 1300, advmss: 1200, priority: 5, table: 0, scope: 0 }],
  dns: {},
};

describe('a result is read in its own version', () => {
  test.each(['0.1.0', '0.2.0'])('%s: an address per family, routes joined [21]', (version) => {
    expect(parseResult({ cniVersion: version, ...legacy }, version)).toEqual({
      interfaces: [],
      ips: [{ address: '10.1.2.3/24', gateway: '10.1.2.1' }, { address: 'fd00::3/64' }],
      routes: [
        { dst: '0.0.0.0/0', gw: '10.1.2.1' },
        { dst: '10.9.0.0/16' },
        { dst: '::/0', gw: 'fd00::1' },
      ],
      dns: legacy.dns,
    });
  });

  test.each(['0.3.0', '0.3.1', '0.4.0', '1.0.0', '1.1.0'])(
    '%s keeps every attribute, `interface: 0` among them [24]',
    (version) => {
      expect(parseResult({ cniVersion: version, ...current }, version)).toEqual(current);
    },
  );

  test.each<[string, unknown, object]>([
    [
      'keys in another case',
      { IPS: [{ ADDRESS: '10.1.2.3/24' }] },
      { ips: [{ address: '10.1.2.3/24' }] },
    ],
    [
      'nulls are absent',
      { ips: null, dns: null, interfaces: [{ name: 'a', mac: null }] },
      { interfaces: [{ name: 'a' }] },
    ],
    ['null is an empty result', null, {}],
    ['an empty version is the configuration’s', { cniVersion: '' }, {}],
    ['another version of the family', { cniVersion: '1.0.0' }, {}],
    [
      'host bits of a destination stay',
      { routes: [{ dst: '10.1.2.3/8' }] },
      { routes: [{ dst: '10.1.2.3/8' }] },
    ],
    [
      'an empty gateway is none',
      { ips: [{ address: 'fd00::3/64', gateway: '' }] },
      { ips: [{ address: 'fd00::3/64' }] },
    ],
  ])('%s', (_name, value, want) => {
    expect(parseResult(value, '1.1.0')).toEqual({ ...none, ...want });
  });

  test.each<[string, unknown, string, string]>([
    ['1.1.0', [], 'result', 'result: must be an object'],
    ['1.1.0', { ips: {} }, 'ips', 'ips: must be an array'],
    [
      '1.1.0',
      { ips: [{ address: '10.1.2.3' }] },
      'address',
      'ips[0].address: parse IP with prefix',
    ],
    ['1.1.0', { ips: [{}] }, 'no address', 'ips[0].address: parse IP'],
    ['1.1.0', { ips: [{ address: '10.1.2.03/24' }] }, 'octet [28]', 'ips[0].address: parse IP'],
    [
      '1.1.0',
      { ips: [{ address: '10.1.2.3/24', interface: '0' }] },
      'index',
      'ips[0].interface: must be an integer',
    ],
    ['1.1.0', { interfaces: [{ name: 5 }] }, 'name', 'interfaces[0].name: must be a string'],
    ['1.1.0', { routes: [{ dst: '::/0', mtu: 0.5 }] }, 'mtu', 'routes[0].mtu: must be an integer'],
    ['0.2.0', { ip4: { ip: 'x' } }, 'ip4', 'ip4.ip: parse IP'],
    [
      '1.1.0',
      { cniVersion: '0.4.0' },
      'older family [26]',
      'result type supports [1.0.0 1.1.0] but unmarshalled CNIVersion is "0.4.0"',
    ],
    [
      '0.4.0',
      { cniVersion: '1.0.0' },
      'newer family [26]',
      'result type supports [0.3.0 0.3.1 0.4.0] but unmarshalled CNIVersion is "1.0.0"',
    ],
    [
      '0.2.0',
      { cniVersion: '0.3.0' },
      'other shape [26]',
      'result type supports [0.1.0 0.2.0] but unmarshalled CNIVersion is "0.3.0"',
    ],
    ['9.9.9', {}, 'unknown version [34]', 'unsupported CNI result version "9.9.9"'],
  ])('%s %j: wrong %s', (version, value, _what, message) => {
    expect(() => parseResult(value, version)).toThrow(message);
  });
});

describe('what was read is printed again', () => {
  const texts: Readonly<Record<SpecVersion, object>> = {
    '0.1.0': legacy,
    '0.2.0': legacy,
    '0.3.0': { ...current, dns: legacy.dns },
    '0.3.1': { ...current, dns: legacy.dns },
    '0.4.0': { ...current, dns: legacy.dns },
    '1.0.0': { ...current, dns: legacy.dns },
    '1.1.0': { ...current, dns: legacy.dns },
  };

  test.each(SUPPORTED_VERSIONS)('%s survives text to value to text [22, 28]', (version) => {
    const once = formatResult(parseResult(texts[version], version), version);
    expect(formatResult(parseResult(JSON.parse(once), version), version)).toBe(once);
  });

  test.each(SUPPORTED_VERSIONS)('from 1.1.0 to %s and back loses no address [21]', (version) => {
    const octet = fc.integer({ min: 1, max: 254 });
    fc.assert(
      fc.property(octet, octet, (a, b) => {
        const ips = [{ address: `10.1.${a}.${b}/16` }, { address: `fd00::${a}:${b}/64` }];
        const text = formatResult(parseResult({ ips }, '1.1.0'), version);
        expect(parseResult(JSON.parse(text), version).ips).toEqual(ips);
      }),
      { numRuns: 20 },
    );
  });

  test('a route of a family without an address is dropped below 0.3.0', () => {
    const value = { ips: [{ address: '10.1.2.3/24' }], routes: [{ dst: '::/0', gw: 'fd00::1' }] };
    const text = formatResult(parseResult(value, '1.1.0'), '0.2.0');
    expect(JSON.parse(text)).toEqual({ cniVersion: '0.2.0', ip4: { ip: '10.1.2.3/24' }, dns: {} });
  });
});

describe('prevResult [34]', () => {
  test.each([
    ['absent', {}, undefined],
    ['null', { prevResult: null }, undefined],
    ['in another case', { PREVRESULT: { ips: [] } }, none],
    ['of the configuration’s version', { prevResult: { cniVersion: '1.0.0' } }, none],
  ])('%s', (_name, config, want) => {
    expect(parsePreviousResult(request({ config }))).toEqual(want);
  });

  test('of another family is code 6 and says so', () => {
    const config = { prevResult: { cniVersion: '0.2.0' } };
    expect(() => parsePreviousResult(request({ config }))).toThrow(
      expect.objectContaining({
        cniCode: 6,
        message:
          'could not parse prevResult: result type supports [1.0.0 1.1.0] but unmarshalled CNIVersion is "0.2.0"',
      }),
    );
  });

  test.each([
    ['ADD', 'must be called as chained plugin'],
    ['CHECK', 'Required prevResult missing'],
  ] as const)('%s cannot do without', (verb, message) => {
    expect(() => requirePreviousResult(request({ verb }))).toThrow(message);
  });
});
