/** The other plugins on a real node: under the reference's names, chained, delegating and delegated to. */
import {
  chmodSync,
  copyFileSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type CniCall, CniTestNode } from '../support/cni-node.ts';

/** 1.1.1, which still prints the `dns: {}` that newer ones leave out of results of 1.0.0. */
const reference = '/usr/lib/cni';

let node: CniTestNode;
let binDirectory: string;
beforeEach(() => {
  node = new CniTestNode();
  binDirectory = join(node.directory, 'bin');
  mkdirSync(binDirectory);
});
afterEach(() => node.remove());

/** An executable of that name in a directory of CNI_PATH. */
function install(name: string, body: string): void {
  const file = join(binDirectory, name);
  writeFileSync(file, `#!/bin/sh\n${body}\n`);
  chmodSync(file, 0o755);
}

/** Our standalone, as the shim would start it under that name. */
function installOurs(name: string): void {
  install(name, `WEFT_ARGV0=${name} exec ${node.standalone.join(' ')}`);
}

function ipam(change: object = {}): object {
  return { type: 'host-local', dataDir: node.dataDir, subnet: '10.22.0.0/24', ...change };
}

function config(change: object = {}): Record<string, unknown> {
  return { cniVersion: '1.0.0', name: 'net', type: 'weft', ipam: ipam(), ...change };
}

function call(command: string, change: Omit<CniCall, 'command' | 'stdin'> & { stdin: object }) {
  const env = { CNI_PATH: `${binDirectory}:${reference}`, ...change.env };
  return node.call({ command, ...change, env });
}

function as(name: string) {
  return { env: { CNI_PATH: `${binDirectory}:${reference}`, WEFT_ARGV0: name } };
}

const success = { status: 0, stdout: '', stderr: '' };

function reservations(): readonly string[] {
  return readdirSync(join(node.dataDir, 'net')).filter((name) => /^\d/.test(name));
}

describe('the reference bridge with our host-local', () => {
  const plugin = [`${reference}/bridge`];

  test('ADD, CHECK and DEL, in the reference’s own files', () => {
    installOurs('host-local');
    const netns = node.pod();
    const stdin = config({ type: 'bridge' });
    const added = call('ADD', { netns, stdin, plugin });
    expect(added).toMatchObject({ status: 0, stderr: '' });
    const prevResult = JSON.parse(added.stdout);
    expect(prevResult.ips).toEqual([
      { interface: 2, address: '10.22.0.2/24', gateway: '10.22.0.1' },
    ]);
    expect(reservations()).toEqual(['10.22.0.2']);
    expect(call('CHECK', { netns, stdin: { ...stdin, prevResult }, plugin })).toEqual(success);
    expect(call('DEL', { netns, stdin, plugin })).toEqual(success);
    expect(reservations()).toEqual([]);
  });

  test('an exhausted pool fails the reference’s ADD with our code and text', () => {
    installOurs('host-local');
    const ends = { rangeStart: '10.22.0.2', rangeEnd: '10.22.0.2' };
    const stdin = config({ type: 'bridge', ipam: ipam(ends) });
    call('ADD', { id: 'a', netns: node.pod(), stdin, plugin });
    const { status, stdout } = call('ADD', { id: 'b', netns: node.pod(), stdin, plugin });
    expect([status, JSON.parse(stdout)]).toEqual([
      1,
      expect.objectContaining({
        code: 11,
        msg: 'failed to allocate for range 0: no IP addresses available in range set: 10.22.0.2-10.22.0.2',
      }),
    ]);
  });
});

describe('our bridge with another IPAM plugin', () => {
  const stdin = () => config({ ipam: ipam({ type: 'addresses' }), ipMasq: true, isGateway: true });

  test('ADD, CHECK and DEL go to it, and nothing stays [40]', () => {
    copyFileSync(`${reference}/host-local`, join(binDirectory, 'addresses'));
    const netns = node.pod();
    const added = call('ADD', { netns, stdin: stdin() });
    const prevResult = JSON.parse(added.stdout);
    expect(prevResult.ips).toEqual([
      { interface: 2, address: '10.22.0.2/24', gateway: '10.22.0.1' },
    ]);
    expect(reservations()).toEqual(['10.22.0.2']);
    expect(call('CHECK', { netns, stdin: { ...stdin(), prevResult } })).toEqual(success);
    expect(call('DEL', { netns, stdin: stdin() })).toEqual(success);
    expect([node.footprint(), reservations()]).toEqual([
      { links: ['cni0'], neighbours: [], elements: [], files: [] },
      [],
    ]);
    expect(call('DEL', { netns, stdin: stdin() })).toEqual(success);
  });

  test('its error is passed on, its stderr too, and it is told DEL [37, 38]', () => {
    install(
      'addresses',
      `echo "$CNI_COMMAND" >>${node.directory}/calls; echo noise >&2
       [ $CNI_COMMAND = DEL ] || { echo '{"code": 107, "msg": "no lease"}'; exit 1; }`,
    );
    const { status, stdout, stderr } = call('ADD', { netns: node.pod(), stdin: stdin() });
    expect([status, JSON.parse(stdout), stderr]).toEqual([
      1,
      { cniVersion: '1.0.0', code: 107, msg: 'no lease' },
      'noise\nnoise\n',
    ]);
    expect(readFileSync(`${node.directory}/calls`, 'utf8')).toBe('ADD\nDEL\n');
    expect(node.footprint()).toEqual({ links: [], neighbours: [], elements: [], files: [] });
  });

  test('one that is not there is named with the directories [35]', () => {
    const { stdout } = call('ADD', { netns: node.pod(), stdin: stdin() });
    expect(JSON.parse(stdout)).toMatchObject({
      code: 7,
      msg: `failed to find plugin "addresses" in path [${binDirectory} ${reference}]`,
    });
  });
});

describe('in a chain', () => {
  test('loopback raises and lowers lo, and passes prevResult on unchanged [131]', () => {
    const netns = node.pod();
    netns.run('ip', 'link', 'set', 'lo', 'down');
    const isUp = () =>
      netns.ip<{ flags: string[] }[]>('link', 'show', 'lo')[0]?.flags.includes('UP');
    const prevResult = node.result({ command: 'ADD', netns, stdin: config() });
    const stdin = config({ type: 'loopback', prevResult });
    netns.run('ip', 'link', 'set', 'lo', 'down');
    expect(JSON.parse(call('ADD', { netns, stdin }).stdout)).toEqual(prevResult);
    expect(isUp()).toBe(true);
    expect(call('CHECK', { netns, stdin })).toEqual(success);
    expect(call('DEL', { netns, stdin, ifName: 'lo' })).toEqual(success);
    expect(isUp()).toBe(false);
    expect(JSON.parse(call('CHECK', { netns, stdin }).stdout).msg).toBe(
      'loopback interface is down',
    );
  });

  test('loopback answers as the reference does', () => {
    const stdin = { cniVersion: '1.0.0', name: 'lo', type: 'loopback' };
    const netns = node.pod();
    const ours = call('ADD', { netns, stdin, ifName: 'lo', ...as('loopback') });
    const theirs = call('ADD', { netns, stdin, ifName: 'lo', plugin: [`${reference}/loopback`] });
    expect({ dns: {}, ...JSON.parse(ours.stdout) }).toEqual(JSON.parse(theirs.stdout));
  });

  test('our portmap behind the reference bridge', () => {
    const netns = node.pod();
    const bridge = { plugin: [`${reference}/bridge`], netns };
    const added = call('ADD', { ...bridge, stdin: config({ type: 'bridge', isGateway: true }) });
    const prevResult = JSON.parse(added.stdout);
    const runtimeConfig = {
      portMappings: [{ hostPort: 8080, containerPort: 80, protocol: 'tcp' }],
    };
    const stdin = config({ type: 'portmap', prevResult, runtimeConfig });
    const chained = JSON.parse(call('ADD', { netns, stdin, ...as('portmap') }).stdout);
    expect({ dns: {}, ...chained }).toEqual(prevResult);
    expect(call('CHECK', { netns, stdin, ...as('portmap') })).toEqual(success);
    const rules = () => node.host.run('nft', 'list', 'ruleset');
    expect(rules()).toContain('10.22.0.2');
    const bare = config({ type: 'portmap' });
    expect(call('DEL', { netns: '', stdin: bare, ...as('portmap') })).toEqual(success);
    expect(rules()).not.toContain('10.22.0.2');
  });
});

describe('the whole chain in one execution', () => {
  const asked = () =>
    config({
      cniVersion: '1.1.0',
      isGateway: true,
      ipMasq: true,
      sysctl: { 'net.core.somaxconn': '500' },
      capabilities: { portMappings: true, bandwidth: true },
      runtimeConfig: {
        portMappings: [{ hostPort: 8080, containerPort: 80, protocol: 'tcp' }],
        bandwidth: { ingressRate: 1e6, ingressBurst: 1e6, egressRate: 1e6, egressBurst: 1e6 },
      },
    });
  const portOf = (address: string) =>
    node.host.run('nft', 'list', 'ruleset').includes(`${address} . 80`);
  const nothingLeft = { links: ['cni0'], neighbours: [], elements: [], files: [] };

  test('makes everything, checks it, and DEL finds it by the attachment alone', () => {
    const netns = node.pod();
    const prevResult = node.result({ command: 'ADD', netns, stdin: asked() });
    const names = prevResult['interfaces'];
    expect(names).toHaveLength(4);
    expect(netns.run('sysctl', '-n', 'net.core.somaxconn')).toBe('500\n');
    expect(portOf('10.22.0.2')).toBe(true);
    expect(call('CHECK', { netns, stdin: { ...asked(), prevResult } })).toEqual(success);
    expect(call('STATUS', { stdin: asked() })).toEqual(success);
    expect(call('DEL', { netns: '', stdin: config() })).toEqual(success);
    expect([portOf('10.22.0.2'), node.footprint()]).toEqual([false, nothingLeft]);
  });

  test('a host port that is taken undoes everything', () => {
    node.result({ command: 'ADD', id: 'a', netns: node.pod(), stdin: asked() });
    const before = node.footprint();
    const { stdout } = call('ADD', { id: 'b', netns: node.pod(), stdin: asked() });
    expect(JSON.parse(stdout)).toMatchObject({
      code: 100,
      msg: expect.stringContaining('host port 8080/tcp is taken by net/a/eth0'),
    });
    expect(node.footprint()).toEqual(before);
  });

  test('GC removes the chain of what is not valid', () => {
    const stdin = asked();
    node.result({ command: 'ADD', netns: node.pod(), stdin });
    const gc = { ...stdin, 'cni.dev/valid-attachments': [] };
    expect(call('GC', { stdin: gc, id: '' })).toEqual(success);
    expect([portOf('10.22.0.2'), node.footprint()]).toEqual([false, nothingLeft]);
  });
});

describe('the node as a whole', () => {
  test('GC removes what is not in the list, and nothing without a list [47]', () => {
    const stdin = config({ cniVersion: '1.1.0', ipMasq: true, isGateway: true });
    const [a, b] = [node.pod(), node.pod()];
    node.result({ command: 'ADD', id: 'a', netns: a, stdin });
    node.result({ command: 'ADD', id: 'b', netns: b, stdin });
    const gc = (more: object) => call('GC', { stdin: { ...stdin, ...more }, id: '' });
    expect(gc({})).toEqual(success);
    expect(node.elements()).toEqual(['10.22.0.2', '10.22.0.3']);
    const valid = [{ containerID: 'b', ifname: 'eth0' }];
    expect(gc({ 'cni.dev/attachments': valid })).toEqual(success);
    expect([node.elements(), reservations()]).toEqual([['10.22.0.3'], ['10.22.0.3']]);
    expect(gc({ 'cni.dev/valid-attachments': [], 'cni.dev/attachments': valid })).toEqual(success);
    expect(node.footprint()).toEqual({ links: ['cni0'], neighbours: [], elements: [], files: [] });
  });

  test('STATUS is good when the pool is empty: the pods that run are not to be evicted', () => {
    const ends = { rangeStart: '10.22.0.2', rangeEnd: '10.22.0.2' };
    const stdin = config({ cniVersion: '1.1.0', ipam: ipam(ends) });
    const netns = node.pod();
    expect(call('STATUS', { stdin })).toEqual(success);
    node.result({ command: 'ADD', netns, stdin });
    expect(call('STATUS', { stdin })).toEqual(success);
    node.result({ command: 'DEL', netns, stdin });
    expect(call('STATUS', { stdin })).toEqual(success);
  });
});
