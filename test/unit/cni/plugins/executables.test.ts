/** loopback, host-local and static through the front end, under the names they are executed by. */
import { describe, expect, test } from 'vitest';
import { parseBridgeConfig } from '../../../../src/cni/bridge/config.ts';
import { runVerb } from '../../../../src/cni/call.ts';
import type { Outcome } from '../../../../src/cni/protocol/outcome.ts';
import { SUPPORTED_VERSIONS } from '../../../../src/cni/protocol/versions.ts';
import { parseIP } from '../../../../src/net/ip.ts';
import { request } from '../builders.ts';
import { FakeNode } from '../fake-node.ts';

type Config = Readonly<Record<string, unknown>>;

function runner(name: string, node: FakeNode) {
  return (command: string, config: Config, env: object = {}): Outcome =>
    runVerb(
      {
        env: {
          WEFT_ARGV0: name,
          CNI_COMMAND: command,
          CNI_CONTAINERID: 'pod-1',
          CNI_NETNS: 'pod',
          CNI_IFNAME: 'eth0',
          CNI_PATH: '/opt/cni/bin',
          ...env,
        },
        readStdin: () =>
          Buffer.from(JSON.stringify({ cniVersion: '1.1.0', name: 'net', ...config })),
      },
      node,
    );
}

function resultOf({ stdout }: Outcome): unknown {
  return JSON.parse(stdout);
}

describe('loopback [131]', () => {
  function podWithLoopback(...extra: string[]): FakeNode {
    const node = new FakeNode();
    const link = node.links.find(({ netns, name }) => netns === 'pod' && name === 'lo')?.index ?? 0;
    for (const text of ['127.0.0.1', ...extra, '::1']) {
      const address = parseIP(text);
      const prefixLength = address.includes(':') ? 128 : 8;
      node.addresses.push({ address, prefixLength, scope: 'host', netns: 'pod', link });
    }
    return node;
  }
  const isUp = (node: FakeNode) =>
    node.links.find(({ netns, name }) => netns === 'pod' && name === 'lo')?.isUp;

  test.each(SUPPORTED_VERSIONS)('%s: up on ADD with its addresses, down on DEL', (cniVersion) => {
    const node = podWithLoopback();
    const run = runner('loopback', node);
    const text = run('ADD', { cniVersion, type: 'loopback' }).stdout;
    expect([isUp(node), text.includes('127.0.0.1/8'), text.includes('::1/128')]).toEqual([
      true,
      true,
      true,
    ]);
    expect(run('DEL', { cniVersion }).exitCode).toBe(0);
    expect(isUp(node)).toBe(false);
  });

  test('its result names lo, whatever CNI_IFNAME says', () => {
    expect(resultOf(runner('loopback', podWithLoopback())('ADD', {}))).toEqual({
      cniVersion: '1.1.0',
      interfaces: [{ name: 'lo', mac: '00:00:00:00:00:00', sandbox: 'pod' }],
      ips: [
        { interface: 0, address: '127.0.0.1/8' },
        { interface: 0, address: '::1/128' },
      ],
    });
  });

  test('prevResult passes through', () => {
    const prevResult = { cniVersion: '1.1.0', ips: [{ address: '10.1.2.3/24' }] };
    expect(resultOf(runner('loopback', podWithLoopback())('ADD', { prevResult }))).toEqual(
      prevResult,
    );
  });

  test('an address that is none of loopback is refused', () => {
    const { stdout } = runner('loopback', podWithLoopback('10.1.2.3'))('ADD', {});
    expect(JSON.parse(stdout).msg).toBe(
      'loopback interface found with non-loopback address "10.1.2.3"',
    );
  });

  test('CHECK looks whether it is up, and DEL without a namespace is fine', () => {
    const node = podWithLoopback();
    const run = runner('loopback', node);
    expect(JSON.parse(run('CHECK', {}).stdout).msg).toBe('loopback interface is down');
    run('ADD', {});
    expect(run('CHECK', {}).exitCode).toBe(0);
    expect(run('DEL', {}, { CNI_NETNS: '' }).exitCode).toBe(0);
    expect(isUp(node)).toBe(true);
  });
});

describe('host-local as an executable', () => {
  const ipam = { type: 'host-local', subnet: '10.1.2.0/24', routes: [{ dst: '0.0.0.0/0' }] };
  const config = { type: 'macvlan', mode: 7, mtu: 'x', ipam };

  test.each(SUPPORTED_VERSIONS)(
    '%s: addresses without interfaces, DEL gives them back',
    (version) => {
      const node = new FakeNode();
      const run = runner('host-local', node);
      const { stdout } = run('ADD', { ...config, cniVersion: version });
      expect(stdout).toContain('"10.1.2.2/24"');
      expect(stdout).not.toContain('interface');
      expect(node.reservations.size).toBe(1);
      expect(run('CHECK', { ...config, cniVersion: '1.0.0' }).exitCode).toBe(0);
      expect(run('DEL', { ...config, cniVersion: version }).exitCode).toBe(0);
      expect(node.reservations.size).toBe(0);
    },
  );

  test('prints routes and dns with the addresses', () => {
    expect(resultOf(runner('host-local', new FakeNode())('ADD', config))).toEqual({
      cniVersion: '1.1.0',
      ips: [{ address: '10.1.2.2/24', gateway: '10.1.2.1' }],
      routes: [{ dst: '0.0.0.0/0' }],
    });
  });

  test('works without a namespace to enter, and on the node’s own', () => {
    const run = runner('host-local', new FakeNode());
    expect(run('ADD', config, { CNI_NETNS: 'host' }).exitCode).toBe(0);
  });

  test.each<[string, Config, object]>([
    ['ADD', { type: 'bridge' }, { code: 7, msg: "IPAM config missing 'ipam' key" }],
    ['ADD', { ipam: { ranges: 5 } }, { code: 7, msg: expect.stringContaining('ipam.ranges') }],
    ['CHECK', config, { code: 999, msg: expect.stringContaining('container pod-1') }],
  ])('%s of %j fails', (command, changed, want) => {
    const { stdout } = runner('host-local', new FakeNode())(command, changed);
    expect(JSON.parse(stdout)).toMatchObject(want);
  });

  test('DEL reads of the configuration only where the reservations are', () => {
    const node = new FakeNode();
    const run = runner('host-local', node);
    run('ADD', config);
    expect(run('DEL', { ipam: { subnet: 5, ranges: 'x' } }).exitCode).toBe(0);
    expect(node.reservations.size).toBe(0);
  });

  test('GC releases what is not valid, one-line reservations by their container', () => {
    const node = new FakeNode();
    const released: string[] = [];
    const address = parseIP('10.1.2.9');
    node.owners = [
      { containerId: 'a', ifName: 'eth0', address },
      { containerId: 'a', ifName: 'eth1', address },
      { containerId: 'a', address },
      { containerId: 'b', address },
    ];
    const release: FakeNode['ipam']['release'] = ({ containerId, ifName }) => {
      released.push(`${containerId}/${ifName}`);
      if (ifName === 'eth1') throw new Error('disk');
    };
    Object.assign(node.ipam, { release });
    const valid = [{ containerID: 'a', ifname: 'eth0' }];
    const run = runner('host-local', node);
    expect(run('GC', config).exitCode).toBe(0);
    expect(released).toEqual([]);
    const outcome = run('GC', { ...config, 'cni.dev/valid-attachments': valid });
    expect(JSON.parse(outcome.stdout).msg).toBe('disk');
    expect(released).toEqual(['a/eth1', 'b/']);
  });
});

describe('static [132]', () => {
  const addresses = [{ address: '10.1.2.3/24', gateway: '10.1.2.1' }, { address: 'fd00::3/64' }];
  const add = (ipam: object, more: Config = {}, env: object = {}) =>
    runner('static', new FakeNode())('ADD', { ipam: { type: 'static', ...ipam }, ...more }, env);

  test('gives what is configured', () => {
    const routes = [{ dst: '0.0.0.0/0', gw: '10.1.2.9', mtu: 1300 }];
    const dns = { nameservers: ['10.0.0.53'], search: ['a'] };
    expect(resultOf(add({ addresses, routes, dns }))).toEqual({
      cniVersion: '1.1.0',
      ips: addresses,
      routes,
      dns,
    });
  });

  const args = { CNI_ARGS: 'IP=10.1.2.4/24,10.9.0.4/16;GATEWAY=10.1.2.254' };
  test.each<[string, Config, object, unknown]>([
    [
      'CNI_ARGS come after, with their gateway for every address it reaches',
      {},
      args,
      [
        { address: '10.1.2.3/24', gateway: '10.1.2.254' },
        { address: 'fd00::3/64' },
        { address: '10.1.2.4/24', gateway: '10.1.2.254' },
        { address: '10.9.0.4/16' },
      ],
    ],
    [
      'args.cni.ips replace',
      { args: { cni: { ips: ['10.1.2.5/24'] } } },
      args,
      [{ address: '10.1.2.5/24' }],
    ],
    [
      'runtimeConfig.ips replace those',
      { args: { cni: { ips: ['10.1.2.5/24'] } }, RuntimeConfig: { IPs: ['10.1.2.6/24'] } },
      args,
      [{ address: '10.1.2.6/24' }],
    ],
  ])('%s', (_name, more, env, want) => {
    expect(resultOf(add({ addresses }, more, env))).toMatchObject({ ips: want });
  });

  test.each<[string, Config]>([
    ['args.cni.ips', { args: { cni: { ips: ['10.1.2.5/24'] } } }],
    ['runtimeConfig.ips', { runtimeConfig: { ips: ['10.1.2.5/24'] } }],
  ])('addresses that %s replace are not judged', (_name, more) => {
    const spoilt = [{ address: 'later' }, { address: '10.1.2.3/24', gateway: 'x' }];
    expect(resultOf(add({ addresses: spoilt }, more))).toMatchObject({
      ips: [{ address: '10.1.2.5/24' }],
    });
  });

  test.each<[object, Config, object, string]>([
    [
      { addresses: [{ address: '10.1.2.3' }] },
      {},
      {},
      "expected to be in CIDR notation, got: '10.1.2.3'",
    ],
    [{ addresses: [{}] }, {}, {}, 'expected to be in CIDR notation'],
    [
      { addresses: [{ address: '10.1.2.3/24', gateway: 'x' }] },
      {},
      {},
      'invalid gateway address: x',
    ],
    [{ addresses: 'x' }, {}, {}, 'ipam.addresses: must be an array'],
    [{ addresses: ['x'] }, {}, {}, 'ipam.addresses[0]: must be an object'],
    [{}, {}, { CNI_ARGS: 'IP=10.1.2.3' }, 'expected to be in CIDR notation'],
    [{}, {}, { CNI_ARGS: 'IP=10.1.2.3/24;GATEWAY=x' }, 'invalid gateway address: x'],
    [
      { addresses: [{ address: '10.1.2.3/24' }, { address: '10.1.2.4/24' }] },
      { cniVersion: '0.2.0' },
      {},
      'CNI version 0.2.0 does not support more than 1 address per family',
    ],
  ])('%j with %j and %j is refused', (ipam, more, env, message) => {
    expect(JSON.parse(add(ipam, more, env).stdout)).toMatchObject({
      code: 7,
      msg: expect.stringContaining(message),
    });
  });

  test.each([
    ['10.1.2.3/24', 0],
    ['10.1.2.9/24', 1],
  ])('CHECK with %s in prevResult ends with %i', (address, exitCode) => {
    const prevResult = { cniVersion: '1.1.0', ips: [{ address }] };
    const ipam = { type: 'static', addresses: addresses.slice(0, 1) };
    const run = runner('static', new FakeNode());
    expect(run('CHECK', { ipam, prevResult }).exitCode).toBe(exitCode);
  });

  test('DEL, GC and STATUS have nothing to do', () => {
    const run = runner('static', new FakeNode());
    const ipam = { type: 'static', addresses };
    const codes = ['DEL', 'GC', 'STATUS'].map((command) => run(command, { ipam }).exitCode);
    expect(codes).toEqual([0, 0, 0]);
  });

  test('the bridge leaves a list in CNI_ARGS to it, and to plugins that are executed', () => {
    const run = runner('bridge', new FakeNode());
    expect(resultOf(run('ADD', { ipam: { type: 'static', addresses } }, args))).toMatchObject({
      ips: [
        { interface: 2, address: '10.1.2.3/24', gateway: '10.1.2.254' },
        { interface: 2, address: 'fd00::3/64' },
        { interface: 2, address: '10.1.2.4/24', gateway: '10.1.2.254' },
        { interface: 2, address: '10.9.0.4/16' },
      ],
    });
    const { requestedIPs } = parseBridgeConfig(
      request({ args: args.CNI_ARGS, config: { ipam: { type: 'dhcp' } } }),
    );
    expect(requestedIPs).toEqual([]);
  });

  test('the bridge takes its addresses from it without executing anything', () => {
    const node = new FakeNode();
    const run = runner('bridge', node);
    const ipam = { type: 'static', addresses };
    expect(resultOf(run('ADD', { ipam }))).toMatchObject({
      ips: [
        { interface: 2, address: '10.1.2.3/24', gateway: '10.1.2.1' },
        { interface: 2, address: 'fd00::3/64' },
      ],
    });
    expect(run('DEL', { ipam }).exitCode).toBe(0);
  });
});
