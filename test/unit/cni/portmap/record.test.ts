import { describe, expect, test } from 'vitest';
import { conditionChains } from '../../../../src/cni/portmap/condition-chains.ts';
import { parsePortmapConfig } from '../../../../src/cni/portmap/config.ts';
import { recordElements, subnetChains } from '../../../../src/cni/portmap/layout.ts';
import {
  buildRecord,
  overlaps,
  portText,
  usesLoopback,
} from '../../../../src/cni/portmap/record.ts';
import { decodeRecord } from '../../../../src/cni/portmap/record-json.ts';
import type { Result, ResultIP } from '../../../../src/cni/protocol/result.ts';
import { parseIPWithPrefix } from '../../../../src/net/cidr.ts';
import { parseIP } from '../../../../src/net/ip.ts';

const attachment = { network: 'net', containerId: 'pod', ifName: 'eth0' };

const ip = (text: string, index?: number): ResultIP => {
  const address = parseIPWithPrefix(text);
  return index === undefined ? { address } : { address, interface: index };
};

const result = (ips: readonly ResultIP[]): Result => ({
  interfaces: [
    { name: 'cni0' },
    { name: 'veth1' },
    { name: 'eth0', sandbox: '/run/netns/pod' },
    { name: 'eth1', sandbox: '/run/netns/pod' },
  ],
  ips,
  routes: [],
  dns: {},
});

const netns = { path: '/run/netns/pod', id: '4:1' };

const dualStack = result([ip('10.0.0.2/24', 2), ip('fd00::2/64', 2)]);

const build = (
  portMappings: readonly object[],
  options: { previous?: Result; config?: object; args?: string } = {},
) => {
  const { previous = dualStack, config = {}, args = '' } = options;
  const parsed = parsePortmapConfig({ ...config, runtimeConfig: { portMappings } });
  return buildRecord({ attachment, netns, config: parsed, previous, args });
};

const mapping = (change: object = {}) => ({ hostPort: 8080, containerPort: 80, ...change });

describe('[118] addresses of the pod', () => {
  test.each([
    {
      name: 'both families',
      ips: [ip('10.0.0.2/24', 2), ip('fd00::2/64', 2)],
      want: ['10.0.0.2', 'fd00::2'],
    },
    {
      name: 'IPv6 first',
      ips: [ip('fd00::2/64', 2), ip('10.0.0.2/24', 2)],
      want: ['10.0.0.2', 'fd00::2'],
    },
    {
      name: 'first of a family',
      ips: [ip('10.0.0.2/24', 2), ip('10.0.0.3/24', 2)],
      want: ['10.0.0.2'],
    },
    {
      name: 'not of another interface',
      ips: [ip('10.0.0.9/24', 3), ip('10.0.0.2/24', 2)],
      want: ['10.0.0.2'],
    },
    { name: 'not of the node', ips: [ip('10.0.0.1/24', 0)], want: [] },
    { name: 'no interface told', ips: [ip('10.0.0.2/24')], want: ['10.0.0.2'] },
    { name: 'an index that leads nowhere', ips: [ip('10.0.0.2/24', 9)], want: ['10.0.0.2'] },
    { name: 'none', ips: [], want: [] },
  ])('$name', ({ ips, want }) => {
    const { ports, pods } = build([mapping()], { previous: result(ips) });
    expect([ports.map(({ target }) => target), pods.map(({ address }) => address)]).toEqual([
      want,
      want,
    ]);
  });
});

describe('ports', () => {
  test.each([
    {
      name: 'a family without node address',
      mappings: [mapping({ hostIP: '192.168.0.1' })],
      want: ['192.168.0.1:8080/tcp'],
    },
    { name: 'every IPv6 address', mappings: [mapping({ hostIP: '::' })], want: ['8080/tcp'] },
    { name: 'IPv6', mappings: [mapping({ hostIP: 'fd00::9' })], want: ['[fd00::9]:8080/tcp'] },
    {
      name: 'twice the same',
      mappings: [mapping(), mapping({ protocol: 'TCP' })],
      want: ['8080/tcp', '8080/tcp'],
    },
    {
      name: 'one address besides all',
      mappings: [
        mapping({ hostIP: '0.0.0.0' }),
        mapping({ hostIP: '192.168.0.1', containerPort: 81 }),
      ],
      want: ['8080/tcp', '192.168.0.1:8080/tcp'],
    },
    {
      name: 'a range as runtimes send it',
      mappings: [80, 81, 82].map((port) =>
        mapping({ hostPort: port, containerPort: port, hostIP: '0.0.0.0' }),
      ),
      want: ['80/tcp', '81/tcp', '82/tcp'],
    },
  ])('$name', ({ mappings, want }) => {
    expect(build(mappings).ports.map(portText)).toEqual(want);
  });

  test('one port cannot lead to two places', () => {
    expect(() => build([mapping(), mapping({ containerPort: 81 })])).toThrow(
      'host port 8080/tcp leads to 80 and to 81',
    );
  });

  test('a mapping of a family that the pod does not have is left out', () => {
    const previous = result([ip('10.0.0.2/24', 2)]);
    const { ports, pods } = build([mapping({ hostIP: 'fd00::9' })], { previous });
    expect([ports, pods]).toEqual([[], []]);
  });
});

describe('name of the pod', () => {
  test.each([
    { args: 'IgnoreUnknown=1;K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web', want: 'shop/web' },
    { args: 'K8S_POD_NAME=web', want: 'default/web' },
    { args: 'OTHER_K8S_POD_NAME=web', want: undefined },
    { args: '', want: undefined },
    { args: '=;;K8S_POD_NAME', want: undefined },
  ])('$args: $want', ({ args, want }) => {
    expect(build([mapping()], { args }).pod).toBe(want);
  });
});

describe('overlap', () => {
  const [a, b] = [parseIP('192.168.0.1'), parseIP('192.168.0.2')];
  test.each([
    { left: {}, right: {}, want: true },
    { left: {}, right: { address: a }, want: true },
    { left: { address: a }, right: {}, want: true },
    { left: { address: a }, right: { address: a }, want: true },
    { left: { address: a }, right: { address: b }, want: false },
  ])('$left and $right: $want', ({ left, right, want }) => {
    expect(overlaps(left, right)).toBe(want);
  });
});

describe('loopback', () => {
  test.each([
    { entry: mapping(), config: {}, want: true },
    { entry: mapping({ hostIP: '127.0.0.1' }), config: {}, want: true },
    { entry: mapping({ hostIP: '192.168.0.1' }), config: {}, want: false },
    { entry: mapping({ hostIP: '::' }), config: {}, want: false },
    { entry: mapping(), config: { snat: false }, want: false },
    { entry: mapping(), config: { masqAll: true }, want: true },
  ])('$entry.hostIP $config: $want', ({ entry, config, want }) => {
    expect(usesLoopback(build([entry], { config }))).toBe(want);
  });
});

describe('elements', () => {
  const summary = (config: object) =>
    recordElements(build([mapping(), mapping({ hostIP: '192.168.0.1' })], { config })).map(
      ({ map, elements }) =>
        `${map.name} ${elements.length} ${elements[0]?.data?.startsWith('goto ') ? elements[0].data : ''}`.trim(),
    );
  const ports = ['ports-ip 1', 'ports-ip6 1', 'address-ports-ip 1'];
  test.each([
    { config: { snat: false }, want: ports },
    {
      config: {},
      want: [...ports, 'pods-ip 1 goto subnet-10.0.0.0-24', 'pods-ip6 1 goto subnet-fd00---64'],
    },
    {
      config: { masqAll: true },
      want: [...ports, 'pods-ip 1 goto masquerade-all', 'pods-ip6 1 goto masquerade-all'],
    },
  ])('$config', ({ config, want }) => {
    expect(summary(config)).toEqual(want);
  });

  test('one chain for each subnet that records masquerade', () => {
    const records = [
      build([mapping()]),
      build([mapping()]),
      build([mapping()], { config: { snat: false } }),
    ];
    expect(subnetChains(records).map(({ name, rules }) => [name, rules.length])).toEqual([
      ['subnet-10.0.0.0-24', 2],
      ['subnet-fd00---64', 1],
    ]);
    expect(subnetChains(records.slice(2))).toEqual([]);
  });
});

test('one of iptables has no elements and is read back whole', () => {
  const config = { conditionsV4: ['!', '-s', '192.0.2.0/24'], externalSetMarkChain: 'MARK' };
  const record = build([{ hostPort: 80, containerPort: 8080, protocol: 'tcp' }], { config });
  expect(recordElements(record)).toEqual([]);
  expect(record.iptables).toEqual({
    setMarkChain: 'MARK',
    markBit: 13,
    conditions: { 4: ['!', '-s', '192.0.2.0/24'], 6: [] },
  });
  expect(decodeRecord(JSON.stringify(record))).toEqual(record);
});

describe('conditions', () => {
  const config = { conditionsV4: ['ip saddr 192.0.2.0/24'], conditionsV6: ['tcp dport != 81'] };
  const record = build([mapping(), mapping({ hostPort: 81, hostIP: '203.0.113.1' })], { config });

  test('are of each port, in maps of their own, and are read back', () => {
    expect(record.ports.map(({ condition }) => condition)).toEqual([
      'ip saddr 192.0.2.0/24',
      'tcp dport != 81',
      'ip saddr 192.0.2.0/24',
    ]);
    const names = recordElements(record).map(({ map }) => map.name);
    expect(names).toEqual([
      'conditional-ports-ip',
      'conditional-ports-ip6',
      'conditional-address-ports-ip',
      'pods-ip',
      'pods-ip6',
    ]);
    expect(decodeRecord(JSON.stringify(record))).toEqual(record);
  });

  test('two rules for each, however many have it', () => {
    const others = { ...record, ports: record.ports.slice(0, 1) };
    const chains = conditionChains([record, others, build([mapping()])]);
    expect(chains.map(({ name, rules }) => [name, rules.length])).toEqual([
      ['conditions-ip', 2],
      ['conditions-ip6', 2],
    ]);
  });

  test('a record with one that cannot be a rule is spoilt', () => {
    const text = JSON.stringify(record).replace('192.0.2.0/24', 'nobody');
    expect(decodeRecord(text)).toBeUndefined();
  });
});
